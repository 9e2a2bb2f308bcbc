"""Asymmetric distance: the real-valued scores of a query against the binary codes of items.

    s(q, b) = sum_k s_k (2 b_k - 1)     s: scores of the query, b: code of an item; largest first

A. Gordo, F. Perronnin, Y. Gong and S. Lazebnik, "Asymmetric distances for binary embeddings", PAMI
2014. Nothing more is stored than for Hamming distances: a query is at hand in full.

Scores are rounded to 1/32,767 of the query's largest. Sums of them are whole numbers, so they are
the same on any device, and what ties is known: items of one code do, and hardly any others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from torch import Tensor

from benchmarks.evaluation.counters.choice import adder
from benchmarks.evaluation.counters.cpu import on_all_cores
from benchmarks.evaluation.counts import RetrievalStats
from benchmarks.evaluation.float_ranking import count_levels
from benchmarks.evaluation.graded_relevance import LabelSets
from benchmarks.evaluation.neighbours import Neighbours
from benchmarks.evaluation.packing import PackedBits, to_numpy
from benchmarks.evaluation.ties import Floats, Ints

QueryScores = NDArray[np.int16]
"""Of queries, (Q, K), see `rounded`."""
Sums = NDArray[np.int32]

_LARGEST = 2**15 - 1
_PAIRS = 2**24
"""Pairs of a query and an item at a time."""
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int32)
"""Of each value of a byte, (256, 8)."""


def rounded(scores: Tensor) -> QueryScores:
    """Round scores, (Q, K), to whole multiples of 1/32,767 of the largest of their query.

    Raises
    ------
    ValueError
        If one is not finite.

    Examples
    --------
    >>> import torch
    >>> rounded(torch.tensor([[0.5, -1.0], [0.0, 0.0]])).tolist()
    [[16384, -32767], [0, 0]]
    """
    values = scores.double()
    bad = ~values.isfinite().all(1)
    if bad.any():
        raise ValueError(
            f"asymmetric distance: scores must be finite, those of query {int(bad.nonzero()[0, 0])}"
            " are not; run without --asym"
        )
    most = values.abs().amax(1, keepdim=True)
    found: QueryScores = to_numpy((values / most.where(most > 0, 1) * _LARGEST).round()).astype(
        np.int16
    )
    return found


def rank_asymmetric(
    scores: QueryScores,
    query_labels: PackedBits,
    database: PackedBits,
    database_labels: PackedBits,
) -> Iterator[RetrievalStats]:
    """Rank the database by asymmetric distance, where labels say what is relevant.

    Parameters
    ----------
    scores : ndarray, int16, shape (Q, K)
        Of queries, see `rounded`.
    query_labels, database_labels : PackedBits, shapes (Q, C) and (M, C)
    database : PackedBits, shape (M, K)
        Codes of items.

    Yields
    ------
    RetrievalStats
        For the next queries in order; a level a sum, as of `rank_floats`.

    Examples
    --------
    >>> import torch
    >>> database = PackedBits.of(np.array([[True, False], [False, True], [True, True]]))
    >>> asked, labels = (PackedBits.of(np.array(x)) for x in ([[True]], [[True], [False], [True]]))
    >>> scores = rounded(torch.tensor([[0.5, -1.0]]))  # the second bit counts twice as much
    >>> (stats,) = rank_asymmetric(scores, asked, database, labels)
    >>> stats.items.tolist(), stats.relevant.tolist()
    ([[2, 1]], [[2, 0]])
    """
    items = LabelSets.of(database_labels)
    for rows, sums in _sums(scores, database):
        yield count_levels(sums, LabelSets.of(query_labels[rows]), items)


def asymmetric_neighbours(
    scores: QueryScores,
    database: PackedBits,
    truths: Sequence[Neighbours],
) -> Iterator[list[RetrievalStats]]:
    """Rank the database by asymmetric distance, where neighbours are what is relevant.

    Parameters
    ----------
    scores, database
        As of `rank_asymmetric`.
    truths : sequence of Neighbours
        Of the same queries, in rows of the database.

    Yields
    ------
    list of RetrievalStats
        One a truth, for the next queries in order. Neighbours of one sum share a level with the
        other items of that sum; the items between two such sums are a level of their own.
    """
    for rows, sums in _sums(scores, database):
        yield _neighbour_levels(sums, rows.start, truths)


def reranked_recall(
    scores: QueryScores,
    query: PackedBits,
    database: PackedBits,
    truth: Neighbours,
    k: int,
    cutoffs: Sequence[int],
) -> dict[int, Floats]:
    """Recall among the first k, once the first n by Hamming distance are in asymmetric order.

    It is exact over ties: a mean over all orders of items at equal Hamming distance, of which some
    are beyond the first n. Of equal sums the smaller Hamming distance goes first.

    Parameters
    ----------
    scores : ndarray, int16, shape (Q, K)
        Of the queries, see `rounded`.
    query, database : PackedBits, shapes (Q, K) and (M, K)
    truth : Neighbours
        T_k of each query.
    k : int
        Neighbours asked for.
    cutoffs : sequence of int
        Numbers n of items that are looked at, each from k to M.

    Returns
    -------
    dict from int to ndarray, float64, shape (Q,)
        By n.
    """
    ones = query.unpack().astype(np.int16)
    shared = (dots for _, dots in _sums(ones, database))
    query_sizes, sizes = query.counts(), database.counts()
    recall = {n: np.zeros(len(truth)) for n in cutoffs}
    for (rows, sums), dots in zip(_sums(scores, database), shared, strict=True):
        for q, own, both in zip(range(rows.start, rows.stop), sums, dots, strict=True):
            far = query_sizes[q] + sizes - 2 * both
            for n, found in _reranked(far, own, truth.of(q), k, cutoffs).items():
                recall[n][q] = found / k
    return recall


def _sums(scores: QueryScores, database: PackedBits) -> Iterator[tuple[slice, Sums]]:
    """Yield sums of s_k b_k of some queries over all items, int32 (B, M).

    They order items as s(q, b) does: twice such a sum is s(q, b) plus the sum of all s_k. A table
    a byte of a code says what its eight bits add.
    """
    add_up = adder()
    n_query, width = scores.shape
    filled = np.zeros((n_query, -(-width // 8), 8), np.int32)
    filled.reshape(n_query, -1)[:, :width] = scores
    items = np.require(database.rows, requirements=["C", "W"])
    step = max(1, _PAIRS // max(1, len(items)))
    for start in range(0, n_query, step):
        rows = slice(start, min(start + step, n_query))
        tables = filled[rows] @ _BITS.T  # (B, bytes, 256)
        found = np.empty((len(tables), len(items)), np.int32)

        def add(part: slice, tables: Sums = tables, found: Sums = found) -> None:
            for i in range(part.start, part.stop):
                add_up(tables[i], items, found[i])

        on_all_cores(add, len(found))
        yield rows, found


def _neighbour_levels(sums: Sums, first: int, truths: Sequence[Neighbours]) -> list[RetrievalStats]:
    """Count levels of queries from `first` on, one a row of sums (B, M), by truth."""
    levels: list[list[tuple[Ints, Ints]]] = [[] for _ in range(len(sums))]

    def rank(part: slice) -> None:
        for i in range(part.start, part.stop):
            ordered = np.sort(sums[i])
            levels[i] = [_levels(ordered, sums[i, truth.of(first + i)]) for truth in truths]

    on_all_cores(rank, len(sums))
    stats = []
    for of_truth in zip(*levels, strict=True):
        items, relevant = (
            np.zeros((len(sums), max(map(len, c))), np.int64) for c in zip(*of_truth, strict=True)
        )
        for i, (n, r) in enumerate(of_truth):
            items[i, : len(n)], relevant[i, : len(r)] = n, r
        stats.append(RetrievalStats(items, relevant, hamming=False))
    return stats


def _levels(ordered: Sums, near: Sums) -> tuple[Ints, Ints]:
    """Count items and neighbours by level, largest sum first, from all sums and the neighbours'."""
    values, counts = np.unique(near, return_counts=True)
    edges = np.stack([ordered.searchsorted(values, side) for side in ("left", "right")], 1)
    items = np.diff(edges.ravel(), prepend=0, append=len(ordered))[::-1]
    relevant = np.zeros_like(items)
    relevant[1::2] = counts[::-1]
    return items, relevant


