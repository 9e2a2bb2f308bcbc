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

so var d is estimated by A[1] + A[2] + B - E[1] - E[2]. A difference of two of them that comes out
negative estimates a variance, and is set to 0: A[m] and B count as no less than the E in them. Of
the mean of one method, B is the variance of its Q means over seeds, and there is one A and one E.

d over its standard error follows no Student t: A has as few degrees of freedom as there are seeds
and B many, and which of them matters is not known. One t with the degrees of freedom of
Satterthwaite's formula for the whole sum holds its level for two methods, and fails far out in the
tails, where Holm's correction for many pairs looks: where A happens to be small it is left out of
the formula too. So only the A of the two methods are summed up in that way (which is Welch's test
where queries do not matter), and A + B by the distribution of Behrens and Fisher, which lets the
true share of each be anything that the data allow. docs/statistics.md has simulated errors of both.

References
----------
Searle, Casella and McCulloch, "Variance Components", 1992 (mean squares of two-way layouts).
Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
Bulletin 1946. Welch, "The generalization of Student's problem", Biometrika 1947. Fisher, "The
fiducial argument in statistical inference", Annals of Eugenics 1935. Tsui and Weerahandi,
"Generalized p-values", JASA 1989 (its integral over a beta variable). Holm, "A simple sequentially
rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import beta, betaincinv, expit, logit, ndtri, stdtr, stdtrit

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
    """Standard errors of N estimates, and where they come from; all ndarray, float64, shape (N,).

    Attributes
    ----------
    size : ndarray
        Standard error.
    of_seeds : ndarray
        Share of seeds in its square; the rest is of queries.
    seeds_df, queries_df : ndarray
        Degrees of freedom of the two parts.
    """

    size: Floats
    of_seeds: Floats
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
    """Return the standard errors of the means of N methods, which all have the same Q queries."""
    of_queries = [sample.by_query.var(ddof=1) / len(sample.by_query) for sample in samples]
    return _errors(np.array(of_queries), *_columns([[sample] for sample in samples]))


def pair_errors(samples: Sequence[Sample]) -> tuple[Floats, Errors]:
    """Return the differences of all pairs of M methods and their standard errors.

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


def _columns(groups: Sequence[Sequence[Sample]]) -> tuple[Floats, Floats, Floats, int]:
    """Return A, E and the degrees of freedom of A, each (N, 1 or 2), and the number of queries."""
    table = [[(one.seeds, one.rest, one.n_seeds - 1) for one in group] for group in groups]
    seeds, rest, degrees = np.moveaxis(np.array(table, dtype=np.float64), -1, 0)
    return seeds, rest, degrees, len(groups[0][0].by_query)


def _errors(
    of_queries: Floats, of_seeds: Floats, rest: Floats, degrees: Floats, n_queries: int
) -> Errors:
    """Put B, A and E together; of N estimates, A and E have a column for each method in it."""
    counted_twice = rest.sum(1)
    kept = np.maximum(of_seeds, rest)
    seeds, queries = kept.sum(1), np.maximum(of_queries, counted_twice)
    both = seeds + queries
    with np.errstate(invalid="ignore"):  # 0 / 0 where nothing varies
        share = np.where(both > 0, seeds / both, 0.0)
        welch = np.where(seeds > 0, seeds**2 / (kept**2 / degrees).sum(1), degrees.sum(1))
    size = np.sqrt(both - counted_twice)
    return Errors(size, share, welch, np.full(len(size), n_queries - 1.0))


def two_sided_p(value: Floats, errors: Errors) -> Floats:
    """Two-sided p of N estimates under the hypothesis that they estimate 0.

    It is 1 for an estimate of 0, and 0 for any other that does not vary.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(value == 0, 0.0, np.abs(value) / errors.size)
    scale, weights, degrees = _mixture(errors)
    p: Floats = np.minimum(1.0, 2 * stdtr(degrees, -ratio[:, None] * scale) @ weights)
    return p


def half_width(errors: Errors) -> Floats:
    """Half of the 95 % interval of N estimates: that far away p is 5 %.

    Newton's method from the quantile of the normal distribution. Beyond it p falls and is convex,
    so it comes from below; ten steps are more than any of the degrees of freedom take.
    """
    scale, weights, degrees = _mixture(errors)
    height = 2 * scale / (np.sqrt(degrees) * beta(0.5, degrees / 2))
    ratio = np.full((len(scale), 1), ndtri((1 + CONFIDENCE) / 2))
    for _ in range(10):
        at = ratio * scale
        slope = height * (1 + at**2 / degrees) ** (-(degrees + 1) / 2) @ weights
        ratio[:, 0] += (2 * stdtr(degrees, -at) @ weights - ALPHA) / slope
    width: Floats = ratio[:, 0] * errors.size
    return width


def _mixture(errors: Errors) -> tuple[Floats, Floats, Floats]:
    """Return the Behrens-Fisher distribution of N estimates as a mixture of scaled t.

    Given the share b of seeds in the sum of two chi-squared variables, which is a beta variable,
    estimate / error is t with all degrees of freedom together.

    Returns
    -------
    scale : ndarray, float64, shape (N, K)
        By which the ratio is to be multiplied, at each of K values of b.
    weights : ndarray, float64, shape (K,)
    degrees : ndarray, float64, shape (N, 1)
    """
    share, seeds, queries = (part[:, None] for part in errors[1:])
    b = betaincinv(seeds / 2, queries / 2, _NODES)
    spread = share * seeds / b + (1 - share) * queries / (1 - b)
    return np.sqrt((seeds + queries) / spread), _WEIGHTS, seeds + queries


def _quadrature() -> tuple[Floats, Floats]:
    """Nodes and weights for an integral over probabilities from 0 to 1, dense at both ends."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    nodes = (nodes + 1) / 2
    lower, weights = nodes**5 / 2, weights * 5 * nodes**4 / 4
    return np.concatenate([lower, 1 - lower]), np.concatenate([weights, weights])


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
