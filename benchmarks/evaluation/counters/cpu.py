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
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation.packing import Array, PackedBits

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
    n_query, n_bits = query.shape
    n_bytes = query.rows.shape[1]
    words = max(16, min(WORDS, PLANES_BYTES // (64 * n_bytes)))
    planes, label_planes = _planes(codes.rows, words), _planes(labels.rows, words)
    code = -np.unpackbits(query.rows, axis=1).astype(np.int64)  # 1 fills the word
    own = np.unpackbits(query_labels.rows, axis=1)
    both = np.zeros((n_query, 8 * n_bytes + 4, 2), np.int64)
    kernel = _count_kernel()

    def part(rows: slice) -> None:
        kernel(code.view(np.uint64)[rows], own[rows], planes, label_planes, len(codes), both[rows])

    on_all_cores(part, n_query)
    items, relevant = (np.ascontiguousarray(both[:, : n_bits + 1, i]) for i in range(2))
    return items, relevant


def _planes(rows: NDArray[np.uint8], words: int) -> NDArray[np.uint64]:
    """Turn packed rows (N, B) into planes, shape (blocks, 8 B, words); missing items are zeros."""
    height = 64 * words
    planes = np.zeros((-(-len(rows) // height), 8 * rows.shape[1], words), np.uint64)
    kernel = _transpose_kernel()

    def part(blocks: slice) -> None:
        for block in range(blocks.start, blocks.stop):
            piece = np.array(rows[block * height : (block + 1) * height], order="C")  # read once
            kernel(piece, planes[block].view(np.uint8))

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


@cache
def popcount() -> Any:
    """Return LLVM's population count: vpopcntq where the CPU has it, the best way elsewhere."""
    from numba.extending import intrinsic

    def ctpop(_typing: Any, x: Any) -> Any:
        return x(x), lambda _context, builder, _signature, args: builder.ctpop(args[0])

    return intrinsic(ctpop)


@cache
def _transpose_kernel() -> Any:
    import numba

    def transpose(rows: Array, planes: Array) -> None:
        """Write bit k of byte b of 8 rows at a time into byte row // 8 of plane 8 b + k."""
        n_rows, n_bytes = rows.shape
        for word in range(0, n_rows, 64):  # 64 rows stay in the first-level cache
            for b in range(n_bytes):
                for first in range(word, min(word + 64, n_rows), 8):
                    x = np.uint64(0)  # an 8 x 8 matrix of bits, a byte a row
                    for i in range(min(8, n_rows - first)):
                        x |= np.uint64(rows[first + i, b]) << np.uint64(8 * i)
                    # Swap the off-diagonal bits, then 2 x 2, then 4 x 4 (Hacker's Delight, 7-3).
                    t = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
                    x ^= t ^ (t << np.uint64(7))
                    t = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
                    x ^= t ^ (t << np.uint64(14))
                    t = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
                    x ^= t ^ (t << np.uint64(28))
                    for k in range(8):  # packbits writes the first column highest
                        planes[8 * b + 7 - k, first // 8] = (x >> np.uint64(8 * k)) & np.uint64(255)

    byte = numba.types.Array(numba.uint8, 2, "C")
    return numba.njit(numba.void(byte, byte), nogil=True)(transpose)


@cache
def _add_kernel() -> Any:
    """Compile the sum of K planes into planes of the distances' bits."""
    import numba

    def sum_and_carry(a: Any, b: Any, c: Any) -> Any:
        x = a ^ b
        return x ^ c, a ^ (x & (a ^ c))

    full_add = numba.njit(sum_and_carry)

    def add(code: Array, planes: Array, n: int, sums: Array, carry: Array) -> None:
        """Set sums[l, :n] to bit l of the distances; `planes` (8 B, words), `code` (8 B,)."""
        for level in range(sums.shape[0]):
            for w in range(n):
                sums[level, w] = 0
        for k in range(0, planes.shape[0], 8):
            q0, q1, q2, q3 = code[k], code[k + 1], code[k + 2], code[k + 3]
            q4, q5, q6, q7 = code[k + 4], code[k + 5], code[k + 6], code[k + 7]
            for w in range(n):  # eight bits of 64 items: ones, twos, fours, and a carry of 8
                one, a = full_add(sums[0, w], planes[k, w] ^ q0, planes[k + 1, w] ^ q1)
                one, b = full_add(one, planes[k + 2, w] ^ q2, planes[k + 3, w] ^ q3)
                two, ab = full_add(sums[1, w], a, b)
                one, c = full_add(one, planes[k + 4, w] ^ q4, planes[k + 5, w] ^ q5)
                one, d = full_add(one, planes[k + 6, w] ^ q6, planes[k + 7, w] ^ q7)
                two, cd = full_add(two, c, d)
                four, carry[w] = full_add(sums[2, w], ab, cd)
                sums[0, w], sums[1, w], sums[2, w] = one, two, four
            level = 3
            while (k + 8) >> level:  # as far as a sum of k + 8 bits reaches
                for w in range(n):
                    both = sums[level, w] & carry[w]
                    sums[level, w] ^= carry[w]
                    carry[w] = both
                level += 1

    return numba.njit(nogil=True)(add)


@cache
def _split_kernel() -> Any:
    """Compile the count of a set of items by distance, given the bits of their distances."""
    import numba

    count_bits = popcount()
    words, rows, number = (
        numba.types.Array(numba.uint64, 1, "C"),
        numba.types.Array(numba.uint64, 2, "C"),
        numba.int64,
    )
    out_type = numba.types.Array(numba.int64, 2, "C")

    def split(
        level: int,
        distance: int,
        items: int,
        hits: int,
        n: int,
        sums: Array,
        masks: Array,
        related: Array,
        out: Array,
    ) -> None:
        """Count the set masks[level, :n], whose distances agree above bit `level`.

        The set has `items` members, `hits` of them relevant; `distance` holds the known bits.
        """
        if level == 1:  # the last two bits at once
            n1 = n2 = n3 = h1 = h2 = h3 = 0
            for w in range(n):
                odd = masks[1, w] & sums[0, w]
                high = masks[1, w] & sums[1, w]
                n1 += count_bits(odd)
                n2 += count_bits(high)
                n3 += count_bits(odd & high)
                h1 += count_bits(odd & related[w])
                h2 += count_bits(high & related[w])
                h3 += count_bits(odd & high & related[w])
            out[distance, 0] += items - n1 - n2 + n3
            out[distance, 1] += hits - h1 - h2 + h3
            out[distance + 1, 0] += n1 - n3
            out[distance + 1, 1] += h1 - h3
            out[distance + 2, 0] += n2 - n3
            out[distance + 2, 1] += h2 - h3
            out[distance + 3, 0] += n3
            out[distance + 3, 1] += h3
            return
        upper = found = 0
        for w in range(n):
            member = masks[level, w] & sums[level, w]
            masks[level - 1, w] = member
            upper += count_bits(member)
            found += count_bits(member & related[w])
        if upper:
            above = distance + (1 << level)
            split(level - 1, above, upper, found, n, sums, masks, related, out)
        if items - upper:
            for w in range(n):
                masks[level - 1, w] = masks[level, w] & ~sums[level, w]
            split(level - 1, distance, items - upper, hits - found, n, sums, masks, related, out)

    signature = numba.void(*[number] * 5, rows, rows, words, out_type)
    split = numba.njit(signature, nogil=True)(split)
    return split


@cache
def _count_kernel() -> Any:
    import numba

    add, split, count_bits = _add_kernel(), _split_kernel(), popcount()

    def count(
        code: Array, own: Array, planes: Array, label_planes: Array, n_items: int, out: Array
    ) -> None:
        """Add to out[i, d] the items at distance d from query i, and the relevant ones."""
        words = planes.shape[2]
        levels = 1
        while planes.shape[1] >> levels:
            levels += 1
        sums, masks = np.zeros((levels, words), np.uint64), np.zeros((levels, words), np.uint64)
        carry, related = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
        for block in range(planes.shape[0]):
            items = min(64 * words, n_items - 64 * words * block)
            n = (items + 63) // 64
            for i in range(code.shape[0]):
                add(code[i], planes[block], n, sums, carry)
                for w in range(n):
                    related[w] = 0
                    masks[levels - 1, w] = ~np.uint64(0)
                if items % 64:  # the last word is not full
                    masks[levels - 1, n - 1] >>= np.uint64(64 - items % 64)
                for c in range(own.shape[1]):
                    if own[i, c]:
                        for w in range(n):
                            related[w] |= label_planes[block, c, w]
                hits = 0
                for w in range(n):
                    hits += count_bits(related[w])
                split(levels - 1, 0, items, hits, n, sums, masks, related, out[i])

    planes_type = numba.types.Array(numba.uint64, 3, "C")
    signature = numba.void(
        numba.types.Array(numba.uint64, 2, "C"),
        numba.types.Array(numba.uint8, 2, "C"),
        planes_type,
        planes_type,
        numba.int64,
        numba.types.Array(numba.int64, 3, "C"),
    )
    return numba.njit(signature, nogil=True)(count)
