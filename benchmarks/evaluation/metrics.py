"""From counts per Hamming distance to numbers and curves; pure functions.

Conventions, and who uses another:

- Relevant: shares a label with the query.
- AP@k: sum of the precisions at the relevant items of the top k, divided by their number, as the
  code of CIBHash, WCH, Bi-half, CIMON and GreedyHash does (``denominator="found"``, a record's
  mAP@k): one hit at rank 1 and no other scores 1. Others divide by min(k, all relevant items)
  (``"min"``, a record's mAP@k:min), which counts what was not found too and is never higher, and
  information retrieval by all relevant items (``"all"``). Without a cutoff the three are equal.
- A query that finds nothing scores 0 and stays in the mean; TBH and OH leave it out.
- Ties: a metric is its exact mean over all orders of the items at equal distance; AP, precision
  and recall take ``ties="best"`` or ``"worst"`` for the extremes over these orders. Published code
  sorts, and so draws one order: the database's, or an unstable sort's.
- A cutoff k or n beyond the database ends at its last item, and a log line says so once. P@n and
  ACG@k then divide by the items that there are.
- A query without any relevant item scores 0 everywhere; `RetrievalStats.n_without_relevant` counts
  them. NDCG and hierarchical precision score 0 where no item has a gain.
- Precision within radius r: an empty ball scores 0, and the share of queries that have one is a
  metric of its own.
- Precision-recall by radius: the mean over queries of both; precision over the queries whose ball
  is not empty, as common plotting code has it.
- RAMAP: the mean of `radius_aware_average_precision`, which says how sure its definition is.
- NDCG@k: discount 1 / log2(1 + rank); the ideal order is of the whole database. The gain is the
  caller's: ``similarity="exponential"`` is 2^r - 1 for r shared labels, as DSRH (Zhao et al., CVPR
  2015) and the code of MIHash (Cakir, He et al.) have it and as a record's NDCG@100 should;
  ``"shared"`` is r, the gain of scikit-learn's `ndcg_score`, which averages ties as we do. Where no
  item has a gain MIHash scores 1.
- ACG@k: mean gain of the nearest k, as in DSRH, where the gain is the number of shared labels.
- HP@k: summed class similarity of the nearest k over that of the ideal order. AHP@k is the plain
  mean of HP@1 .. HP@k, as the code of HPDH has it; Barz and Denzler's code takes the trapezoid rule
  (``area="trapezoid"``), which gives even the ideal order no more than 1 - 1/k. They also take the
  query out of its database; here the two are disjoint.

`benchmarks.evaluation.ties` has the algebra of ties, `benchmarks.evaluation.graded_metrics` the
metrics of gains.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmarks.evaluation.counts import RetrievalStats
from benchmarks.evaluation.graded_metrics import average_hierarchical_precision, ndcg
from benchmarks.evaluation.ties import (
    Floats,
    Groups,
    Ints,
    Ties,
    check_choice,
    cut_groups,
    full_groups,
    ratio,
)

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
    check_choice("denominator", denominator, ("found", "all", "min"))
    groups = Groups.of(stats, k)
    total = stats.relevant.sum(1)
    fixed = {"all": total, "min": np.minimum(total, groups.k), "found": None}[denominator]
    sums = full_groups(groups, ties)
    found = groups.found
    scores = ratio(sums, found if fixed is None else fixed)
    rows = np.flatnonzero(groups.c)
    if len(rows):
        width = int((groups.high - groups.low)[rows].max()) + 1
        for part in np.array_split(rows, -(-len(rows) * width // _CHUNK)):
            cut = groups.cut(part)
            scores[part] = cut_groups(
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
    groups = Groups.of(stats, n)
    share: Floats = groups.hits(ties) / max(groups.k, 1)
    return share


def recall_at(stats: RetrievalStats, n: int, ties: Ties = "expected") -> Floats:
    """Share of the relevant items that are among the nearest n, float64 (Q,)."""
    return ratio(Groups.of(stats, n).hits(ties), stats.relevant.sum(1))


def precision_within_radius(stats: RetrievalStats, r: int = 2) -> Floats:
    """Share of relevant items within Hamming distance r, float64 (Q,); an empty ball scores 0."""
    _check_radius(stats, r)
    return ratio(stats.relevant[:, : r + 1].sum(1), stats.items[:, : r + 1].sum(1))


def empty_within_radius(stats: RetrievalStats, r: int = 2) -> Floats:
    """1 for a query without any item within Hamming distance r, else 0; float64 (Q,)."""
    _check_radius(stats, r)
    empty: Floats = (stats.items[:, : r + 1].sum(1) == 0).astype(np.float64)
    return empty


def radius_aware_average_precision(
    stats: RetrievalStats, radius: int, *, time_cost: bool = False
) -> Floats:
    """RAAP@R of every query: the mean over r = 0..R of the precision within Hamming distance r.

    An empty ball counts 0. No order of ties matters, because a ball holds a distance or does not.

    The definition is read from public code that names the paper, not from the paper's text, which
    we could not see: two such files agree to the letter on both forms, and take R = K. Its abstract
    says that retrieval time matters, so ``time_cost=True`` may be the form that it reports.

    Parameters
    ----------
    stats : RetrievalStats
        Of codes, not of a ranking by floats.
    radius : int
        R, in bits; beyond K bits it ends at K.
    time_cost : bool
        Divide the precision at r by the buckets that a lookup visits, sum of C(K, i) over i <= r.

    Returns
    -------
    ndarray, float64, shape (Q,)

    Raises
    ------
    ValueError
        If the radius is negative, or `stats` ranks floats.

    References
    ----------
    Jiang, Li, Li, "On the evaluation metric for hashing", arXiv 1905.10951, 2019.

    Examples
    --------
    Balls of radius 0 and 1 hold 1 of 1 and 1 of 2 relevant items; with K = 1 bit they are 1 and 2
    buckets.

    >>> stats = RetrievalStats(np.array([[1, 1]]), np.array([[1, 0]]))
    >>> radius_aware_average_precision(stats, 1)
    array([0.75])
    >>> radius_aware_average_precision(stats, 1, time_cost=True)
    array([0.625])
    """
    _check_radius(stats, radius)
    items, relevant = (
        counts[:, : radius + 1].cumsum(1) for counts in (stats.items, stats.relevant)
    )
    precision = ratio(relevant, items)
    if time_cost:
        from scipy.special import comb  # here, as no other metric waits for it

        n_bits = stats.items.shape[1] - 1
        precision = precision / comb(n_bits, np.arange(precision.shape[1])).cumsum()
    mean: Floats = precision.mean(1)
    return mean


def _check_radius(stats: RetrievalStats, radius: int) -> None:
    if radius < 0:
        raise ValueError(f"metrics: a radius must be at least 0 bits, got {radius}")
    if not stats.hamming:
        raise ValueError(
            "metrics: a radius is a Hamming distance, got a ranking by floats; evaluate codes"
        )


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
    precision = ratio(ratio(relevant, items).sum(0), (items > 0).sum(0))
    recall = ratio(relevant, np.broadcast_to(relevant[:, -1:], relevant.shape)).mean(0)
    return precision, recall


def cutoff_curves(stats: RetrievalStats, n: Ints) -> tuple[Floats, Floats]:
    """P@n and R@n of every query at many cutoffs, exact over ties.

    Of c items kept from a group of equal distance, a share of c / n is expected of its relevant
    ones, so the hits are the straight line between the ends of the group.

    Parameters
    ----------
    stats : RetrievalStats
    n : ndarray, int64, shape (P,)
        Cutoffs, from 1 to the size of the database.

    Returns
    -------
    precision, recall : ndarray, float64, shape (Q, P)

    Examples
    --------
    >>> stats = RetrievalStats(np.array([[2, 1]]), np.array([[1, 0]]))
    >>> cutoff_curves(stats, np.array([1, 2]))
    (array([[0.5, 0.5]]), array([[0.5, 1. ]]))
    """
    ends = np.pad(stats.items.cumsum(1), ((0, 0), (1, 0)))  # (Q, G + 1)
    found = np.pad(stats.relevant.cumsum(1), ((0, 0), (1, 0)))
    hits = np.stack([np.interp(n, *of_query) for of_query in zip(ends, found, strict=True)])
    return hits / n, ratio(hits, np.broadcast_to(found[:, -1:], hits.shape))


def retrieval_metrics(
    stats: RetrievalStats, cutoff: int, *, hierarchy_cutoff: int | None = None
) -> dict[str, Floats]:
    """Every metric of a record by its name, per query; the published number is the mean.

    Metrics of Hamming balls and the best and worst order of ties are absent where `stats` comes
    from a ranking by floats, and metrics of gains where it has none.

    Parameters
    ----------
    stats : RetrievalStats
    cutoff : int
        k of the protocol's mAP@k.
    hierarchy_cutoff : int, optional
        Says that the gains are class similarities of a hierarchy, and is the k of mAHP@k. Without
        it gains come from shared labels, and give NDCG@100.

    Returns
    -------
    dict from str to ndarray, float64, shape (Q,)

    Raises
    ------
    ValueError
        If a hierarchy is announced and `stats` has no gains.
    """
    metrics = {
        "mAP": average_precision(stats),
        f"mAP@{cutoff}": average_precision(stats, cutoff),
        f"mAP@{cutoff}:min": average_precision(stats, cutoff, denominator="min"),
        "P@100": precision_at(stats, 100),
        "R@100": recall_at(stats, 100),
    }
    if stats.hamming:
        for ties in ("best", "worst"):
            metrics[f"mAP@{cutoff}:{ties}"] = average_precision(stats, cutoff, ties)
        metrics["P@H<=2"] = precision_within_radius(stats, 2)
        metrics["empty@H<=2"] = empty_within_radius(stats, 2)
    if hierarchy_cutoff is not None:
        name = f"mAHP@{hierarchy_cutoff}"
        metrics[name] = average_hierarchical_precision(stats, hierarchy_cutoff)
    elif stats.gain is not None:
        metrics["NDCG@100"] = ndcg(stats, 100)
    return metrics
