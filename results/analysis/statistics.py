"""What seeds and queries allow to say about a mean and about the difference of two means.

Plain functions of arrays. `results.analysis.comparisons` applies them to the records of a report.

The value of method m with its seed s on query q is taken as ::

    y[m, s, q] = mu[m] + query[q] + own[m, q] + seed[m, s] + rest[m, s, q]

Queries are crossed with methods: all methods answer the same ones, so what makes a query hard for
all of them, `query`, drops out of a difference, and what makes it hard for one of them, `own`, does
not. Seeds are nested in methods: seed 0 of one has nothing to do with seed 0 of another. All terms
but `mu` are random with mean 0 and independent. With S[m] seeds, Q queries and d the difference of
the means of methods 1 and 2 over all their values, ::

    var d = var(own[1] - own[2]) / Q + sum over m of (var seed[m] / S[m] + var rest[m] / (S[m] Q))

Three kinds of mean squares estimate it. Their expectations are sums of the same variances: ::

    A[m]  variance of the S[m] means over queries, / S[m]      var seed / S + var rest / (S Q)
    B     variance of the Q differences of means over seeds, / Q
                                        var(own[1] - own[2]) / Q + sum of var rest / (S Q)
    E[m]  variance of what the means of seed and query leave, / (S[m] Q)        var rest / (S Q)

so A[1] + A[2] + B - E[1] - E[2] estimates var d. For the mean of one method, B is the variance of
its Q means over seeds, / Q, and there is one A and one E.

d over its standard error follows no Student t: the A have as few degrees of freedom as there are
seeds, B has many, and which of them matters is not known. One t with the degrees of freedom of
Satterthwaite's formula for the whole sum holds its level for two methods, and fails far out in the
tails, where Holm's correction for many pairs looks: where A happens to be small, the formula leaves
it out too. So only A = A[1] + A[2] is given its degrees of freedom by that formula, and the
uncertainty of A and B is averaged over instead: the true value behind a mean square X with f
degrees of freedom is taken as X f / chi-squared(f), no less than the E in it since variances are
not negative, and p is the mean of the p of a normal distribution over all these values, ::

    p = mean of 2 Phi(-|d| / sigma),    sigma^2 = max(A*, E) + max(B*, E) - E

E = E[1] + E[2] has many degrees of freedom and counts as known. Where E is 0 this is the test of
Behrens and Fisher; where B is 0 as well it is Welch's test of the means of seeds, and where A is,
the paired t test of the means of queries. docs/statistics.md has its simulated errors.

References
----------
Searle, Casella and McCulloch, "Variance Components", 1992 (mean squares of two-way layouts).
Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
Bulletin 1946. Welch, "The generalization of Student's problem", Biometrika 1947. Fisher, "The
fiducial argument in statistical inference", Annals of Eugenics 1935. Tsui and Weerahandi,
"Generalized p-values in significance testing of hypotheses in the presence of nuisance parameters",
JASA 1989. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
Statistics 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaincinv, logit, ndtr, stdtrit

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
MIN_SEEDS = 3
"""With two seeds the spread over seeds is too uncertain for a level that holds."""
MIN_QUERIES = 10


class Difference(NamedTuple):
    """A mean difference, its 95 % interval and two-sided p; NaN where it could not be tested."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Sample:
    """The runs of one method, S seeds by Q queries, as means and squared standard errors.

    Attributes
    ----------
    mean : float
    by_query : ndarray, float64, shape (Q,)
        Means over seeds.
    seeds, rest : float
        A and E of the module's docstring; NaN with one seed.
    n_seeds : int
    """

    mean: float
    by_query: Floats
    seeds: float
    rest: float
    n_seeds: int

    @property
    def testable(self) -> bool:
        """Whether there are enough seeds and queries for an error that is known to hold."""
        return self.n_seeds >= MIN_SEEDS and len(self.by_query) >= MIN_QUERIES


class Errors(NamedTuple):
    """Mean squares of N estimates; all ndarray, float64, shape (N,).

    Attributes
    ----------
    seeds, queries, rest : ndarray
        A, B and E of the module's docstring, summed over the methods of an estimate.
    seeds_df, queries_df : ndarray
        Degrees of freedom of A and B.
    """

    seeds: Floats
    queries: Floats
    rest: Floats
    seeds_df: Floats
    queries_df: Floats


