"""The other truth: what is relevant to a query are its nearest neighbours, and not its class.

T_k(q) holds every database row no farther from query q than its k-th nearest one, so it has more
than k rows where some are equally far. Found exactly, by blocked products in float32 whose close
calls are decided in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.evaluation.counts import Codes, RetrievalStats, evaluate
from benchmarks.evaluation.float_ranking import Rule, rank_floats
from benchmarks.evaluation.packing import BITS_SET, PackedBits
from benchmarks.evaluation.ties import Floats, Groups, Ints, Ties
from datasets.features import SomeRows
from datasets.progress import Progress, silent

Distance = Literal["l2", "cosine", "ip"]
"""Euclidean distance, one minus the cosine, or the negative inner product."""
DISTANCES: dict[str, Distance] = {"l2": "l2", "cosine": "cosine", "ip": "ip"}

_PAIRS = 2**24
"""Pairs of a query and a database row at a time."""
_BLOCK = 2**16
"""Database rows at a time."""
_SLACK = 1e-5
"""Error of a squared distance in float32, in units of the squared norms; generous."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest database rows of each query, nearest first.

    Attributes
    ----------
    rows : ndarray, int64, shape (n,)
        Rows of the database, those of query q from ``starts[q]`` to ``starts[q + 1]``.
    distances : ndarray, float64, shape (n,)
        Of these rows, in any unit that grows with the distance; equal ones tie.
    starts : ndarray, int64, shape (Q + 1,)
    """

    rows: Ints
    distances: Floats
    starts: Ints

    def __len__(self) -> int:
        """Count the queries, Q."""
        return len(self.starts) - 1

    @classmethod
    def given(cls, rows: NDArray[np.int64], distances: Floats | None = None) -> Neighbours:
        """Take neighbours from a file, (Q, k) nearest first; without distances nothing ties."""
        n, k = rows.shape
        if distances is None:
            distances = np.broadcast_to(np.arange(k, dtype=np.float64), (n, k))
        return cls(rows.ravel(), distances.ravel(), np.arange(n + 1) * k)

    def of(self, query: int) -> Ints:
        """Rows of the neighbours of one query."""
        return self.rows[self.starts[query] : self.starts[query + 1]]

    def nearest(self, k: int) -> Neighbours:
        """Keep T_k of each query.

        Raises
        ------
        ValueError
            If a query has fewer than k neighbours.
        """
        sizes = np.diff(self.starts)
        if k < 1 or (len(sizes) and sizes.min() < k):
            raise ValueError(
                f"neighbours: k must be in 1..{sizes.min(initial=0)} (those that are known), "
                f"got {k}"
            )
        farthest = self.distances[self.starts[:-1] + k - 1]
        kept = self.distances <= np.repeat(farthest, sizes)
        owner = np.repeat(np.arange(len(self)), sizes)[kept]
        starts = np.concatenate([[0], np.bincount(owner, minlength=len(self)).cumsum()])
        return Neighbours(self.rows[kept], self.distances[kept], starts)


def find_neighbours(
    query: Tensor,
    database: Tensor | SomeRows,
    k: int,
    distance: Distance,
    progress: Progress = silent,
) -> Neighbours:
    """Find T_k of each query exactly, in one pass over the database for some queries at a time.

    Parameters
    ----------
    query : Tensor, float, shape (Q, D)
        Finite.
    database : Tensor, float, or SomeRows, shape (M, D)
        On the same device, finite.
    k : int
        At most M.
    distance : "l2", "cosine" or "ip"
    progress : callable
        Told after each block of queries.

    Returns
    -------
    Neighbours

    Raises
    ------
    ValueError
        If k is out of range, or a vector is zero where the cosine is asked for.
    """
    if not 1 <= k <= len(database):
        raise ValueError(f"neighbours: k must be in 1..{len(database)} (the database), got {k}")
    if distance == "cosine":
        _check_lengths(query, "queries")
        _check_lengths(database, "database")
        query = _unit(query)
    found: list[tuple[Ints, Floats]] = []
    for part in query.split(max(1, _PAIRS // min(_BLOCK, len(database)))):
        for q, rows in zip(part, _candidates(part.float(), database, k, distance), strict=True):
            near = _unit(database[rows]) if distance == "cosine" else database[rows].double()
            found.append(_nearest(q.double(), rows, near, k, distance))
        progress("nearest neighbours", len(found), len(query))
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows, _ in found])])
    places, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Neighbours(places, distances, starts.astype(np.int64))


def _candidates(
    query: Tensor, database: Tensor | SomeRows, k: int, distance: Distance
) -> list[Tensor]:
    """Rows that may be among T_k of each query, int64, by distances in float32.

    Such a distance is wrong by `_SLACK` times the squared norms at most. A row is out once k others
    are nearer beyond doubt.
    """
    lengths = query.square().sum(1)[:, None]
    surely = query.new_full((len(query), k), torch.inf)  # no more than so far away
    kept = []
    for start in range(0, len(database), _BLOCK):
        x = database[start : start + _BLOCK]
        x = (_unit(x) if distance == "cosine" else x).float()
        norms = x.square().sum(1)
        near = (query @ x.T).neg_()  # (B, M)
        if distance == "l2":
            near.mul_(2).add_(norms)
        slack = (lengths + norms) * _SLACK
        surely = torch.cat([surely, near + slack], 1).topk(k, largest=False).values
        near -= slack
        of, rows = (near <= surely[:, -1:]).nonzero(as_tuple=True)
        kept.append((of, rows + start, near[of, rows]))
    of, rows, least = (torch.cat(parts) for parts in zip(*kept, strict=True))
    possible = least <= surely[of, -1]
    of, rows = of[possible], rows[possible]
    order = of.argsort(stable=True)
    counts = of.bincount(minlength=len(query)).tolist()
    return list(rows[order].split(counts))


def _nearest(q: Tensor, rows: Tensor, x: Tensor, k: int, distance: Distance) -> tuple[Ints, Floats]:
    """T_k of one query among candidates, nearest first, and of equal distance by row."""
    far = (x - q).square().sum(1) if distance == "l2" else -(x @ q)
    order = far.argsort(stable=True)
    last = far[order[k - 1]]
    order = order[far[order] <= last]
    return rows[order].cpu().numpy(), far[order].cpu().numpy()


def _unit(x: Tensor) -> Tensor:
    """Scale rows to unit length, in float64."""
    scaled = x.double() / x.double().abs().amax(1, keepdim=True)
    unit: Tensor = scaled / scaled.norm(dim=1, keepdim=True)
    return unit


def _check_lengths(x: Tensor | SomeRows, who: str) -> None:
    starts = range(0, len(x), _BLOCK)
    zero = torch.cat([(x[start : start + _BLOCK] == 0).all(1) for start in starts])
    if zero.any():
        raise ValueError(
            f"neighbours: the cosine of a zero vector is undefined; {int(zero.sum())} of the "
            f"{who} are zero, the first is row {int(zero.nonzero()[0, 0])}"
        )


def evaluate_neighbours(
    query: PackedBits,
    database: PackedBits,
    truths: Sequence[Neighbours],
    device: str | torch.device = "auto",
) -> list[RetrievalStats]:
    """Count database items and neighbours at every Hamming distance from each query.

    Parameters
    ----------
    query, database : PackedBits, shapes (Q, K) and (M, K)
    truths : sequence of Neighbours
        Of the same queries, in rows of the database; all pairs are counted once for all of them.
    device : str or torch.device
        Where all pairs are counted.

    Examples
    --------
    >>> query = PackedBits.of(np.array([[True, False]]))
    >>> database = PackedBits.of(np.array([[True, False], [True, True], [False, True]]))
    >>> truth = Neighbours.given(np.array([[1]]))
    >>> (stats,) = evaluate_neighbours(query, database, [truth], "cpu")
    >>> stats.items.tolist(), stats.relevant.tolist()
    ([[1, 1, 1]], [[0, 1, 0]])
    """
    none_q, none_b = (PackedBits(np.zeros((len(c), 1), np.uint8), 1) for c in (query, database))
    items = evaluate(Codes(query, none_q), Codes(database, none_b), device=device).items
    return [RetrievalStats(items, _near(query, database, truth, items.shape)) for truth in truths]


def _near(
    query: PackedBits, database: PackedBits, truth: Neighbours, shape: tuple[int, ...]
) -> Ints:
    """Count the neighbours of each query by Hamming distance, (Q, K + 1)."""
    owner = np.repeat(np.arange(len(truth)), np.diff(truth.starts))
    found = np.zeros(shape, np.int64)
    step = max(1, _PAIRS // max(1, query.rows.shape[1]))
    for start in range(0, len(owner), step):
        of, rows = owner[start : start + step], truth.rows[start : start + step]
        apart = BITS_SET[query.rows[of] ^ database.rows[rows]].sum(1, dtype=np.int64)
        np.add.at(found, (of, apart), 1)
    return found


def rank_neighbours(
    query: Tensor,
    database: Tensor,
    truth: Neighbours,
    rule: Rule = "cosine",
    device: str | torch.device = "auto",
) -> Iterator[RetrievalStats]:
    """Rank floats as `rank_floats` does, where neighbours are what is relevant.

    Each query is a class of its own, and its neighbours are the items of that class.
    """
    step = 256
    for start in range(0, len(truth), step):
        n = min(step, len(truth) - start)
        first, last = truth.starts[start], truth.starts[start + n]
        sizes = np.diff(truth.starts[start : start + n + 1])
        of = np.zeros((len(database), n), bool)
        of[truth.rows[first:last], np.repeat(np.arange(n), sizes)] = True
        labels = PackedBits.of(np.eye(n, dtype=bool)), PackedBits.of(of)
        yield from rank_floats(
            query[start : start + n], labels[0], database, labels[1], rule=rule, device=device
        )


def neighbour_recall(stats: RetrievalStats, k: int, n: int, ties: Ties = "expected") -> Floats:
    """Recall k@n: E[min(k, hits among the first n)] / k, float64 (Q,).

    It is what re-ranking the first n items by the true distance gives among the first k.

    Parameters
    ----------
    stats : RetrievalStats
        Of T_k.
    k, n : int
        Neighbours asked for, items looked at.
    ties : "expected", "best" or "worst"
        The mean over all orders of items at equal Hamming distance, or the best or worst order.

    Examples
    --------
    >>> stats = RetrievalStats(np.array([[2, 8]]), np.array([[1, 1]]))
    >>> print(neighbour_recall(stats, 2, 2), neighbour_recall(stats, 2, 6))
    [0.5] [0.75]
    """
    groups = Groups.of(stats, n)
    recall: Floats = np.minimum(groups.hits(ties), k) / k
    spare = (groups.found + groups.high > k) & (groups.c > 0)  # where E[min] is no min of E
    if ties == "expected" and spare.any():
        from scipy.stats import hypergeom

        rows = np.flatnonzero(spare)
        drawn = hypergeom(groups.n_c[rows], groups.r_c[rows], groups.c[rows])
        hits = np.arange(int(groups.high[rows].max()) + 1)[:, None]
        reached = np.minimum(groups.found[rows] + hits, k)
        recall[rows] = (drawn.pmf(hits) * reached).sum(0) / k
    return recall


FACTORS = (1, 2, 4, 10, 16)
"""Items looked at for each neighbour that is asked for."""
ENOUGH = 0.95


def neighbour_cutoffs(k: int, size: int) -> list[int]:
    """Numbers n of the metrics recall k@n in a database of some size: k and its multiples."""
    return [k * factor for factor in FACTORS if k * factor <= size]


def neighbour_metrics(stats: RetrievalStats, k: int) -> dict[str, Floats]:
    """Recall k@n at n = k, 2k, 4k, 10k and 16k, with the best and worst order of ties at n = k.

    Parameters
    ----------
    stats : RetrievalStats
        Of T_k.
    """
    size = int(stats.items[0].sum())
    cutoffs = neighbour_cutoffs(k, size)
    metrics = {f"recall{k}@{n}": neighbour_recall(stats, k, n) for n in cutoffs}
    if stats.hamming:
        for ties in ("best", "worst"):
            metrics[f"recall{k}@{k}:{ties}"] = neighbour_recall(stats, k, k, ties)
    return metrics


def oversampling(stats: Sequence[RetrievalStats], k: int, enough: float = ENOUGH) -> float:
    """Least n / k at which the mean recall k@n reaches `enough`: what re-ranking has to look at.

    Parameters
    ----------
    stats : sequence of RetrievalStats
        Of T_k, of parts of the queries.
    """
    size = int(stats[0].items[0].sum())

    def recall(n: int) -> float:
        return float(np.concatenate([neighbour_recall(part, k, n) for part in stats]).mean())

    low, high = k - 1, size  # recall is reached at `high`, and not at `low`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if recall(middle) >= enough else (middle, high)
    return high / k
