"""Metrics of graded relevance, from summed gains per Hamming distance; pure functions.

`evaluate(..., similarity=...)` says what an item is worth to a query, its gain; the opening of
`benchmarks.evaluation.metrics` states the convention of each metric.

Each metric here is linear in the gains, and its ideal ranking depends on no tie. So its mean over
all orders of the items at equal distance is exact when each item gets the mean gain of its
distance.

References
----------
Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 2002. Deng,
Berg, Fei-Fei, "Hierarchical semantic indexing for large scale image retrieval", CVPR 2011. Barz
and Denzler, "Hierarchy-based image embeddings for semantic image retrieval", WACV 2019.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from benchmarks.evaluation.counts import RetrievalStats
from benchmarks.evaluation.graded_relevance import Grades
from benchmarks.evaluation.ties import Floats, Ints, check_choice, cutoff_of, ratio

Area = Literal["mean", "trapezoid"]

_CHUNK = 2**20  # entries of the largest temporary array


def ndcg(stats: RetrievalStats, k: int) -> Floats:
    """NDCG@k of every query: gains discounted by 1 / log2(1 + rank), over those of the ideal order.

    Parameters
    ----------
    stats : RetrievalStats
        With gains: ``similarity="exponential"`` makes the gain 2^r - 1 of r shared labels,
        ``"shared"`` the gain r.
    k : int
        Cutoff, in items.

    Returns
    -------
    ndarray, float64, shape (Q,)
        In [0, 1]; 0 where no database item has a gain.

    Raises
    ------
    ValueError
        If `stats` has no gains, or k is below 1.

    Examples
    --------
    An item of gain 1 and one of gain 0, tied: either comes first as often.

    >>> grades = Grades(np.array([0.0, 1.0]), np.array([[1, 1]]))
    >>> items, gain = np.array([[2]]), np.array([[1.0]])
    >>> ndcg(RetrievalStats(items, gain.astype(int), gain, grades), 1)
    array([0.5])
    """
    ranking, ideal = _ranking(stats, "ndcg"), _ideal(stats)
    k = cutoff_of(stats, k)
    weight = np.zeros(k + 1)
    np.cumsum(1 / np.log2(np.arange(2, k + 2)), out=weight[1:])
    return ratio(_weighted(ranking, weight), _weighted(ideal, weight))


def acg(stats: RetrievalStats, k: int) -> Floats:
    """ACG@k of every query: the mean gain of the nearest k items.

    Parameters, errors and shape are those of `ndcg`; the value is in units of the gain.
    """
    ranking = _ranking(stats, "acg")
    k = cutoff_of(stats, k)
    mean: Floats = _weighted(ranking, np.arange(k + 1.0)) / max(k, 1)
    return mean


def hierarchical_precision(stats: RetrievalStats, k: int) -> Floats:
    """HP@k of every query: summed gain of the nearest k items, over that of the ideal order.

    Parameters, errors and shape are those of `ndcg`; the gains are similarities of classes.
    """
    ranking, ideal = _ranking(stats, "hierarchical_precision"), _ideal(stats)
    weight = np.arange(cutoff_of(stats, k) + 1.0)
    return ratio(_weighted(ranking, weight), _weighted(ideal, weight))


def average_hierarchical_precision(stats: RetrievalStats, k: int, area: Area = "mean") -> Floats:
    """AHP@k of every query: the area under HP@1 .. HP@k.

    Parameters
    ----------
    stats : RetrievalStats
        With class similarities as gains.
    k : int
        Cutoff, in items; time and O(k) memory a query grow with it.
    area : "mean" or "trapezoid"
        The mean of the k values, so that the ideal order scores 1; or the trapezoid rule with step
        1/k, which is the mean less (HP@1 + HP@k) / 2k, so that the ideal order scores 1 - 1/k.

    Returns
    -------
    ndarray, float64, shape (Q,)
        0 where no database item has a gain.

    Raises
    ------
    ValueError
        As `ndcg`, and if `area` is unknown.
    """
    check_choice("area", area, ("mean", "trapezoid"))
    ranking, ideal = _ranking(stats, "average_hierarchical_precision"), _ideal(stats)
    k = cutoff_of(stats, k)
    scores = np.zeros(len(stats.items))
    if k == 0:
        return scores
    for part in np.array_split(np.arange(len(scores)), len(scores) * k // _CHUNK + 1):
        curve = ratio(_cumulated(ranking, part, k), _cumulated(ideal, part, k))  # (q, k)
        scores[part] = curve.mean(1)
        if area == "trapezoid":
            scores[part] -= (curve[:, 0] + curve[:, -1]) / (2 * k)
    return scores


class _Runs(NamedTuple):
    """A ranking as runs of items that have the same gain, nearest first."""

    items: Ints  # (Q, L)
    gain: Floats  # (Q, L), of one item


def _graded(stats: RetrievalStats, who: str) -> tuple[Floats, Grades]:
    if stats.gain is None or stats.grades is None:
        raise ValueError(
            f"{who}: expected graded relevance, got counts alone; evaluate with similarity=..."
        )
    return stats.gain, stats.grades


def _ranking(stats: RetrievalStats, who: str) -> _Runs:
    """Order the database by distance; an item has the mean gain of its distance."""
    gain, _ = _graded(stats, who)
    return _Runs(stats.items, ratio(gain, stats.items))


def _ideal(stats: RetrievalStats) -> _Runs:
    """Order the database by falling gain."""
    _, grades = _graded(stats, "metrics")
    items = grades.items[:, ::-1]
    return _Runs(items, np.broadcast_to(grades.values[::-1], items.shape))


def _weighted(ranking: _Runs, weight: Floats) -> Floats:
    """Sum the gains of the first k items, rank i weighing weight[i] - weight[i - 1]; (Q,)."""
    end = np.minimum(ranking.items.cumsum(1), len(weight) - 1)
    total: Floats = (ranking.gain * np.diff(weight[end], axis=1, prepend=0.0)).sum(1)
    return total


def _cumulated(ranking: _Runs, rows: Ints, k: int) -> Floats:
    """Sum the gains of the first 1..k items; (rows, k)."""
    end = np.minimum(ranking.items[rows].cumsum(1), k)
    kept = np.diff(end, axis=1, prepend=0)  # k items in every row
    gains = np.repeat(ranking.gain[rows].ravel(), kept.ravel())
    cumulated: Floats = gains.reshape(len(rows), k).cumsum(1)
    return cumulated
