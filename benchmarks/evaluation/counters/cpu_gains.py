"""Graded relevance summed by Hamming distance on all CPU cores."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.counters.cpu import on_all_cores, popcount
from benchmarks.evaluation.packing import Array, PackedBits

BLOCK = 4096  # items a block: 8 KiB of distances and 8 KiB a plane, in a 32 KiB first-level cache


def gain_numba(
    query: PackedBits, codes: PackedBits, query_set: Array, item_set: Array, table: Array
) -> NDArray[np.float64]:
    """Sum the gain of the database items at each Hamming distance from each query.

    On all CPU cores, `torch.get_num_threads()`.

    Parameters
    ----------
    query, codes : PackedBits, shapes (Q, K) and (M, K)
    query_set, item_set : ndarray, int64, shapes (Q,) and (M,)
        Number of the label set that the query or item has.
    table : ndarray, float64, shape (S, P)
        Gain of an item with set p for a query with set s.

    Returns
    -------
    ndarray, float64, shape (Q, K + 1)
    """
    kernel = _gain_kernel()
    q = query.words(np.uint16)
    planes = np.ascontiguousarray(codes.words(np.uint16).T)
    total = np.zeros((len(q), query.width + 1))

    def part(rows: slice) -> None:
        kernel(q[rows], planes, query_set[rows], item_set, table, total[rows])

    on_all_cores(part, len(q))
    return total


@cache
def _gain_kernel() -> Any:
    import numba

    count_bits = popcount()

    def gain(
        q: Array, planes: Array, q_set: Array, item_set: Array, table: Array, out: Array
    ) -> None:
        n_items = planes.shape[1]
        distances = np.empty(BLOCK, np.uint16)
        for start in range(0, n_items, BLOCK):
            n = min(BLOCK, n_items - start)
            for i in range(q.shape[0]):
                distances[:n] = 0
                for w in range(planes.shape[0]):
                    word, plane = q[i, w], planes[w, start : start + n]
                    for j in range(n):
                        distances[j] += count_bits(np.uint16(word ^ plane[j]))
                row = table[q_set[i]]
                for j in range(n):
                    out[i, distances[j]] += row[item_set[start + j]]

    words = numba.types.Array(numba.uint16, 2, "C")
    sets = numba.types.Array(numba.int64, 1, "C")
    real = numba.types.Array(numba.float64, 2, "C")
    return numba.njit(numba.void(words, words, sets, sets, real, real), nogil=True)(gain)
