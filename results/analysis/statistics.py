"""What numbers allow to say: spread over seeds, differences of two methods, ranks over data sets.

Plain functions of arrays. `results.analysis.comparisons` applies them to the records of a report.

References
----------
Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 2006 (Friedman,
Nemenyi). Garcia and Herrera, JMLR 2008 (Holm over all pairs). Owen, "The pigeonhole bootstrap",
Annals of Applied Statistics 2007 (two crossed factors). Rao and Wu, "Resampling inference with
complex survey data", JASA 1988 (n - 1 draws of n).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import stdtrit
from scipy.stats import chi2, rankdata, studentized_range, wilcoxon

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
DRAWS = 10_000
"""Resamples of a bootstrap; the smallest p that it can give is 2 / (DRAWS + 1)."""
_SEED = 0x626F6F74
_CHUNK = 2**22  # entries of the largest temporary array


class Difference(NamedTuple):
    """A mean difference, its 95 % interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def mean_interval(
    mean: np.ndarray, std: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Student-t interval of a mean, 95 %, over n independent values.

    Parameters
    ----------
    mean, std : ndarray, float64, shape (M,)
        Sample mean and sample standard deviation (n - 1 in the denominator).
    n : ndarray, int64, shape (M,)
        Number of values.

    Returns
    -------
    low, high : ndarray, float64, shape (M,)
        NaN where n is 1: one value has no spread.

    Examples
    --------
    >>> low, high = mean_interval(np.array([2.0]), np.array([1.0]), np.array([3]))
    >>> print(low.round(3), high.round(3))
    [-0.484] [4.484]
    """
    degrees = np.where(n > 1, n - 1, 1)
    quantile = stdtrit(degrees, (1 + CONFIDENCE) / 2)
    half = np.where(n > 1, quantile * std / np.sqrt(n), np.nan)
    return mean - half, mean + half


def resampled_means(runs: Mapping[str, NDArray[Any]], draws: int = DRAWS) -> dict[str, Floats]:
    """Means of several methods on the same resampled queries, each over its own resampled seeds.

    Queries are shared by all methods, and so is their resample: the hard ones are hard for all. A
    seed means nothing across methods, so each method draws its own, S - 1 of S: S draws of so few
    would understate their spread by the factor (S - 1) / S. One seed is no sample and stays.

    Of equal methods, 5 % are told apart with five seeds or ten, 10 % with three and 19 % with two
    where seeds matter more than queries; where queries matter more, far fewer.

    Parameters
    ----------
    runs : mapping from str to ndarray, shape (S, Q)
        The value of every seed and query, by the name of a method; Q is the same for all. A name
        always draws the same seeds, whatever the other names.
    draws : int

    Returns
    -------
    dict from str to ndarray, float64, shape (draws,)
    """
    stacked = np.concatenate([values.astype(np.float64) for values in runs.values()]).T
    n_queries = len(stacked)
    by_seed = np.empty((draws, stacked.shape[1]))
    queries = np.random.default_rng([_SEED, n_queries])
    step = max(1, _CHUNK // n_queries)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = queries.integers(n_queries, size=(rows, n_queries))
        places = (drawn + n_queries * np.arange(rows)[:, None]).ravel()
        counts = np.bincount(places, minlength=rows * n_queries).reshape(rows, n_queries)
        by_seed[start : start + rows] = counts / n_queries @ stacked
    means: dict[str, Floats] = {}
    end = 0
    for name, values in runs.items():
        start, end = end, end + len(values)
        means[name] = _over_seeds(by_seed[:, start:end], name)
    return means


def _over_seeds(by_seed: Floats, name: str) -> Floats:
    """Return the means over S - 1 seeds of S, drawn anew in every row of (draws, S)."""
    n_seeds = by_seed.shape[1]
    if n_seeds == 1:
        return by_seed[:, 0]
    seeds = np.random.default_rng([_SEED, *name.encode()])
    drawn = seeds.integers(n_seeds, size=(len(by_seed), n_seeds - 1))
    means: Floats = np.take_along_axis(by_seed, drawn, 1).mean(1)
    return means


def difference(value: float, first: Floats, second: Floats) -> Difference:
    """Percentile interval and p of a difference from paired resamples of its two means.

    Parameters
    ----------
    value : float
        The difference that was observed.
    first, second : ndarray, float64, shape (B,)
        As `resampled_means` gives them.

    Examples
    --------
    >>> difference(1.0, np.full(99, 3.0), np.full(99, 2.0))
    Difference(value=1.0, low=1.0, high=1.0, p=0.02)
    """
    drawn = first - second
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2]).tolist()
    beyond = 1 + min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return Difference(value, low, high, min(1.0, 2 * beyond / (len(drawn) + 1)))


def holm(p: Floats) -> Floats:
    """Holm's step-down adjustment of the p values of one family, shape (M,).

    Examples
    --------
    >>> print(holm(np.array([0.01, 0.04, 0.03])))
    [0.03 0.06 0.06]
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    result = np.empty(len(p))
    result[order] = np.maximum.accumulate(adjusted)
    return result


def ranks(values: Floats) -> Floats:
    """Ranks of M methods in each of N columns, (N, M); 1 is the largest, equals share their mean.

    Values are rounded to twelve digits first, so that equal seeds added in another order tie.
    """
    result: Floats = rankdata(-np.round(values, 12), axis=1)
    return result


def friedman(values: Floats) -> tuple[float, float]:
    """Friedman's test that all methods are alike, with the correction for ties.

    Parameters
    ----------
    values : ndarray, float64, shape (N, M)
        A column of a report in each row, a method in each column; three methods or more.

    Returns
    -------
    statistic, p : float
        Chi-squared with M - 1 degrees of freedom; 0 and 1 where all values are equal.
    """
    ranked = ranks(values)
    n, m = ranked.shape
    spread = ((ranked - (m + 1) / 2) ** 2).sum()
    if spread == 0:
        return 0.0, 1.0
    statistic = float((m - 1) * n**2 * ((ranked.mean(0) - (m + 1) / 2) ** 2).sum() / spread)
    return statistic, float(chi2.sf(statistic, m - 1))


def signed_rank(first: Floats, second: Floats) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on paired values, (N,); 1 where all are equal."""
    gaps = np.round(first - second, 12)
    return float(wilcoxon(gaps).pvalue) if gaps.any() else 1.0


def critical_difference(n_methods: int, n_columns: int) -> float:
    """Difference of mean ranks from which Nemenyi's test tells two of the methods apart, at 5 %.

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    quantile = float(studentized_range.ppf(CONFIDENCE, n_methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(n_methods * (n_methods + 1) / (6 * n_columns))


def nemenyi(gap: Floats, n_methods: int, n_columns: int) -> Floats:
    """P of differences of mean ranks; holds for all pairs of the methods together."""
    scaled = np.abs(gap) / math.sqrt(n_methods * (n_methods + 1) / (6 * n_columns))
    p: Floats = studentized_range.sf(scaled * math.sqrt(2), n_methods, np.inf)
    return p


def cliques(mean_ranks: Floats, gap: float) -> list[tuple[int, int]]:
    """Longest runs of methods that a critical difference does not tell apart.

    Parameters
    ----------
    mean_ranks : ndarray, float64, shape (M,)
        In rising order.
    gap : float
        The critical difference.

    Returns
    -------
    list of (int, int)
        First and last place of each run of two methods or more: the bars of the diagram.

    Examples
    --------
    >>> cliques(np.array([1.0, 1.5, 2.6, 3.0]), 1.2)
    [(0, 1), (1, 2), (2, 3)]
    """
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(mean_ranks):
        last = int(np.searchsorted(mean_ranks, rank + gap, side="left")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def area_under_bits(bits: Floats, values: Floats) -> float:
    """Area under the line of a metric against log2 of the code length, per doubling.

    It is the mean height of the line, on the scale of the metric; that of one length is its value.

    Examples
    --------
    >>> print(round(area_under_bits(np.array([16, 32, 64]), np.array([0.2, 0.4, 0.4])), 3))
    0.35
    """
    steps = np.log2(bits)
    if len(steps) == 1:
        return float(values[0])
    return float(trapezoid(values, steps) / (steps[-1] - steps[0]))
