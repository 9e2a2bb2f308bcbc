"""Graded relevance summed by Hamming distance on all CPU cores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.counters.cpu import on_all_cores
from benchmarks.evaluation.packing import Array, PackedBits


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
    from benchmarks.evaluation.counters.cpu_gains_kernel import gain  # it loads numba

    q = query.words(np.uint16)
    planes = np.ascontiguousarray(codes.words(np.uint16).T)
    total = np.zeros((len(q), query.width + 1))

    def part(rows: slice) -> None:
        gain(q[rows], planes, query_set[rows], item_set, table, total[rows])

    on_all_cores(part, len(q))
    return total