def summary(values: NDArray[Any]) -> Sample:
    """Reduce the values of one method, shape (S, Q), to what tests and intervals need."""
    values = values.astype(np.float64)
    n_seeds, n_queries = values.shape
    by_seed, by_query = values.mean(1), values.mean(0)
    mean = float(by_query.mean())
    if n_seeds == 1 or n_queries == 1:
        return Sample(mean, by_query, np.nan, np.nan, n_seeds)
    rest = ((values - by_seed[:, None] - by_query + mean) ** 2).sum()
    rest /= (n_seeds - 1) * (n_queries - 1) * n_seeds * n_queries
    return Sample(mean, by_query, by_seed.var(ddof=1) / n_seeds, float(rest), n_seeds)


def mean_errors(samples: Sequence[Sample]) -> Errors:
    """Return the mean squares of the means of N methods, which all have the same Q queries."""
    of_queries = [sample.by_query.var(ddof=1) / len(sample.by_query) for sample in samples]
    return _errors(np.array(of_queries), *_columns([[sample] for sample in samples]))


def pair_errors(samples: Sequence[Sample]) -> tuple[Floats, Errors]:
    """Return the differences of all pairs of M methods and their mean squares.

    Parameters
    ----------
    samples : sequence of Sample
        All testable, and of the same Q queries.

    Returns
    -------
    value : ndarray, float64, shape (M * (M - 1) / 2,)
        The mean of the first over that of the second, in the order of `itertools.combinations`.
        Rounded to twelve digits, so that equal values added in another order are equal.
    errors : Errors
    """
    first, second = np.triu_indices(len(samples), 1)
    means = np.array([sample.mean for sample in samples])
    by_query = np.stack([sample.by_query for sample in samples])
    # A row at a time: all pairs by all queries would be large, and a covariance matrix inexact.
    of_queries = [(row - by_query[n + 1 :]).var(1, ddof=1) for n, row in enumerate(by_query)]
    pairs = list(combinations(samples, 2))
    errors = _errors(np.concatenate(of_queries) / by_query.shape[1], *_columns(pairs))
    return np.round(means[first] - means[second], 12), errors


