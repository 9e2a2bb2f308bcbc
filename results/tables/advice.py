"""Advice for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from results.analysis.advice import MILLION, Advice, Line
from results.tables.leaderboard import text_columns
from results.tables.markup import one_line, template

SHOWN = 5
"""Methods of a size that a terminal shows; the pages have all."""


def heads(advice: Advice) -> list[str]:
    """Return the headings of the columns after the method."""
    recalls = [f"recall{advice.k}@{n}" for n in advice.cutoffs]
    return [*recalls, f"oversample{advice.k}@95", "MiB a million"]


def entries(line: Line) -> list[str]:
    """Return what stands under the headings."""
    recalls = ["-" if recall is None else f"{recall:.3f}" for recall in line.recalls]
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
        table.append([f"{size:g} bytes", *[""] * (len(table[0]) - 1)])
        table += [[f"  {one_line(x.title)}", *entries(x)] for x in _shown(lines)]
    text = [one_line(advice.title), advice.sizes, "", *text_columns(table)[0]]
    for sentences in (advice.recommendation, advice.warnings):
        text += ["", *map(one_line, sentences)]
    return "\n".join(text) + "\n"


def _shown(lines: Sequence[Line]) -> Iterator[Line]:
    methods = [line for line in lines if not line.yardstick]
    yield from methods[:SHOWN]
    yield from (line for line in lines if line.yardstick)
