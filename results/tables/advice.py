"""Advice for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from results.analysis.advice import MILLION, Advice, Line
from results.store.wording import counted
from results.tables.leaderboard import text_columns
from results.tables.markup import one_line, template

SHOWN = 5
"""Methods of a size that a terminal shows; the pages have all."""


def heads(advice: Advice) -> list[str]:
    """Return the headings of the columns after the method."""
    k = advice.k
    recalls = [f"recall{k}@{n}" for n in advice.cutoffs]
    asym = [f"asym.recall{k}@{k}"] if advice.has_asym else []
    return [*recalls, *asym, f"oversample{k}@95", "MiB a million"]


def entries(advice: Advice, line: Line) -> list[str]:
    """Return what stands under the headings."""
    shares = [*line.recalls, *([line.asym] if advice.has_asym else [])]
    recalls = ["-" if share is None else f"{share:.3f}" for share in shares]
    looked = "-" if math.isnan(line.oversample) else f"{line.oversample:,.1f}"
    return [*recalls, looked, f"{line.size * MILLION / 2**20:,.1f}"]


def advice_markdown(advice: Advice) -> str:
    """Return the advice as a page of Markdown."""
    text = template("advice.md.jinja").render(advice=advice, heads=heads(advice), entries=entries)
    return f"{text.rstrip()}\n"


def advice_plain(advice: Advice) -> str:
    """Return the advice for a terminal: of each size the best methods, and all yardsticks."""
    table = [["", *heads(advice)]]
    for size, lines in advice.of_size():
        table.append([counted(size, "byte"), *[""] * (len(table[0]) - 1)])
        table += [[f"  {one_line(x.title)}", *entries(advice, x)] for x in _shown(lines)]
    text = [one_line(advice.title), advice.sizes, "", *text_columns(table)[0]]
    for sentences in (advice.recommendation, advice.warnings):
        text += ["", *map(one_line, sentences)]
    return "\n".join(text) + "\n"


def _shown(lines: Sequence[Line]) -> Iterator[Line]:
    methods = [line for line in lines if not line.yardstick]
    yield from methods[:SHOWN]
    yield from (line for line in lines if line.yardstick)
