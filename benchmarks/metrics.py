"""From counts per Hamming distance to numbers and curves; pure functions.

Conventions, and who uses another:

- Relevant: shares a label with the query.
- AP@k: mean of the precisions at the relevant items of the top k, divided by their number, as the
  code of CIBHash, WCH, Bi-half, CIMON and GreedyHash does (``denominator="found"``). Information
  retrieval divides by all relevant items (``"all"``), and others by min(k, all) (``"min"``).
- A query that finds nothing scores 0 and stays in the mean; TBH and OH leave it out.
- Ties: with ``ties="expected"`` a metric is its exact mean over all orders of the items at equal
  distance; ``"best"`` and ``"worst"`` are the extremes over these orders. Published code sorts, and
  so draws one order: the database's, or an unstable sort's.
- mAP@k, P@n and R@n with a cutoff beyond the database end at its last item.
- Precision within radius r: an empty ball scores 0, and the share of queries that have one is a
  metric of its own.
- Precision-recall by radius: the mean over queries of both; precision over the queries whose ball
  is not empty, as common plotting code has it.

In the formulas, one distance ("group") holds n items of which r are relevant; t items and R
relevant ones lie nearer. A group that the cutoff k cuts keeps c = k - t of its items.

References
----------
McSherry and Najork, "Computing information retrieval performance measures efficiently in the
presence of tied scores", ECIR 2008. He, Cakir, Bargal, Sclaroff, "Hashing as tie-aware learning to
rank", CVPR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from benchmarks.evaluation import RetrievalStats

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Ties = Literal["expected", "best", "worst"]
Denominator = Literal["found", "all", "min"]

_CHUNK = 2**20  # entries of the largest temporary array


def average_precision(
    stats: RetrievalStats,
    k: int | None = None,
    ties: Ties = "expected",
    denominator: Denominator = "found",
) -> Floats:
    """AP@k of every query, exact over ties.

    Of the items at equal distance only those that the cutoff cuts change how many are found. Their
    number of relevant ones x is hypergeometric, and given x their order is uniform, so the
    expectation is a sum over x even though x stands in the denominator. The best and worst order
    take the extreme over x too: one early hit can be worth more than two.

    Parameters
    ----------
    stats : RetrievalStats
    k : int, optional
        Cutoff; None ranks the whole database.
    ties : "expected", "best" or "worst"
    denominator : "found", "all" or "min"

    Returns
    -------
    ndarray, float64, shape (Q,)

    Examples
    --------
    Two items at distance 0, one of them relevant: precision 1 or 1/2 at the hit.

    >>> stats = RetrievalStats(np.array([[2, 1]]), np.array([[1, 0]]))
    >>> average_precision(stats), average_precision(stats, ties="best")
    (array([0.75]), array([1.]))
    """
    _check_choice("denominator", denominator, ("found", "all", "min"))
    groups = _Groups.of(stats, k)
    total = stats.relevant.sum(1)
    fixed = {"all": total, "min": np.minimum(total, groups.k), "found": None}[denominator]
    sums = _full_groups(groups, ties)
    found = groups.found
    scores = _ratio(sums, found if fixed is None else fixed)
    rows = np.flatnonzero(groups.c)
    if len(rows):
        width = int((groups.high - groups.low)[rows].max()) + 1
        for part in np.array_split(rows, -(-len(rows) * width // _CHUNK)):
            cut = groups.cut(part)
            scores[part] = _cut_groups(
                cut, sums[part], None if fixed is None else fixed[part], ties, width
            )
    return scores


def mean_average_precision(
    stats: RetrievalStats,
    k: int | None = None,
    ties: Ties = "expected",
    denominator: Denominator = "found",
) -> float:
    """mAP@k: the mean of `average_precision` over all queries."""
    return float(average_precision(stats, k, ties, denominator).mean())


def precision_at(stats: RetrievalStats, n: int, ties: Ties = "expected") -> Floats:
    """Share of relevant items among the nearest n, float64 (Q,).

    Examples
    --------
    >>> stats = RetrievalStats(np.array([[2, 1]]), np.array([[1, 0]]))
    >>> precision_at(stats, 1)
    array([0.5])
    """
    groups = _Groups.of(stats, n)
    share: Floats = groups.hits(ties) / max(groups.k, 1)
    return share


def recall_at(stats: RetrievalStats, n: int, ties: Ties = "expected") -> Floats:
    """Share of the relevant items that are among the nearest n, float64 (Q,)."""
    return _ratio(_Groups.of(stats, n).hits(ties), stats.relevant.sum(1))


def precision_within_radius(stats: RetrievalStats, r: int = 2) -> Floats:
    """Share of relevant items within Hamming distance r, float64 (Q,); an empty ball scores 0."""
    return _ratio(stats.relevant[:, : r + 1].sum(1), stats.items[:, : r + 1].sum(1))


def empty_within_radius(stats: RetrievalStats, r: int = 2) -> Floats:
    """1 for a query without any item within Hamming distance r, else 0; float64 (Q,)."""
    empty: Floats = (stats.items[:, : r + 1].sum(1) == 0).astype(np.float64)
    return empty


def precision_recall_curve(stats: RetrievalStats) -> tuple[Floats, Floats]:
    """Precision and recall of the ball of each radius.

    Returns
    -------
    precision, recall : ndarray, float64, shape (K + 1,)
        Entry d holds the means over queries at radius d. A radius at which every ball is empty has
        precision 0.

    Examples
    --------
    >>> stats = RetrievalStats(np.array([[2, 2]]), np.array([[2, 0]]))
    >>> precision_recall_curve(stats)
    (array([1. , 0.5]), array([1., 1.]))
    """
    items, relevant = stats.items.cumsum(1), stats.relevant.cumsum(1)
    precision = _ratio(_ratio(relevant, items).sum(0), (items > 0).sum(0))
    recall = _ratio(relevant, np.broadcast_to(relevant[:, -1:], relevant.shape)).mean(0)
    return precision, recall


def retrieval_metrics(stats: RetrievalStats, cutoff: int) -> dict[str, Floats]:
    """Every metric of a record by its name, per query; the published number is the mean.

    Metrics of Hamming balls are absent where `stats` comes from a ranking by floats.

    Parameters
    ----------
    stats : RetrievalStats
    cutoff : int
        k of the protocol's mAP@k.

    Returns
    -------
    dict from str to ndarray, float64, shape (Q,)
    """
    metrics = {
        "mAP": average_precision(stats),
        f"mAP@{cutoff}": average_precision(stats, cutoff),
        "P@100": precision_at(stats, 100),
        "R@100": recall_at(stats, 100),
    }
    if stats.hamming:
        metrics["P@H<=2"] = precision_within_radius(stats, 2)
        metrics["empty@H<=2"] = empty_within_radius(stats, 2)
    return metrics


@dataclass(frozen=True)
class _Groups:
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
    def of(cls, stats: RetrievalStats, k: int | None) -> _Groups:
        if k is not None and k < 1:
            raise ValueError(f"metrics: a cutoff must be at least 1, got {k}; None ranks all")
        n, r = stats.items, stats.relevant
        end, found = n.cumsum(1), r.cumsum(1)
        size = int(end[:, -1].max(initial=0))
        k = size if k is None else min(k, size)
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
        _check_choice("ties", ties, ("expected", "best", "worst"))
        if ties == "expected":
            return self.found + self.r_c * _ratio(self.c, self.n_c)
        return (self.found + (self.high if ties == "best" else self.low)).astype(np.float64)

    def cut(self, rows: Ints) -> _Cut:
        """Take the cut groups of some queries, as columns."""
        columns = (self.c, self.n_c, self.r_c, self.t_c, self.found, self.low, self.high)
        return _Cut(*(column[rows][:, None] for column in columns))


@dataclass(frozen=True)
class _Cut:
    """Cut groups, each field int64 (rows, 1)."""

    c: Ints
    n: Ints
    r: Ints
    t: Ints
    R: Ints
    low: Ints
    high: Ints


def _check_choice(name: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ValueError(f"metrics: {name} must be one of {', '.join(known)}, got {given!r}")


def _full_groups(groups: _Groups, ties: Ties) -> Floats:
    """Sum of the precisions at the relevant items of the groups within the cutoff, (Q,)."""
    _check_choice("ties", ties, ("expected", "best", "worst"))
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
    h: Floats = digamma(t + n + 1) - digamma(t + 1)
    return h


def _cut_groups(cut: _Cut, sums: Floats, fixed: Ints | None, ties: Ties, width: int) -> Floats:
    """AP of queries whose last group is cut: a mean or an extreme over its number x of hits."""
    x = cut.low + np.arange(width)  # (rows, width)
    possible = x <= cut.high
    x = np.where(possible, x, cut.low)
    precisions = _precisions(cut.c, x, cut.t, cut.R, ties)
    below = cut.R + x if fixed is None else np.broadcast_to(fixed[:, None], x.shape)
    scores = _ratio(sums[:, None] + precisions, below)
    result: Floats
    if ties == "expected":
        result = (_hypergeometric(cut, x, possible) * scores).sum(1)
    elif ties == "best":
        result = np.where(possible, scores, -np.inf).max(1)
    else:
        result = np.where(possible, scores, np.inf).min(1)
    return result


def _hypergeometric(cut: _Cut, x: Ints, possible: NDArray[np.bool_]) -> Floats:
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


def _ratio(above: Ints | Floats, below: Ints | Floats) -> Floats:
    """Quotient where the divisor is positive, 0 elsewhere."""
    out = np.zeros(np.broadcast_shapes(above.shape, below.shape))
    np.divide(above, below, out=out, where=below > 0)
    return out