def difference(first: NDArray[Any], second: NDArray[Any]) -> Difference:
    """Compare two methods by their values on the same queries.

    Parameters
    ----------
    first, second : ndarray, shapes (S, Q) and (T, Q)
        A row a seed, a column a query; AP, say, as `query_ap` of stored runs or of
        `benchmarks.evaluation.average_precision` holds it.

    Returns
    -------
    Difference
        The mean of the first over that of the second, its 95 % interval, and p.

    Raises
    ------
    ValueError
        If there are fewer than three seeds of either or two queries, or the queries differ in
        number.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ap = rng.uniform(0.2, 0.6, 500)
    >>> runs = ap + 0.01 * rng.normal(size=(5, 500))
    >>> difference(runs + 0.02, ap + 0.01 * rng.normal(size=(5, 500))).p < 0.05
    True
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            "difference: expected values (seeds, queries) of the same queries, got "
            f"{first.shape} and {second.shape}"
        )
    if min(len(first), len(second)) < MIN_SEEDS or first.shape[1] < 2:
        raise ValueError(
            f"difference: needs at least {MIN_SEEDS} seeds and 2 queries, got {first.shape} and "
            f"{second.shape}; run more seeds"
        )
    value, errors = pair_errors([summary(first), summary(second)])
    half = half_width(errors)
    p = two_sided_p(value, errors)
    return Difference(*(float(x[0]) for x in (value, value - half, value + half, p)))


def _columns(groups: Sequence[Sequence[Sample]]) -> tuple[Floats, Floats, Floats, int]:
    """Return A, E and the degrees of freedom of A, each (N, 1 or 2), and the number of queries."""
    table = [[(one.seeds, one.rest, one.n_seeds - 1) for one in group] for group in groups]
    seeds, rest, degrees = np.moveaxis(np.array(table, dtype=np.float64), -1, 0)
    return seeds, rest, degrees, len(groups[0][0].by_query)


def _errors(
    queries: Floats, seeds: Floats, rest: Floats, degrees: Floats, n_queries: int
) -> Errors:
    """Sum A and E over the methods, which are their columns."""
    total = seeds.sum(1)
    with np.errstate(invalid="ignore"):  # 0 / 0 where seeds are equal
        satterthwaite = total**2 / (seeds**2 / degrees).sum(1)
    of_seeds = np.where(total > 0, satterthwaite, degrees.sum(1))
    return Errors(total, queries, rest.sum(1), of_seeds, np.full(len(total), n_queries - 1.0))


def two_sided_p(value: Floats, errors: Errors) -> Floats:
    """Two-sided p of N estimates under the hypothesis that they estimate 0.

    It is 1 for an estimate of 0, and 0 for any other that does not vary.
    """
    return np.where(value == 0, 1.0, _tails(np.abs(value), _sigma(errors)))


def half_width(errors: Errors) -> Floats:
    """Half of the 95 % interval of N estimates: that far away p is 5 %.

    p falls with the distance and is convex, so Newton's method reaches its end from below.
    """
    sigma = _sigma(errors)
    width = np.sqrt(errors.seeds + errors.queries + errors.rest)
    varies = width > 0
    sigma, half = sigma[varies], width[varies]
    for _ in range(20):
        density = np.exp(-0.5 * (half[:, None, None] / sigma) ** 2) / sigma
        slope = math.sqrt(2 / math.pi) * (density @ _WEIGHTS @ _WEIGHTS)
        half += (_tails(half, sigma) - ALPHA) / slope
    width[varies] = half
    return width


def _sigma(errors: Errors) -> Floats:
    """Return standard errors of N estimates, (N, K, K), by K x K possible true A and B."""
    a, b = (
        np.maximum((square * degrees / 2)[:, None] / _half_chi_squared(degrees), rest[:, None])
        for square, degrees, rest in (
            (errors.seeds, errors.seeds_df, errors.rest),
            (errors.queries, errors.queries_df, errors.rest),
        )
    )
    sigma: Floats = np.sqrt(a[:, :, None] + b[:, None, :] - errors.rest[:, None, None])
    return sigma


def _half_chi_squared(degrees: Floats) -> Floats:
    """Halves of the quantiles of chi-squared at `_NODES`, (N, K)."""
    known, places = np.unique(degrees, return_inverse=True)
    quantiles: Floats = gammaincinv(known[:, None] / 2, _NODES)[places]
    return quantiles


def _tails(distance: Floats, sigma: Floats) -> Floats:
    """Probability of N distances from the mean or larger ones, averaged over (N, K, K) sigmas."""
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing is beyond 0 where nothing varies
        beyond = ndtr(-distance[:, None, None] / sigma)
    tails: Floats = 2 * beyond @ _WEIGHTS @ _WEIGHTS
    return tails


def _quadrature() -> tuple[Floats, Floats]:
    """Nodes and weights for a mean over probabilities, dense at 0: there true values are large."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    nodes = (nodes + 1) / 2
    return nodes**4, weights / 2 * 4 * nodes**3


_NODES, _WEIGHTS = _quadrature()


def half_width_over_seeds(std: Floats, n: NDArray[np.int64]) -> Floats:
    """Half of Student's 95 % interval of a mean over n seeds, whose queries are fixed.

    Parameters
    ----------
    std : ndarray, float64, shape (M,)
        Sample standard deviation (n - 1 in the denominator).
    n : ndarray, int64, shape (M,)
        Number of seeds.

    Returns
    -------
    ndarray, float64, shape (M,)
        NaN where n is below `MIN_SEEDS`: of two seeds it is six times their distance.

    Examples
    --------
    >>> print(half_width_over_seeds(np.array([1.0, 1.0]), np.array([3, 2])).round(3))
    [2.484   nan]
    """
    enough = n >= MIN_SEEDS
    quantile = stdtrit(np.where(enough, n - 1, 1), (1 + CONFIDENCE) / 2)
    return np.where(enough, quantile * std / np.sqrt(n), np.nan)


def interval_in_unit(mean: Floats, half: Floats) -> tuple[Floats, Floats]:
    """Lower and upper end of an interval for means of values in [0, 1].

    It is symmetric for the logit of the mean, so it never leaves [0, 1] and reaches further to the
    side on which there is room. Means of AP, whose values pile up at 0 or 1, are covered more often
    than by a symmetric interval that is cut off.

    Examples
    --------
    >>> low, high = interval_in_unit(np.array([0.5, 0.95]), np.array([0.1, 0.1]))
    >>> print(low.round(3), high.round(3))
    [0.401 0.698] [0.599 0.994]
    """
    inside = (mean > 0) & (mean < 1)
    centre = np.where(inside, mean, 0.5)
    around, reach = logit(centre), half / (centre * (1 - centre))
    low, high = expit(around - reach), expit(around + reach)
    # All values of a mean of 0 or 1 are 0 or 1.
    return np.where(inside, low, mean - half), np.where(inside, high, mean + half)


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
