"""The CPU counter: 64 items in one word, all cores, no matrix of pairs.

A block of the database lies in the first- and second-level cache as columns ("planes"): word w of
plane k holds bit k of items 64w to 64w + 63, so that one instruction handles 64 items, or 256 and
more where LLVM finds vector registers. For each query,

1. `add` sums the planes of ``code XOR item`` with full adders made of AND and XOR. The sums are
   planes again: plane l holds bit l of the 64 distances of a word.
2. the relevant items are the OR of the planes of the query's labels.
3. `split` counts, without looking at a single item: it halves the set of all items by the highest
   bit of their distance, and each half by the next bit, down to single distances, and takes the
   population count of every set and of its relevant part. Empty halves are left out, and where
   three counts follow from others they are not counted.

All queries pass over a block before the next is read, so a large database crosses the memory bus
once per thread and not once per query.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation.packing import PackedBits

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]

WORDS = 256  # most words a block and plane: 2 KiB, 16,384 items
PLANES_BYTES = 2**19  # a block's planes have to stay in the second-level cache


def count_numba(
    query: PackedBits, query_labels: PackedBits, codes: PackedBits, labels: PackedBits
) -> Counts:
    """Count database items at each Hamming distance from each query, and the relevant ones.

    On all CPU cores, `torch.get_num_threads()`.

    Parameters
    ----------
    query, query_labels : PackedBits, shapes (Q, K) and (Q, C)
    codes, labels : PackedBits, shapes (M, K) and (M, C)

    Returns
    -------
    items, relevant : ndarray, int64, shape (Q, K + 1)
        Items at distance 0..K, and those that share a label with the query.
    """
    from benchmarks.evaluation.counters.cpu_kernels import count  # it loads numba

    n_query, n_bits = query.shape
    n_bytes = query.rows.shape[1]
    words = max(16, min(WORDS, PLANES_BYTES // (64 * n_bytes)))
    planes, label_planes = _planes(codes.rows, words), _planes(labels.rows, words)
    code = -np.unpackbits(query.rows, axis=1).astype(np.int64)  # 1 fills the word
    own = np.unpackbits(query_labels.rows, axis=1)
    both = np.zeros((n_query, 8 * n_bytes + 4, 2), np.int64)

    def part(rows: slice) -> None:
        count(code.view(np.uint64)[rows], own[rows], planes, label_planes, len(codes), both[rows])

    on_all_cores(part, n_query)
    items, relevant = (np.ascontiguousarray(both[:, : n_bits + 1, i]) for i in range(2))
    return items, relevant


def _planes(rows: NDArray[np.uint8], words: int) -> NDArray[np.uint64]:
    """Turn packed rows (N, B) into planes, shape (blocks, 8 B, words); missing items are zeros."""
    from benchmarks.evaluation.counters.cpu_kernels import transpose

    height = 64 * words
    planes = np.zeros((-(-len(rows) // height), 8 * rows.shape[1], words), np.uint64)

    def part(blocks: slice) -> None:
        for block in range(blocks.start, blocks.stop):
            piece = np.array(rows[block * height : (block + 1) * height], order="C")  # read once
            transpose(piece, planes[block].view(np.uint8))

    on_all_cores(part, len(planes))
    return planes


def on_all_cores(part: Callable[[slice], None], n: int) -> None:
    """Call `part` on slices of range(n), in threads; the kernels run without Python's lock.

    Plain threads and not numba's `prange`: no second thread pool that is unsafe after a fork or
    under concurrent callers, and torch's limit of threads holds.
    """
    threads = torch.get_num_threads()
    edges = np.linspace(0, n, min(n, 4 * threads) + 1).astype(int).tolist()
    rows = [slice(a, b) for a, b in pairwise(edges)]
    if threads == 1 or len(rows) < 2:
        part(slice(0, n))
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, rows))
