"""Who ranks where over several data sets, and which methods the ranks tell apart.

Columns of one data set are not independent: a method that is good at 16 bits is good at 32, on the
same images. So each data set counts once, by the mean area under the line of the metric against
bits over its tables, and a test over data sets takes them as the sample.

References
----------
Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 2006 (Friedman,
Wilcoxon). Benavoli, Corani and Mangili, "Should we really use post-hoc tests based on mean-ranks?",
JMLR 2016 (why not Nemenyi's: its verdict on two methods depends on the others). Garcia and Herrera,
JMLR 2008 (Holm over all pairs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import friedmanchisquare, rankdata, wilcoxon

from results.analysis.board import Board, Pair, Ranking, Section
from results.analysis.statistics import ALPHA, Difference, Floats, holm

DRAWS = 10_000
"""Samples of the bootstrap."""
MIN_DATASETS = 3
"""Fewest data sets of which it says anything."""

_Column = tuple[Section, int]


def rank(board: Board, kind: str, truth: str = "labels") -> Ranking | None:
    """Rank the methods of a kind over the data sets; None with fewer than two methods.

    Tables of labels and of neighbours are two rankings: a code can be good for one and bad for the
    other. Every method counts at the same code lengths of the same tables: what would leave a gap,
    a method or a column, is left out.
    """
    entries: dict[str, dict[str, float]] = {}
    columns: dict[str, _Column] = {}
    for section in board.sections:
        of_truth = section.rows if section.table.truth == truth else ()
        for row in of_truth:
            for bits in section.bits if row.kind == kind else ():
                cell = row.cell(section.metric, bits)
                if cell is not None:
                    name = f"{section.title}, {bits} bits"
                    columns[name] = section, bits
                    entries.setdefault(name, {})[row.method] = cell.mean
    names = list(dict.fromkeys(name for column in entries.values() for name in column))
    kept, methods = _complete(entries, names)
    if len(methods) < 2:
        return None
    values = np.array([[entries[column][name] for name in methods] for column in kept])
    datasets, table = _by_dataset([columns[name] for name in kept], values)
    mean_ranks = ranks(table).mean(0)
    order = np.argsort(mean_ranks, kind="stable")
    methods, mean_ranks, table = [methods[i] for i in order], mean_ranks[order], table[:, order]
    pairs = _signed_ranks(methods, table)
    needed = datasets_needed(len(methods))
    left = [name for name in (*names, *entries) if name not in (*methods, *kept)]
    return Ranking(
        kind=kind,
        truth=truth,
        methods=tuple(methods),
        mean_ranks=tuple(mean_ranks.tolist()),
        datasets=tuple(datasets),
        left_out=tuple(left),
        friedman=friedman(table) if len(methods) > 2 and len(datasets) > 1 else None,
        pairs=pairs,
        datasets_needed=needed,
        alike=cliques(methods, pairs) if len(datasets) >= needed else (),
        intervals=rank_intervals(ranks(table)),
        without=_without_each(datasets, ranks(table)),
    )


def rank_intervals(table: Floats) -> tuple[tuple[float, float], ...]:
    """95 % intervals of mean ranks over data sets, by the bootstrap; none below three data sets.

    Parameters
    ----------
    table : ndarray, float64, shape (N, M)
        Ranks of M methods on N data sets, which are drawn again with replacement.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3
    (percentiles).
    """
    n = len(table)
    if n < MIN_DATASETS:
        return ()
    drawn = np.random.Generator(np.random.Philox(key=0)).integers(n, size=(DRAWS, n))
    low, high = np.quantile(table[drawn].mean(1), [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def _without_each(datasets: Sequence[str], table: Floats) -> dict[str, tuple[float, ...]]:
    """Mean ranks of all data sets but one, by its name."""
    if len(datasets) < 2:
        return {}
    return {
        name: tuple(np.delete(table, place, axis=0).mean(0).tolist())
        for place, name in enumerate(datasets)
    }


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


def _by_dataset(columns: Sequence[_Column], values: Floats) -> tuple[list[str], Floats]:
    """Return the names of N data sets and, (N, M), the mean area of each method over their tables.

    `values` is (columns, M).
    """
    tables: dict[str, dict[str, list[int]]] = {}
    for place, (section, _) in enumerate(columns):
        tables.setdefault(section.dataset, {}).setdefault(section.title, []).append(place)
    areas = [
        np.mean([_areas([columns[i][1] for i in at], values[at]) for at in found.values()], 0)
        for found in tables.values()
    ]
    return list(tables), np.array(areas)


def _areas(bits: Sequence[int], values: Floats) -> list[float]:
    return [area_under_bits(np.array(bits, dtype=float), line) for line in values.T]


def area_under_bits(bits: Floats, values: Floats) -> float:
    """Area under the line of a metric against log2 of the code length, per doubling.

    It is the mean height of the line, on the scale of the metric; that of one length is its value.

    Examples
    --------
    >>> print(round(area_under_bits(np.array([16, 32, 64]), np.array([0.2, 0.4, 0.4])), 3))
    0.35
    """
    if len(bits) == 1:
        return float(values[0])
    steps = np.log2(bits)
    return float(trapezoid(values, steps) / (steps[-1] - steps[0]))


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


def ranks(values: Floats) -> Floats:
    """Ranks of M methods on each of N data sets, (N, M); 1 is the largest, equals share their mean.

    Values are rounded to twelve digits first, so that equal seeds added in another order tie.
    """
    result: Floats = rankdata(-np.round(values, 12), axis=1)
    return result


def friedman(values: Floats) -> tuple[float, float]:
    """Friedman's test that all methods are alike: chi-squared and p; 0 and 1 where all are equal.

    `values` is (N, M), a data set in each row and one of three methods or more in each column.
    """
    values = np.round(values, 12)
    if (values == values[:, :1]).all():
        return 0.0, 1.0
    result = friedmanchisquare(*values.T)
    return float(result.statistic), float(result.pvalue)


def signed_rank(first: Floats, second: Floats) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on paired values, (N,); 1 where all are equal."""
    gaps = np.round(first - second, 12)
    return float(wilcoxon(gaps).pvalue) if gaps.any() else 1.0