def _reranked(
    far: Ints, sums: Sums, near: Ints, k: int, cutoffs: Sequence[int]
) -> dict[int, float]:
    """Count the neighbours among the first k of one query after re-ranking, by cutoff.

    Items are in groups of equal sum and Hamming distance. Of the group of Hamming distances that
    the cutoff cuts, c of its m items are kept by chance: of b of them, h with the hypergeometric
    probability. Among the first k are then min(k, w + h) of the w + b items up to some place of the
    order, and the share of a group is the difference between its two ends.
    """
    reach = np.bincount(far).cumsum()
    last = int(reach.searchsorted(max(cutoffs)))
    candidates = np.flatnonzero(far <= last)
    order = np.lexsort((far[candidates], -sums[candidates]))
    candidates = candidates[order]
    d, s = far[candidates], sums[candidates]
    starts = np.flatnonzero(np.append(True, (np.diff(d) != 0) | (np.diff(s) != 0)))
    hits = np.add.reduceat(np.isin(candidates, near).astype(np.int64), starts)
    sizes = np.diff(starts, append=len(d))
    here = np.flatnonzero(hits)
    found = {}
    for n in cutoffs:
        cut = int(reach.searchsorted(n))
        m = int(reach[cut] - (reach[cut - 1] if cut else 0))
        c = n - int(reach[cut]) + m
        w, b = (np.append(0, of.cumsum()) for of in (d < cut, d == cut))
        ends = starts[here], starts[here] + sizes[here]
        low, high = (_kept(w[end], b[end], m, c, k) for end in ends)
        found[n] = float(((high - low) * hits[here] / sizes[here]).sum())
    return found


def _kept(w: Ints, b: Ints, m: int, c: int, k: int) -> Floats:
    """E[min(k, w + h)], h of b items being among c that are drawn of m."""
    h = np.arange(k)[:, None]
    possible = (h <= b) & (h <= c) & (c - h <= m - b)
    parts = [(b, h), (m - b, c - h), (np.full(1, m), np.full(1, c))]
    logs = [
        gammaln(n + 1) - gammaln(np.maximum(r, 0) + 1) - gammaln(np.maximum(n - r, 0) + 1)
        for n, r in parts
    ]
    p = np.where(possible, np.exp(logs[0] + logs[1] - logs[2]), 0.0)
    short: Floats = (p * np.maximum(k - w - h, 0)).sum(0)
    return k - short
