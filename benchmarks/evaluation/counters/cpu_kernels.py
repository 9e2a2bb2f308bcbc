"""The kernels of the CPU counter, compiled when this module is imported and kept on disk.

They are functions of the module and not of other functions: numba's cache on disk knows a function
by its file and its name. It lies beside this file, or in the user's cache folder where that folder
cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

from benchmarks.evaluation.packing import Array


def compiled(signature: Any = None) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel that runs without Python's lock, or take it from the cache."""

    def kernel(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)
        except (OSError, RuntimeError):  # no folder that can be written
            return numba.njit(signature, nogil=True)(function)

    return kernel


_byte = numba.types.Array(numba.uint8, 2, "C")
_words, _rows, _planes = (numba.types.Array(numba.uint64, n, "C") for n in (1, 2, 3))
_counts, _all_counts = (numba.types.Array(numba.int64, n, "C") for n in (2, 3))
_number = numba.int64


def _ctpop(_typing: Any, x: Any) -> Any:
    """LLVM's population count: vpopcntq where the CPU has it, the best way elsewhere."""
    return x(x), lambda _context, builder, _signature, args: builder.ctpop(args[0])


count_bits = intrinsic(_ctpop)


@compiled(numba.void(_byte, _byte))
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


@compiled()
def full_add(a: Any, b: Any, c: Any) -> Any:
    """Add three bits, 64 times at once: their sum, and what is carried."""
    x = a ^ b
    return x ^ c, a ^ (x & (a ^ c))


@compiled()
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


@compiled(numba.void(*[_number] * 5, _rows, _rows, _words, _counts))
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


@compiled(numba.void(_rows, _byte, _planes, _planes, _number, _all_counts))
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