def _signed_ranks(methods: Sequence[str], table: Floats) -> tuple[Pair, ...]:
    places = list(combinations(range(len(methods)), 2))
    p = np.array([signed_rank(table[:, a], table[:, b]) for a, b in places])
    return tuple(
        Pair(
            methods[a],
            methods[b],
            Difference(float((table[:, a] - table[:, b]).mean()), np.nan, np.nan, float(own)),
            float(adjusted),
            len(table),
        )
        for (a, b), own, adjusted in zip(places, p, holm(p), strict=True)
    )


def datasets_needed(n_methods: int) -> int:
    """Return the data sets from which the signed-rank test can tell two methods apart at 5 %.

    The smallest p of N data sets is 2 / 2**N, and Holm multiplies it by the number of pairs.

    Examples
    --------
    >>> [datasets_needed(n) for n in (2, 3, 6, 20)]
    [6, 7, 10, 13]
    """
    n_pairs = math.comb(n_methods, 2)
    return math.floor(1 + math.log2(n_pairs / ALPHA)) + 1


def cliques(methods: Sequence[str], pairs: Sequence[Pair]) -> tuple[tuple[str, ...], ...]:
    """Longest runs of methods, by rank, of which no pair differs: the bars of the diagram.

    Parameters
    ----------
    methods : sequence of str
        By rising mean rank.
    pairs : sequence of Pair
        All pairs, in that order.
    """
    place = {name: n for n, name in enumerate(methods)}
    apart = [(place[p.first], place[p.second]) for p in pairs if p.significant]
    runs: list[tuple[int, int]] = []
    for first in range(len(methods)):
        last = min((b for a, b in apart if a >= first), default=len(methods)) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return tuple(tuple(methods[a : b + 1]) for a, b in runs)
