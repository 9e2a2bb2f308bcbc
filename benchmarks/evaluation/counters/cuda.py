"""The counter of CUDA devices: distances, relevance and histogram of a query in one kernel.

Imported only where there are a CUDA device and Triton, which comes with torch there. Nothing as
large as the pairs is written: a program reads packed words of one query and of a run of items, and
adds 2 K + 2 counts to the result.
"""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from benchmarks.evaluation.counters.any_device import count_torch
from benchmarks.evaluation.counters.cpu import Counts
from benchmarks.evaluation.packing import PackedBits, to_torch

MAX_BITS = 2047  # 2 K + 2 counts of 4 bytes fit the shared memory of a program
BLOCK = 1024  # items a step
RUN = 64 * BLOCK  # items a program


def count_triton(
    query: PackedBits,
    query_labels: PackedBits,
    codes: PackedBits,
    labels: PackedBits,
    device: str | torch.device = "cuda",
) -> Counts:
    """Count as `count_numba` does, on a CUDA device; codes beyond 2047 bits by `count_torch`."""
    n_query, n_bits = query.shape
    if n_bits > MAX_BITS or len(codes) == 0:
        return count_torch(query, query_labels, codes, labels, device)
    q, q_labels = (_words(x, device) for x in (query, query_labels))
    planes, label_planes = (_words(x, device).T.contiguous() for x in (codes, labels))
    sizes = constants(n_bits, query_labels.width)
    both = torch.zeros(n_query, sizes["N_KEYS"], dtype=torch.int64, device=device)
    words = (x.view(torch.uint32) for x in (q, q_labels, planes, label_planes))
    with torch.cuda.device_of(both):  # Triton launches on the current device
        _count[n_query, -(-len(codes) // RUN)](*words, both, len(codes), **sizes)
    counts = both[:, : 2 * (n_bits + 1)].cpu().numpy()
    relevant = np.ascontiguousarray(counts[:, 1::2])
    return counts[:, 0::2] + relevant, relevant


def constants(n_bits: int, n_classes: int) -> dict[str, int]:
    """Return what the kernel is compiled for; the number of counts is a power of two."""
    return {
        "N_WORDS": -(-n_bits // 32),
        "N_LABEL_WORDS": -(-n_classes // 32),
        "N_KEYS": max(128, 1 << (2 * n_bits + 1).bit_length()),
        "RUN": RUN,
        "BLOCK": BLOCK,
    }


def _words(matrix: PackedBits, device: str | torch.device) -> Tensor:
    """Return the rows on the device in 32-bit words, int32 (N, ceil(width / 32))."""
    rows = to_torch(matrix.rows, device)
    return torch.nn.functional.pad(rows, (0, -rows.shape[1] % 4)).contiguous().view(torch.int32)


@triton.jit
def _popcount(x):
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return (x * 0x01010101) >> 24


@triton.jit
def _count(
    q,  # uint32 (Q, N_WORDS)
    q_labels,  # uint32 (Q, N_LABEL_WORDS)
    planes,  # uint32 (N_WORDS, M)
    label_planes,  # uint32 (N_LABEL_WORDS, M)
    out,  # int64 (Q, N_KEYS)
    n_items,
    N_WORDS: tl.constexpr,
    N_LABEL_WORDS: tl.constexpr,
    N_KEYS: tl.constexpr,
    RUN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Add to out[row, 2 d + r] the items of one run at distance d that are relevant (r = 1)."""
    row = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1).to(tl.int64) * RUN
    keys = tl.arange(0, N_KEYS)
    counts = tl.full((N_KEYS,), 0, tl.int32)
    for start in range(0, RUN, BLOCK):
        item = first + start + tl.arange(0, BLOCK)
        there = item < n_items
        distance = tl.full((BLOCK,), 0, tl.uint32)
        for w in range(N_WORDS):
            word = tl.load(planes + w * tl.cast(n_items, tl.int64) + item, mask=there, other=0)
            distance += _popcount(word ^ tl.load(q + row * N_WORDS + w))
        shared = tl.full((BLOCK,), 0, tl.uint32)
        for w in range(N_LABEL_WORDS):
            word = tl.load(
                label_planes + w * tl.cast(n_items, tl.int64) + item, mask=there, other=0
            )
            shared |= word & tl.load(q_labels + row * N_LABEL_WORDS + w)
        key = 2 * distance.to(tl.int32) + (shared != 0).to(tl.int32)
        counts += tl.histogram(key, N_KEYS, mask=there)
    tl.atomic_add(out + row * N_KEYS + keys, counts.to(tl.int64), mask=counts > 0)
