"""The kernel of graded relevance, as those of `benchmarks.evaluation.counters.cpu_kernels`."""

from __future__ import annotations

import numba
import numpy as np

from benchmarks.evaluation.counters.cpu_kernels import compiled, count_bits
from benchmarks.evaluation.packing import Array

BLOCK = 4096  # items a block: 8 KiB of distances and 8 KiB a plane, in a 32 KiB first-level cache

_words = numba.types.Array(numba.uint16, 2, "C")
_sets = numba.types.Array(numba.int64, 1, "C")
_real = numba.types.Array(numba.float64, 2, "C")


@compiled(numba.void(_words, _words, _sets, _sets, _real, _real))
def gain(q: Array, planes: Array, q_set: Array, item_set: Array, table: Array, out: Array) -> None:
    """Add to out[i, d] the gains of the items at distance d from query i."""
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
