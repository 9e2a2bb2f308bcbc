"""What the records of a report allow to say: which differences hold, and who ranks where.

Rows are compared among their own kind. Within a column (one table, one code length) all pairs are
tested by the paired bootstrap; over all columns of a report methods are ranked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.analysis.board import HEADINGS, Board, Column, Comparisons, Pair, Ranking, Row, Section
from results.analysis.per_query import Entry
from results.analysis.statistics import (
    Difference,
    Floats,
    area_under_bits,
    cliques,
    critical_difference,
    difference,
    friedman,
    holm,
    ranks,
    resampled_means,
    signed_rank,
)

RANKED = tuple(kind for kind in HEADINGS if kind != "yardstick")


def compare(board: Board, values: Mapping[Entry, NDArray[Any]]) -> Board:
    """Test the differences of a board; returns it with the comparisons, its tables marked.

    Parameters
    ----------
    board : Board
    values : mapping from tuple to ndarray, shape (S, Q)
        As `results.analysis.per_query.query_aps` gives them.
    """
    columns: list[Column] = []
    sections: list[Section] = []
    for section in board.sections:
        found = tuple(_columns(section, values)) if section.by_query else ()
        columns += found
        sections.append(replace(section, marks=_marks(section, found)) if found else section)
    board = replace(board, sections=tuple(sections))
    rankings = [ranking for kind in RANKED if (ranking := rank(board, kind)) is not None]
    return replace(board, comparisons=Comparisons(tuple(columns), tuple(rankings)))


def _columns(section: Section, values: Mapping[Entry, NDArray[Any]]) -> Iterator[Column]:
    table = (section.dataset, section.protocol, section.backbone)
    runs = {
        (row.method, bits): values[*table, row.method, bits]
        for row in section.rows
        for bits in section.bits
        if row.kind in RANKED and (*table, row.method, bits) in values
    }
    if not runs:
        return
    drawn = resampled_means({f"{name} {bits}": run for (name, bits), run in runs.items()})
    for bits in section.bits:
        for kind in RANKED:
            rows = [row for row in section.rows if row.kind == kind and (row.method, bits) in runs]
            names = [row.method for row in sorted(rows, key=lambda row: -_mean(section, row, bits))]
            tested = [
                difference(
                    float(runs[a, bits].mean(dtype=float) - runs[b, bits].mean(dtype=float)),
                    drawn[f"{a} {bits}"],
                    drawn[f"{b} {bits}"],
                )
                for a, b in combinations(names, 2)
            ]
            n_queries = runs[names[0], bits].shape[1] if names else 0
            yield Column(section, bits, kind, _pairs(names, tested, n_queries))


def _pairs(names: Sequence[str], tested: Sequence[Difference], n: int) -> tuple[Pair, ...]:
    adjusted = holm(np.array([result.p for result in tested]))
    return tuple(
        Pair(*pair, result, float(p), n)
        for pair, result, p in zip(combinations(names, 2), tested, adjusted, strict=True)
    )


def _mean(section: Section, row: Row, bits: int) -> float:
    cell = row.cell(section.metric, bits)
    assert cell is not None, "only entries with runs are compared"
    return cell.mean


def _marks(section: Section, columns: Sequence[Column]) -> dict[tuple[str, int], str]:
    """Mark the best of a column and the second, each where it surely beats the next.

    A row of the column that could not be tested stands as it is, and so does what it follows.
    """
    marks: dict[tuple[str, int], str] = {}
    for column in columns:
        rows = [row for row in section.rows if row.kind == column.kind]
        filled = [row for row in rows if row.cell(section.metric, column.bits) is not None]
        filled.sort(key=lambda row: -_mean(section, row, column.bits))
        names = [row.method for row in filled]
        for mark, first, second in zip(("best", "second"), names, names[1:], strict=False):
            pair = column.pair(first, second)
            if pair is not None and pair.significant:
                marks[first, column.bits] = mark
    return marks


def rank(board: Board, kind: str) -> Ranking | None:
    """Rank the methods of a kind over the columns of all tables; None with fewer than two."""
    entries: dict[str, dict[str, float]] = {}
    for section in board.sections:
        for row in section.rows:
            for bits in section.bits if row.kind == kind else ():
                cell = row.cell(section.metric, bits)
                if cell is not None:
                    column = f"{section.title}, {bits} bits"
                    entries.setdefault(column, {})[row.method] = cell.mean
    names = list(dict.fromkeys(name for column in entries.values() for name in column))
    columns, methods = _complete(entries, names)
    if len(methods) < 2:
        return None
    table = np.array([[entries[column][name] for name in methods] for column in columns])
    mean_ranks = ranks(table).mean(0)
    order = np.argsort(mean_ranks, kind="stable")
    methods, mean_ranks, table = [methods[i] for i in order], mean_ranks[order], table[:, order]
    testable = len(methods) > 2 and len(columns) > 1
    gap = critical_difference(len(methods), len(columns)) if testable else None
    left = [name for name in (*names, *entries) if name not in (*methods, *columns)]
    return Ranking(
        kind=kind,
        methods=tuple(methods),
        mean_ranks=tuple(mean_ranks.tolist()),
        columns=tuple(columns),
        left_out=tuple(left),
        friedman=friedman(table) if testable else None,
        critical_difference=gap,
        alike=() if gap is None else _alike(methods, mean_ranks, gap),
        pairs=_signed_ranks(methods, table) if len(columns) > 1 else (),
    )


def _complete(
    entries: Mapping[str, Mapping[str, float]], names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Leave out the emptiest column or method until no gap is left; of equals, the last column."""
    columns, methods = list(entries), list(names)
    while columns and methods:
        empty_columns = [sum(m not in entries[c] for m in methods) / len(methods) for c in columns]
        empty_methods = [sum(m not in entries[c] for c in columns) / len(columns) for m in methods]
        if not any(empty_columns):
            break
        worst = max(*empty_columns, *empty_methods)
        shares, of = (
            (empty_columns, columns) if worst in empty_columns else (empty_methods, methods)
        )
        of.pop(len(of) - 1 - shares[::-1].index(worst))
    return columns, methods


def _alike(methods: Sequence[str], mean_ranks: Floats, gap: float) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(methods[a : b + 1]) for a, b in cliques(mean_ranks, gap))


def _signed_ranks(methods: Sequence[str], table: Floats) -> tuple[Pair, ...]:
    gaps = [
        (float((table[:, a] - table[:, b]).mean()), signed_rank(table[:, a], table[:, b]))
        for a, b in combinations(range(len(methods)), 2)
    ]
    tested = [Difference(value, np.nan, np.nan, p) for value, p in gaps]
    return _pairs(methods, tested, len(table))


def areas(section: Section) -> dict[str, tuple[float, tuple[int, ...]]]:
    """Return the area under the bits curve of every row with codes, and the lengths it is over."""
    found: dict[str, tuple[float, tuple[int, ...]]] = {}
    for row in section.rows:
        cells = {
            b: cell for b in section.bits if b and (cell := row.cells.get((section.metric, b)))
        }
        if cells:
            lengths = np.array(list(cells), dtype=float)
            means = np.array([cell.mean for cell in cells.values()])
            found[row.method] = area_under_bits(lengths, means), tuple(cells)
    return found
