"""From one table of neighbours to a decision: which code, of how many bytes, and how sure that is.

The intervals are those of a paired bootstrap: queries are drawn anew, the same for all rows, and so
are the seeds of each row. They say how far other queries of this kind would move a number, and
nothing of another database: recall falls where it grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from results.analysis.board import Row, Section
from results.analysis.per_query import Entry
from results.analysis.statistics import CONFIDENCE, Floats
from results.store.wording import counted

FACTORS = (1, 4, 10)
"""Items looked at for each neighbour that is wanted, whose recall is told."""
ENOUGH = 0.95
"""Recall after re-ranking that is asked for."""
MILLION = 10**6
_DRAWS = 5000
_ENDS = ("worst", "best")
_VISIBLE = 0.02
"""Recall that the order of ties has to move before a reader is told."""
_SMALL = 100_000
"""Rows of a database below which recall is told to be that of a sample."""


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def undecided(self) -> bool:
        """Whether 0 lies inside."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Line:
    """A method at one size.

    Attributes
    ----------
    method, title : str
    yardstick : bool
    size : float
        Bytes that an item takes, all that is kept beside the code included.
    bits : int
        Length of the code, 0 where there is none.
    recalls : tuple of (float or None)
        At `Advice.cutoffs`; None beyond the database.
    asym : float or None
        Recall at the first cutoff by asymmetric distance; None where it was not asked for.
    oversample : float
        Items to look at for each neighbour that is wanted, for a recall of `ENOUGH`.
    ties : tuple of float
        Recall at the worst and the best order of ties.
    bucket : float
        Items in the fullest bucket; 0 where there are no codes.
    """

    method: str
    title: str
    yardstick: bool
    size: float
    bits: int
    recalls: tuple[float | None, ...]
    asym: float | None
    oversample: float
    ties: tuple[float, float]
    bucket: float

    @property
    def name(self) -> str:
        """Title and size."""
        return f"{self.title} at {counted(self.size, 'byte')}"


@dataclass(frozen=True)
class Advice:
    """What is said to somebody who has embeddings and a budget.

    Attributes
    ----------
    title, sizes : str
        The table, and how many vectors ask, train and answer.
    k : int
        Neighbours that are wanted.
    cutoffs : tuple of int
        Items looked at.
    lines : tuple of Line
        By size, methods first, the best recall first.
    recommendation, warnings : tuple of str
        Sentences.
    """

    title: str
    sizes: str
    k: int
    cutoffs: tuple[int, ...]
    lines: tuple[Line, ...]
    recommendation: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def has_asym(self) -> bool:
        """Whether asymmetric distances were asked for."""
        return any(line.asym is not None for line in self.lines)

    def of_size(self) -> Iterator[tuple[float, list[Line]]]:
        """Yield the sizes, smallest first, and the lines of each."""
        for size in dict.fromkeys(line.size for line in self.lines):
            yield size, [line for line in self.lines if line.size == size]


def advise(
    section: Section,
    values: Mapping[Entry, NDArray[Any]],
    n_database: int,
    budget: float,
    duplicates: int = 0,
) -> Advice:
    """Draw a recommendation from one table.

    Parameters
    ----------
    section : Section
        Of neighbours.
    values : mapping from tuple to ndarray, shape (S, Q)
        As `results.analysis.per_query.query_aps` gives them.
    n_database : int
        Vectors that were searched.
    budget : float
        Bytes that an item may take.
    duplicates : int
        Items of the database that are equal to another one.

    Raises
    ------
    ValueError
        If no method fits into the budget.
    """
    k = int(re.findall(r"\d+", section.metric)[0])
    cutoffs = tuple(k * factor for factor in FACTORS)
    lines = sorted(_lines(section, k, cutoffs), key=_place)
    fitting = [line for line in lines if line.size <= budget and not line.yardstick]
    if not fitting:
        sizes = sorted({line.size for line in lines if not line.yardstick})
        least = f"{counted(sizes[0], 'byte')} is the least" if sizes else "there are none"
        fault = f"no code fits into {counted(budget, 'byte')}"
        raise ValueError(f"{fault}; of those that were run, {least}")
    samples = {
        line: values[entry]
        for line in lines
        if (entry := (*section.table, line.method, line.bits)) in values
    }
    return Advice(
        section.title,
        section.sizes,
        k,
        cutoffs,
        tuple(lines),
        tuple(_recommended(fitting, lines, samples, budget, k, n_database)),
        tuple(_warnings(lines, k, duplicates, n_database)),
    )


def bootstrap(samples: Sequence[NDArray[Any]], draws: int = _DRAWS) -> Floats:
    """Means of rows on queries and seeds that are drawn anew, float64 (len(samples), draws).

    Parameters
    ----------
    samples : sequence of ndarray, shapes (S, Q)
        The same queries in all of them; each has its own seeds.
    draws : int

    Examples
    --------
    >>> a = np.array([[0.0, 1.0, 1.0, 0.0]])
    >>> first, second = bootstrap([a, a + 0.25])
    >>> bool(np.allclose(second - first, 0.25)), bool(first.std() > 0.1)
    (True, True)
    """
    rng = np.random.default_rng(0)
    n_queries = samples[0].shape[1]
    found = np.empty((len(samples), draws))
    for start in range(0, draws, 500):
        n = min(500, draws - start)
        queries = rng.multinomial(n_queries, np.full(n_queries, 1 / n_queries), n) / n_queries
        for place, of_row in enumerate(samples):
            n_seeds = len(of_row)
            seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), n) / n_seeds
            means = ((queries @ of_row.T.astype(np.float64)) * seeds).sum(1)
            found[place, start : start + n] = means
    return found


