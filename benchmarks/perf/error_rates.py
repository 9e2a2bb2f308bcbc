"""How often the tests and intervals of a report are wrong, and what they find, by simulation.

``python -m benchmarks.perf.error_rates --results DIR`` prints a row for each way in which values
vary, number of seeds and number of queries. All methods are equal, so whatever is told apart is an
error. In per cent:

- 2: share of pairs told apart, each tested alone;
- 6, 20, 40: share of families of so many methods in which Holm leaves any pair told apart;
- 40, one t: the same of one Student t with Satterthwaite's degrees of freedom, for comparison;
- covered: share of the 95 % intervals that hold the mean over all seeds and queries;
- found: share of pairs told apart, each tested alone, whose means differ by 0.02.

With unequal seeds those of every second method vary eight times as much.

Real values are those of the methods in a results folder, per table and number of bits. A simulated
method takes one of them at random, moved to a common mean: its profile over queries, and seeds that
deviate from it by random normal mixtures of the deviations of the stored seeds, which keeps their
covariances. Queries are drawn from the stored ones, with replacement.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from benchmarks.command import run_command
from results.analysis.per_query import query_aps
from results.analysis.statistics import (
    ALPHA,
    MIN_SEEDS,
    Errors,
    Floats,
    half_width,
    interval_in_unit,
    mean_errors,
    pair_errors,
    summary,
    two_sided_p,
)
from results.store.store import ResultStore

FAMILIES = (2, 6, 20, 40)
M = max(FAMILIES)
GAP = 0.02
REAL = "real values"
Draw = Callable[[np.random.Generator, int, int], tuple[Floats, float]]
"""From a generator, S and Q to values (M, S, Q) and the true mean of all M methods."""


def normal(seed: float | Sequence[float], own: float, rest: float) -> Draw:
    """Draw normal terms of these standard deviations; see `results.analysis.statistics`."""

    def draw(rng: np.random.Generator, n_seeds: int, n_queries: int) -> tuple[Floats, float]:
        of_seed = np.resize(seed, M)[:, None, None] * rng.normal(size=(M, n_seeds, 1))
        of_query = 0.2 * rng.normal(size=n_queries) + own * rng.normal(size=(M, 1, n_queries))
        values = rng.normal(size=(M, n_seeds, n_queries)) if rest else 0.0
        return 0.5 + of_seed + of_query + rest * values, 0.5

    return draw


REGIMES = {
    "seeds only": normal(seed=0.02, own=0, rest=0),
    "queries only": normal(seed=0, own=0.1, rest=0.1),
    "both": normal(seed=0.01, own=0.1, rest=0.1),
    "both, unequal seeds": normal([0.04, 0.005], own=0.1, rest=0.1),
}


def real(values: Mapping[tuple[Any, ...], NDArray[Any]]) -> Draw:
    """Draw from stored runs, from each of their tables as often as from another.

    Parameters
    ----------
    values : mapping from tuple to ndarray, shape (S, Q)
        By data set, protocol, backbone, method and bits; three seeds or more.
    """
    tables: dict[tuple[Any, ...], list[Floats]] = {}
    for (*table, _, bits), runs in values.items():
        tables.setdefault((*table, bits), []).append(runs.astype(np.float64))
    of_tables = list(tables.values())

    def draw(rng: np.random.Generator, n_seeds: int, n_queries: int) -> tuple[Floats, float]:
        methods = of_tables[rng.integers(len(of_tables))]
        level = float(np.mean([runs.mean() for runs in methods]))
        chosen = rng.integers(methods[0].shape[1], size=n_queries)
        drawn = np.empty((M, n_seeds, n_queries))
        for m, which in enumerate(rng.integers(len(methods), size=M)):
            runs = methods[which]
            mixture = rng.normal(size=(n_seeds, len(runs))) / np.sqrt(len(runs) - 1)
            moved = level - runs.mean() + runs.mean(0)[chosen]
            drawn[m] = moved + mixture @ (runs - runs.mean(0))[:, chosen]
        return drawn, level

    return draw


class Rates:
    """Counts over trials, each as a share of what could have happened."""

    def __init__(self) -> None:
        first, second = np.triu_indices(M, 1)
        self._families = {
            size: np.where(
                (first // size == second // size) & (second < M // size * size), first // size, -1
            )
            for size in FAMILIES
        }
        self._single = self._families[2] >= 0
        # Above its limit no p tells anything apart in the smallest family that the pair is in.
        self._limits = np.full(len(first), ALPHA / len(first))
        for size, family in reversed(self._families.items()):
            self._limits[family >= 0] = ALPHA / (size * (size - 1) / 2)
        self._names = [*map(str, FAMILIES), f"{M}, one t", "covered", "found"]
        self._sums = dict.fromkeys(self._names, 0.0)
        self._trials = 0

    def add(self, values: Floats, mean: float) -> None:
        """Count one trial."""
        samples = [summary(runs) for runs in values]
        gaps, errors = pair_errors(samples)
        p = p_where_it_matters(gaps, errors, self._limits)
        for size, family in self._families.items():
            told = p * (size * (size - 1) / 2) < ALPHA  # by the first step of Holm
            hit = np.unique(family[told & (family >= 0)])
            self._sums[str(size)] += len(hit) / (M // size)
        self._sums[f"{M}, one t"] += one_t(gaps, errors).min() * len(p) < ALPHA
        few = samples[:4]
        half = half_width(mean_errors(few))
        low, high = interval_in_unit(np.array([sample.mean for sample in few]), half)
        self._sums["covered"] += float(((low <= mean) & (mean <= high)).mean())
        apart = Errors(*(part[self._single] for part in errors))
        shifted = gaps[self._single] + GAP
        found = p_where_it_matters(shifted, apart, np.full(len(shifted), ALPHA)) < ALPHA
        self._sums["found"] += float(found.mean())
        self._trials += 1

    @property
    def names(self) -> list[str]:
        """Headings."""
        return self._names

    def shares(self) -> list[float]:
        """Return the shares in the order of `names`."""
        return [self._sums[name] / self._trials for name in self._names]


def p_where_it_matters(value: Floats, errors: Errors, limits: Floats) -> Floats:
    """Return the p of `two_sided_p` where it may be below a limit, else a p that is above it too.

    The p of a normal distribution with the estimated standard error is smaller.
    """
    p = np.where(value == 0, 1.0, 2 * ndtr(-_ratio(value, errors)))
    near = p < limits
    if near.any():
        p[near] = two_sided_p(value[near], Errors(*(part[near] for part in errors)))
    return p


def one_t(value: Floats, errors: Errors) -> Floats:
    """Return the p of one Student t whose degrees of freedom Satterthwaite's formula estimates."""
    squares = (errors.seeds, errors.queries)
    spread = sum(x**2 / df for x, df in zip(squares, errors[3:], strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = _squared_error(errors) ** 2 / spread
    return np.where(value == 0, 1.0, 2 * stdtr(degrees, -_ratio(value, errors)))


def _squared_error(errors: Errors) -> Floats:
    """Return the estimate of the squared standard error, its components no less than 0."""
    a, b = np.maximum(errors.seeds, errors.rest), np.maximum(errors.queries, errors.rest)
    squared: Floats = a + b - errors.rest
    return squared


def _ratio(value: Floats, errors: Errors) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.abs(value) / np.sqrt(_squared_error(errors))
    return ratio


def rates(draw: Draw, n_seeds: int, n_queries: int, trials: int, seed: int = 0) -> Rates:
    """Simulate so many trials; the same numbers give the same draws."""
    found = Rates()
    rng = np.random.default_rng([seed, n_seeds, n_queries])
    for _ in range(trials):
        found.add(*draw(rng, n_seeds, n_queries))
    return found


def stored(root: Path) -> dict[tuple[Any, ...], NDArray[Any]]:
    """Read the AP of every query of all methods with three seeds or more.

    Raises
    ------
    ValueError
        If there is none.
    """
    store = ResultStore(root)
    records = [record for record in store.records() if record.kind != "yardstick"]
    values, _ = query_aps(store, records)
    enough = {entry: runs for entry, runs in values.items() if len(runs) >= MIN_SEEDS}
    if not enough:
        raise ValueError(
            f"--results {root}: expected a method with {MIN_SEEDS} seeds or more, found none; "
            f"run `python -m benchmarks.run --seeds 5 --out {root}` first"
        )
    return dict(enough)


def rows(options: argparse.Namespace, regimes: Mapping[str, Draw]) -> Iterator[str]:
    """Yield the lines of the table as they are ready."""
    names = Rates().names
    yield f"| what varies | seeds | queries | {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * (2 + len(names))}"
    for regime, draw in regimes.items():
        for n_seeds in options.seeds:
            for n_queries in options.queries:
                found = rates(draw, n_seeds, n_queries, options.trials, options.seed)
                shares = " | ".join(f"{100 * share:.1f}" for share in found.shares())
                yield f"| {regime} | {n_seeds} | {n_queries:,} | {shares} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--results", type=Path, help="folder of `benchmarks.run`; without it no real values")
    add("--trials", type=int, default=1500)
    add("--seeds", type=int, nargs="+", default=[3, 5, 10])
    add("--queries", type=int, nargs="+", default=[10, 100, 1000])
    add("--seed", type=int, default=0, help="of the simulation")
    options = parser.parse_args(arguments)
    regimes = dict(REGIMES)
    if options.results is not None:
        try:
            regimes[REAL] = real(stored(options.results))
        except ValueError as error:
            parser.error(str(error))
    for line in rows(options, regimes):
        print(line, flush=True)
    if REAL not in regimes:
        print(f"\nNo {REAL}: they need --results DIR.")


if __name__ == "__main__":
    sys.exit(run_command(main))
