"""Exact sums over tied items: the algebra behind `benchmarks.evaluation.metrics`.

One distance ("group") holds n items of which r are relevant; t items and R relevant ones lie
nearer. A group that the cutoff k cuts keeps c = k - t of its items.

References
----------
McSherry and Najork, "Computing information retrieval performance measures efficiently in the
presence of tied scores", ECIR 2008. He, Cakir, Bargal, Sclaroff, "Hashing as tie-aware learning to
rank", CVPR 2018.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.counts import RetrievalStats

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Ties = Literal["expected", "best", "worst"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Groups:
    """Groups of equal distance under a cutoff.

    Attributes
    ----------
    n, r, t, R : ndarray, shape (Q, G)
        Items, relevant items, and both at smaller distances; 0 where the group is not whole within
        the cutoff.
    c : ndarray, shape (Q,)
        Items kept of the group that the cutoff cuts; 0 where it falls between groups.
    n_c, r_c, t_c, found : ndarray, shape (Q,)
        n, r, t and R of the cut group; `found` is also right where nothing is cut.
    """

    k: int
    n: Ints
    r: Ints
    t: Ints
    R: Ints
    c: Ints
    n_c: Ints
    r_c: Ints
    t_c: Ints
    found: Ints

    @classmethod
    def of(cls, stats: RetrievalStats, k: int | None) -> Groups:
        """Cut counts at k items, as `cutoff_of` has it."""
        n, r = stats.items, stats.relevant
        end, found = n.cumsum(1), r.cumsum(1)
        k = cutoff_of(stats, k)
        whole = end <= k
        cut = (~whole).argmax(1)[:, None]  # the first group that reaches beyond k
        is_cut = ~whole.all(1)

        def at_cut(values: Ints) -> Ints:
            return np.where(is_cut, np.take_along_axis(values, cut, 1)[:, 0], 0)

        t_c = at_cut(end - n)
        return cls(
            k=k,
            n=np.where(whole, n, 0),
            r=np.where(whole, r, 0),
            t=end - n,
            R=found - r,
            c=np.where(is_cut, k - t_c, 0),
            n_c=at_cut(n),
            r_c=at_cut(r),
            t_c=t_c,
            found=np.where(whole, r, 0).sum(1),
        )

    @property
    def low(self) -> Ints:
        """Fewest relevant items that can be among the c kept."""
        return np.maximum(0, self.c - (self.n_c - self.r_c))

    @property
    def high(self) -> Ints:
        """Most relevant items that can be among the c kept."""
        return np.minimum(self.c, self.r_c)

    def hits(self, ties: Ties) -> Floats:
        """Relevant items within the cutoff."""
        check_choice("ties", ties, ("expected", "best", "worst"))
        if ties == "expected":
            return self.found + self.r_c * ratio(self.c, self.n_c)
        return (self.found + (self.high if ties == "best" else self.low)).astype(np.float64)

    def cut(self, rows: Ints) -> Cut:
        """Take the cut groups of some queries, as columns."""
        columns = (self.c, self.n_c, self.r_c, self.t_c, self.found, self.low, self.high)
        return Cut(*(column[rows][:, None] for column in columns))


@dataclass(frozen=True)
class Cut:
    """Cut groups, each field int64 (rows, 1)."""

    c: Ints
    n: Ints
    r: Ints
    t: Ints
    R: Ints
    low: Ints
    high: Ints


def check_choice(name: str, given: str, known: tuple[str, ...]) -> None:
    """Raise ValueError unless `given` is one of the known words for the setting `name`."""
    if given not in known:
        raise ValueError(f"metrics: {name} must be one of {', '.join(known)}, got {given!r}")


def cutoff_of(stats: RetrievalStats, k: int | None) -> int:
    """Return the cutoff k in items; None, or one beyond the database, is the whole database.

    A cutoff that is cut short is logged as a warning, once a process for each k and database size.

    Raises
    ------
    ValueError
        If k is below 1.
    """
    if k is not None and k < 1:
        raise ValueError(f"metrics: a cutoff must be at least 1, got {k}; None ranks all")
    size = int(stats.items[:1].sum())  # every query ranks the same items
    if k is None:
        return size
    if k > size:
        _say_once(k, size)
    return min(k, size)


@cache
def _say_once(k: int, size: int) -> None:
    _LOG.warning("metrics: the cutoff %d ends at the last of the %d database items", k, size)


def full_groups(groups: Groups, ties: Ties) -> Floats:
    """Sum of the precisions at the relevant items of the groups within the cutoff, (Q,)."""
    check_choice("ties", ties, ("expected", "best", "worst"))
    where = np.nonzero(groups.r)
    n, r, t, R = (values[where] for values in (groups.n, groups.r, groups.t, groups.R))
    sums = np.zeros(groups.r.shape)
    sums[where] = _precisions(n, r, t, R, ties)
    total: Floats = sums.sum(1)
    return total


def _precisions(
    n: Ints,
    r: Ints,
    t: Ints,
    R: Ints,
    ties: Ties,
) -> Floats:
    """Sum of precisions at r relevant items among n in a row, after t items with R relevant.

    Expected: position i is relevant with probability r/n, and then sees 1 + (i-1)(r-1)/(n-1) of
    the group's relevant items, itself included; 1/(t+i) sums to a difference of digammas.
    """
    if ties == "expected":
        h = _harmonic(t, n)
        later = (r - 1) / np.maximum(n - 1, 1) * (n - (t + 1) * h)
        return r / n * ((R + 1) * h + later)
    before = 0 if ties == "best" else n - r  # irrelevant items of the group that come first
    return r + (R - t - before) * _harmonic(t + before, r)


def _harmonic(t: Ints, n: Ints) -> Floats:
    """Sum of 1/(t+i) for i = 1..n."""
    from scipy.special import digamma  # a call that finds all cells stored does not wait for it

    h: Floats = digamma(t + n + 1) - digamma(t + 1)
    return h


def cut_groups(cut: Cut, sums: Floats, fixed: Ints | None, ties: Ties, width: int) -> Floats:
    """AP of queries whose last group is cut: a mean or an extreme over its number x of hits.

    Parameters
    ----------
    cut : Cut
        The cut groups of q queries.
    sums : ndarray, float64, shape (q,)
        Their `full_groups`.
    fixed : ndarray, int64, shape (q,), optional
        Divisor of the sum of precisions; None divides by the relevant items found.
    ties : "expected", "best" or "worst"
    width : int
        Most values that x can take, over these queries.

    Returns
    -------
    ndarray, float64, shape (q,)
    """
    x = cut.low + np.arange(width)  # (rows, width)
    possible = x <= cut.high
    x = np.where(possible, x, cut.low)
    precisions = _precisions(cut.c, x, cut.t, cut.R, ties)
    below = cut.R + x if fixed is None else np.broadcast_to(fixed[:, None], x.shape)
    scores = ratio(sums[:, None] + precisions, below)
    result: Floats
    if ties == "expected":
        result = (_hypergeometric(cut, x, possible) * scores).sum(1)
    elif ties == "best":
        result = np.where(possible, scores, -np.inf).max(1)
    else:
        result = np.where(possible, scores, np.inf).min(1)
    return result


def _hypergeometric(cut: Cut, x: Ints, possible: NDArray[np.bool_]) -> Floats:
    """Probability of x relevant among c of n items, from the ratios of neighbours."""
    y = x[:, :-1]
    step = possible[:, 1:]
    with np.errstate(divide="ignore"):
        rise = np.log((cut.r - y) * (cut.c - y)) - np.log((y + 1) * (cut.n - cut.r - cut.c + y + 1))
    log_p = np.zeros(x.shape)
    log_p[:, 1:] = np.where(step, rise, 0.0).cumsum(1)
    log_p = np.where(possible, log_p, -np.inf)
    p = np.exp(log_p - log_p.max(1, keepdims=True))
    normalised: Floats = p / p.sum(1, keepdims=True)
    return normalised


def ratio(above: Ints | Floats, below: Ints | Floats) -> Floats:
    """Quotient where the divisor is positive, 0 elsewhere."""
    out = np.zeros(np.broadcast_shapes(above.shape, below.shape))
    np.divide(above, below, out=out, where=below > 0)
    return out