def _interval(value: float, draws: Floats) -> Interval:
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def _lines(section: Section, k: int, cutoffs: Sequence[int]) -> Iterator[Line]:
    for row in section.rows:
        for bits in sorted({bits for _, bits in row.cells}):
            cell = row.cells.get((section.metric, bits))
            if cell is not None and row.method != "random":
                recalls = tuple(_mean(row, f"recall{k}@{n}", bits) for n in cutoffs)
                low, high = (_mean(row, f"{section.metric}:{end}", bits) for end in _ENDS)
                yield Line(
                    row.method,
                    row.title,
                    row.yardstick,
                    row.item_bytes(bits),
                    bits,
                    recalls,
                    _mean(row, f"asym.{section.metric}", bits),
                    _mean(row, f"oversample{k}@95", bits) or np.nan,
                    (cell.mean if low is None else low, cell.mean if high is None else high),
                    _mean(row, "codes.largest_bucket", bits) or 0,
                )


def _mean(row: Row, metric: str, bits: int) -> float | None:
    cell = row.cells.get((metric, bits))
    return None if cell is None else cell.mean


def _place(line: Line) -> tuple[float, bool, float]:
    return line.size, line.yardstick, -(line.recalls[0] or 0)


def _recommended(
    fitting: Sequence[Line],
    lines: Sequence[Line],
    samples: Mapping[Line, NDArray[Any]],
    budget: float,
    k: int,
    n: int,
) -> Iterator[str]:
    """Yield sentences: the best code of the budget, how sure that is, and what else there is."""
    best = max(fitting, key=lambda line: line.recalls[0] or 0)
    yield f"Take {best.name}: {_kept(best, samples, k)}"
    looked = round(best.oversample * k)
    yield (
        f"Re-rank {counted(looked, 'candidate')} a query by the true distance to keep {ENOUGH:.0%}"
        f", {looked / n:.1%} of the {n:,} vectors."
    )
    rivals = [
        next((x for x in fitting if x.size == best.size and x is not best), None),
        max(
            (x for x in lines if x.yardstick and x.size <= budget),
            key=lambda x: x.recalls[0] or 0,
            default=None,
        ),
    ]
    for rival in rivals:
        if rival is not None:
            yield _against(best, rival, samples)
    last = len(FACTORS) - 1
    enough = [x for x in fitting if (x.recalls[last] or 0) >= ENOUGH]
    if enough:
        least = min(enough, key=lambda x: (x.size, -(x.recalls[last] or 0)))
        yield (
            f"The fewest bytes that keep {ENOUGH:.0%} after {FACTORS[last] * k} candidates are "
            f"re-ranked: {least.name} ({least.recalls[last]:.3f})."
        )
    else:
        yield f"No code of the budget keeps {ENOUGH:.0%} after {FACTORS[last] * k} candidates."


def _kept(best: Line, samples: Mapping[Line, NDArray[Any]], k: int) -> str:
    value = best.recalls[0] or 0
    text = f"it keeps {value:.3f} of the {k} nearest"
    if best in samples:
        found = _interval(value, bootstrap([samples[best]])[0])
        text += f" (95 % interval {found.low:.3f} to {found.high:.3f})"
    return f"{text}, and a million vectors take {best.size * MILLION / 2**20:,.0f} MiB."


def _against(best: Line, rival: Line, samples: Mapping[Line, NDArray[Any]]) -> str:
    """Say how far the best is ahead of another, and whether that holds for other queries."""
    gap = (best.recalls[0] or 0) - (rival.recalls[0] or 0)
    what = " (a yardstick, which no Hamming distance ranks)" if rival.yardstick else ""
    said = f"{'ahead of' if gap >= 0 else 'behind'} {rival.name}{what} by {abs(gap):.3f}"
    if best not in samples or rival not in samples:
        return f"It is {said}."
    first, second = bootstrap([samples[best], samples[rival]])
    found = _interval(gap, first - second)
    low, high = sorted((abs(found.low), abs(found.high)))
    if found.undecided:
        return f"It is {said}, which these queries do not tell from 0."
    return f"It is {said} ({low:.3f} to {high:.3f})."


def _crowded(line: Line, k: int) -> str:
    return f"; its fullest bucket holds {line.bucket:,.0f} vectors" if line.bucket > k else ""


def _warnings(lines: Sequence[Line], k: int, duplicates: int, n: int) -> Iterator[str]:
    if duplicates:
        yield (
            f"{duplicates:,} of {n:,} vectors of the database {'is' if duplicates == 1 else 'are'} "
            "equal to another one, so some queries have more neighbours at equal distance than a "
            "list has places."
        )
    for size in dict.fromkeys(line.size for line in lines):
        tied = [x for x in lines if x.size == size and x.ties[1] - x.ties[0] > _VISIBLE]
        if tied:
            worst = max(tied, key=lambda x: x.ties[1] - x.ties[0])
            yield (
                f"{counted(size, 'byte')}: the order of ties moves recall{k}@{k} of "
                f"{counted(len(tied), 'row')}, most that of {worst.title}, from "
                f"{worst.ties[0]:.3f} to {worst.ties[1]:.3f}{_crowded(worst, k)}."
            )
    if n < _SMALL:
        yield (
            f"The database is of {n:,} vectors. In a larger one of the same kind more of them lie "
            "between a query and its neighbours, so recall is lower and more candidates are needed."
        )
