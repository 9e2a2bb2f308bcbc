"""What the records of a report allow to say: which differences hold, and how sure a mean is.

Rows are compared among their own kind. Within a column (one table, one code length) all pairs are
tested; over all data sets of a report methods are ranked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.analysis.board import HEADINGS, Board, Column, Comparisons, Pair, Row, Section
from results.analysis.frames import with_intervals_over_queries
from results.analysis.per_query import Entry
from results.analysis.ranking import rank
from results.analysis.statistics import (
    Difference,
    Sample,
    half_width,
    holm,
    mean_errors,
    pair_errors,
    summary,
    two_sided_p,
)
from results.store.run_key import TRUTHS

RANKED = tuple(kind for kind in HEADINGS if kind != "yardstick")


def compare(board: Board, values: Mapping[Entry, NDArray[Any]]) -> Board:
    """Test the differences of a board.

    Parameters
    ----------
    board : Board
    values : mapping from tuple to ndarray, shape (S, Q)
        As `results.analysis.per_query.query_aps` gives them.

    Returns
    -------
    Board
        With the comparisons, its tables marked, and intervals over queries where they are known.
    """
    samples = {entry: summary(of_entry) for entry, of_entry in values.items()}
    columns: list[Column] = []
    sections: list[Section] = []
    for section in board.sections:
        found = tuple(_columns(section, samples)) if section.by_query else ()
        columns += found
        tested = any(column.tested for column in found)
        sections.append(replace(section, marks=_marks(section, found)) if tested else section)
    board = replace(
        board,
        sections=tuple(sections),
        leaderboard=with_intervals_over_queries(board.leaderboard, _half_widths(board, samples)),
    )
    rankings = (rank(board, kind, truth) for truth in TRUTHS for kind in RANKED)
    found_ranks = tuple(ranking for ranking in rankings if ranking is not None)
    return replace(board, comparisons=Comparisons(tuple(columns), found_ranks))


def _half_widths(board: Board, samples: Mapping[Entry, Sample]) -> dict[tuple[object, ...], float]:
    """Return half of the 95 % interval over seeds and queries of every entry that has one."""
    entries: dict[tuple[str, str, str], list[Entry]] = {}
    for entry, sample in samples.items():
        if sample.testable:
            entries.setdefault(entry[:3], []).append(entry)
    found: dict[tuple[object, ...], float] = {}
    for section in board.sections:
        tested = entries.get(_table(section), []) if section.by_query else []
        if tested:
            half = half_width(mean_errors([samples[entry] for entry in tested]))
            names = [(*entry, section.metric) for entry in tested]
            found |= dict(zip(names, half.tolist(), strict=True))
    return found


def _columns(section: Section, samples: Mapping[Entry, Sample]) -> Iterator[Column]:
    table = _table(section)
    for bits in section.bits:
        for kind in RANKED:
            found = {
                row.method: samples[entry]
                for row in sorted(section.rows, key=lambda row: -_mean(section, row, bits))
                if row.kind == kind and (entry := (*table, row.method, bits)) in samples
            }
            tested = any(sample.testable for sample in found.values())
            yield Column(section, bits, kind, _pairs(found), tested)


def _table(section: Section) -> tuple[str, str, str]:
    return section.dataset, section.protocol, section.backbone


def _pairs(samples: Mapping[str, Sample]) -> tuple[Pair, ...]:
    """Return all pairs of a column in its order; Holm's family is those that can be tested."""
    tested = {name: sample for name, sample in samples.items() if sample.testable}
    results: dict[tuple[str, str], tuple[Difference, float]] = {}
    if len(tested) > 1:
        value, errors = pair_errors(list(tested.values()))
        p, half = two_sided_p(value, errors), half_width(errors)
        rows = np.stack([value, value - half, value + half, p, holm(p)], 1).tolist()
        for pair, (*result, adjusted) in zip(combinations(tested, 2), rows, strict=True):
            results[pair] = Difference(*result), adjusted
    pairs = []
    for first, second in combinations(samples, 2):
        gap = samples[first].mean - samples[second].mean
        untested = Difference(gap, np.nan, np.nan, np.nan), np.nan
        result, adjusted = results.get((first, second), untested)
        pairs.append(Pair(first, second, result, adjusted, len(samples[first].by_query)))
    return tuple(pairs)


def _mean(section: Section, row: Row, bits: int) -> float:
    """Return the mean by which a column is sorted; a row without an entry comes last."""
    cell = row.cell(section.metric, bits)
    return -np.inf if cell is None else cell.mean


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
