"""The first tables of the page: one row a method, its mean rank and its means by code length.

There is a table for each truth, labels and neighbours, for no mean is over both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from results.analysis.board import About, Board, Section
from results.store.run_key import TRUTHS


@dataclass(frozen=True)
class Line:
    """A method of the overview; `means` and `rank` are None where tables lack an entry."""

    method: str
    title: str
    paper: str
    link: str
    bibtex: str
    kind: str
    rank: float | None
    means: tuple[float | None, ...]


@dataclass(frozen=True)
class Overview:
    """All methods, best first, then yardsticks from papers; and the lengths of `Line.means`."""

    truth: str  # one of `results.store.run_key.TRUTHS`
    bits: tuple[int, ...]
    lines: tuple[Line, ...]
    datasets: int  # that the ranks are over
    tables: int


def overviews(board: Board) -> list[Overview]:
    """Return the overview of each truth that a board has tables of."""
    found = {section.table.truth for section in board.sections}
    return [overview(board, truth) for truth in TRUTHS if truth in found]


def overview(board: Board, truth: str = "labels") -> Overview:
    """Return the overview of one truth: ranks where they were compared, and means over tables."""
    sections = [section for section in board.sections if section.table.truth == truth]
    lengths = sorted({bits for section in sections for bits in section.bits if bits})
    ranks: dict[str, float] = {}
    datasets = 0
    rankings = board.comparisons.rankings if board.comparisons else ()
    for ranking in (ranking for ranking in rankings if ranking.truth == truth):
        ranks |= dict(zip(ranking.methods, ranking.mean_ranks, strict=True))
        datasets = max(datasets, len(ranking.datasets))
    rows = [row for section in sections for row in section.rows]
    kinds = {r.method: r.kind for r in rows if not r.yardstick or _about(board, r.method).paper}
    lines = [
        _line(board, name, kind, ranks.get(name), [_mean(sections, name, bits) for bits in lengths])
        for name, kind in kinds.items()
    ]
    order = [*dict.fromkeys(kinds.values())]

    def place(line: Line) -> tuple[bool, int, bool, float]:
        is_yardstick = line.kind == "yardstick"
        return is_yardstick, order.index(line.kind), line.rank is None, line.rank or 0.0

    ordered = tuple(sorted(lines, key=place))
    return Overview(truth, tuple(lengths), ordered, datasets, len(sections))


def _line(
    board: Board, method: str, kind: str, rank: float | None, means: list[float | None]
) -> Line:
    about = _about(board, method)
    text, found, address = about.paper.partition("https://")
    link = f"https://{address}" if found and re.fullmatch(r"[!-~]+", address) else ""
    paper = text.rstrip(" ,") if link else about.paper
    return Line(method, board.title(method), paper, link, about.bibtex, kind, rank, tuple(means))


def _about(board: Board, method: str) -> About:
    """Return what is said of a row; nothing of one from outside of the suite."""
    return board.about.get(method.partition("(")[0], About("", ""))


def _mean(sections: list[Section], method: str, bits: int) -> float | None:
    """Mean over the tables that have the length; None where one of them lacks the method."""
    found = [*_entries([s for s in sections if bits in s.bits], method, bits)]
    whole = [mean for mean in found if mean is not None]
    return float(np.mean(whole)) if whole and len(whole) == len(found) else None


def _entries(sections: list[Section], method: str, bits: int) -> Iterator[float | None]:
    for section in sections:
        row = next((row for row in section.rows if row.method == method), None)
        entry = row.cell(section.metric, bits) if row else None
        yield entry.mean if entry else None
