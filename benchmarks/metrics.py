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

`benchmarks.ties` has the algebra of ties.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmarks.evaluation import RetrievalStats
from benchmarks.ties import Floats, Groups, Ties, check_choice, cut_groups, full_groups, ratio

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
    return ratio(stats.relevant[:, : r + 1].sum(1), stats.items[:, : r + 1].sum(1))


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
    precision = ratio(ratio(relevant, items).sum(0), (items > 0).sum(0))
    recall = ratio(relevant, np.broadcast_to(relevant[:, -1:], relevant.shape)).mean(0)
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
