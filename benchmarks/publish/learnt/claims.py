"""Which published claims hold under one protocol.

A claim is that one method of this suite is better than another at a code length, where one source
prints both under one protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from benchmarks.publish.learnt.common import columns, gaps, name
from benchmarks.publish.pages import markdown_table
from results.analysis.board import Board, Column
from results.store.wording import counted
from results.tables.markup import markdown_escape
from results.tables.published import published_figures

VERDICTS = {"ahead": "holds", "behind": "reversed", "not told apart": "not told apart"}


class Claim(NamedTuple):
    """That `better` is above `worse` in print."""

    dataset: str
    better: str
    worse: str
    bits: int


def published_claims() -> Iterator[Claim]:
    """Yield every claim once for each source, protocol and metric that makes it."""
    figures = published_figures()
    figures = figures[figures["row"] != ""]
    place = ["source", "dataset", "protocol", "metric", "bits"]
    for _, rows in figures.groupby(place, sort=False):
        dataset, bits = rows["dataset"].iloc[0], int(rows["bits"].iloc[0])
        best = rows.groupby("row", sort=False)["value"].max()  # of reruns, the best
        values = dict(zip(best.index.astype(str), best.astype(float), strict=True))
        for first, second in combinations(values, 2):
            if values[first] != values[second]:
                better = max(first, second, key=values.__getitem__)
                worse = second if better == first else first
                yield Claim(str(dataset), better, worse, bits)


def claims(board: Board) -> str:
    """Say how many claims hold in the suites of the data sets that they were made on."""
    made = dict.fromkeys(published_claims())
    tested = [column for column in columns(board) if column.section.table.truth == "labels"]
    found: dict[tuple[str, str], Counter[str]] = {}
    suites: dict[str, None] = {}
    for claim in made:
        for column in tested:
            if (column.section.dataset, column.bits) != (claim.dataset, claim.bits):
                continue
            verdict = _verdict(column, claim)
            if verdict:
                found.setdefault((claim.better, claim.worse), Counter())[verdict] += 1
                suites[name(column.section)] = None
    if not found:
        return "*No published suite is on a data set for which papers compare two of its methods.*"
    rows = [
        [
            f"{_title(board, better)} above {_title(board, worse)}",
            *(str(verdicts[verdict]) for verdict in VERDICTS.values()),
        ]
        for (better, worse), verdicts in found.items()
    ]
    total = sum(found.values(), Counter[str]())
    summary = (
        f"Of {counted(total.total(), 'check')} of such a claim, in {', '.join(suites)}, "
        f"{total['holds']} hold, {total['reversed']} come out reversed, and "
        f"{total['not told apart']} cannot be told."
    )
    return f"{summary}\n\n{markdown_table(['in print', *VERDICTS.values()], rows)}"


def _verdict(column: Column, claim: Claim) -> str:
    """Return what a test says of a claim in a column; empty where it cannot say."""
    over = {gap.method: gap.verdict for gap in gaps(column, claim.worse)}
    return VERDICTS[over[claim.better]] if claim.better in over else ""


def _title(board: Board, method: str) -> str:
    return markdown_escape(board.title(method))
