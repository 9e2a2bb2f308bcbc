"""Queries a second of an index on one thread, single and in a batch, and what they find."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.embeddings.indexes import Built
from benchmarks.evaluation.neighbours import Distance, Neighbours

PASSES = 5
"""Over all queries, the fastest of which is taken: others share the machine."""
_BLOCK = 64
"""Queries whose candidates are gathered at a time."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Vectors:
    """What candidates are re-ranked by, see `comparable`.

    Attributes
    ----------
    query, database : ndarray, float32, shapes (Q, D) and (N, D)
    distance : "l2", "cosine" or "ip"
    """

    query: NDArray[np.float32]
    database: NDArray[np.float32]
    distance: Distance

    def reranked(self, rows: Rows, queries: slice, k: int) -> Rows:
        """Return the k nearest of candidates, (B, R) -> (B, k), by the true distance."""
        found = [
            self._reranked(rows[start : start + _BLOCK], self.query[queries][start:][:_BLOCK], k)
            for start in range(0, len(rows), _BLOCK)
        ]
        return np.concatenate(found)

    def _reranked(self, rows: Rows, x: NDArray[np.float32], k: int) -> Rows:
        of = self.database[rows]  # (B, R, D)
        if self.distance == "ip":
            far = -np.einsum("brd,bd->br", of, x)
        else:
            of -= x[:, None]
            far = np.einsum("brd,brd->br", of, of)
        far[rows < 0] = np.inf
        nearest = far.argpartition(k - 1, axis=1)[:, :k]
        return np.take_along_axis(rows, nearest, 1)


@dataclass(frozen=True)
class Speed:
    """Queries a second, one at a time and all in one call; and recall among the first k."""

    single: float
    batch: float
    recall: float


def measure(
    built: Built,
    queries: NDArray[np.uint8] | NDArray[np.float32],
    vectors: Vectors,
    truth: Neighbours,
    k: int,
    candidates: int,
) -> Speed:
    """Search for all queries, single ones and a batch apart.

    Parameters
    ----------
    built : Built
    queries : ndarray, shape (Q, W)
        Packed codes, or vectors, as the index takes them.
    vectors : Vectors
        By which candidates are re-ranked where there are more than k; that counts as search.
    truth : Neighbours
        T_k of the queries.
    k, candidates : int

    Returns
    -------
    Speed
    """
    n = len(queries)

    def search(part: slice) -> Rows:
        rows = built.search(queries[part], candidates)
        return rows if candidates == k else vectors.reranked(rows, part, k)

    def singles() -> None:
        for q in range(n):
            search(slice(q, q + 1))

    whole = slice(0, n)
    found = search(whole)
    return Speed(
        single=n / fastest(singles),
        batch=n / fastest(lambda: search(whole)),
        recall=recall(found, truth, k),
    )


def fastest(call: Callable[[], object], passes: int = PASSES) -> float:
    """Seconds of the fastest of some passes."""
    seconds = []
    for _ in range(passes):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def recall(found: Rows, truth: Neighbours, k: int) -> float:
    """Mean of min(k, true neighbours found) / k, rows of no item left out.

    Examples
    --------
    >>> truth = Neighbours.given(np.array([[0, 1], [2, 3]]))
    >>> recall(np.array([[1, 7], [3, 2]]), truth, 2)
    0.75
    """
    hits = [
        min(k, len(set(rows.tolist()) & set(truth.rows[start:end].tolist())))
        for rows, start, end in zip(found, truth.starts[:-1], truth.starts[1:], strict=True)
    ]
    return float(np.mean(hits)) / k
