"""What the findings share: pairs of a column seen from one side, and how numbers are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.grid.groups import group_of
from methods import METHODS
from results.analysis.board import Board, Column, Section
from results.tables.markup import markdown_escape

VERDICTS = ("ahead", "behind", "not told apart")


class Gap(NamedTuple):
    """A method over another in one column: the difference, its 95 % interval, what a test says."""

    method: str
    value: float
    low: float
    high: float
    verdict: str  # one of `VERDICTS`


def name(section: Section) -> str:
    """Return the names of a table as one word."""
    return markdown_escape("/".join(section.table))


def columns(board: Board) -> Iterator[Column]:
    """Yield the columns of unsupervised methods in which something was tested."""
    compared = board.comparisons.columns if board.comparisons else ()
    yield from (column for column in compared if column.kind == "method" and column.tested)


def gaps(column: Column, base: str) -> list[Gap]:
    """Return every tested method of a column over `base`, in the order of the column."""
    found = []
    for pair in column.pairs:
        if base not in (pair.first, pair.second) or pair.p_holm != pair.p_holm:
            continue
        value, low, high, _ = pair.difference
        other, turned = (pair.second, True) if pair.first == base else (pair.first, False)
        if turned:
            value, low, high = -value, -high, -low
        verdict = VERDICTS[2] if not pair.significant else VERDICTS[value < 0]
        found.append(Gap(other, value, low, high, verdict))
    return found


def is_deep(method: str) -> bool:
    """Whether a row is of a method that is trained by a loss; no method from outside is."""
    cls = METHODS.get(method.partition("(")[0])
    return cls is not None and group_of(cls) == "deep"


def seconds(value: float) -> str:
    """Write seconds with two digits or more.

    Examples
    --------
    >>> seconds(0.0123), seconds(3.21), seconds(1234.5)
    ('0.012 s', '3.2 s', '1,234 s')
    """
    return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s"


def middle(values: Sequence[float]) -> float:
    """Return the median; NaN of nothing."""
    return median(values) if values else float("nan")
