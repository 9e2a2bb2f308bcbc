"""The counters of any torch device: matrix products of signs, a chunk of pairs at a time."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.evaluation.counters.cpu import Counts
from benchmarks.evaluation.packing import Array, PackedBits, to_torch


def count_torch(
    query: PackedBits,
    query_labels: PackedBits,
    codes: PackedBits,
    labels: PackedBits,
    device: str | torch.device = "cpu",
) -> Counts:
    """Count as `count_numba` does, by matrix products in chunks on a torch device."""
    q, b = _signs(query, device), _signs(codes, device)
    q_labels, b_labels = (x.unpack_on(device).to(q.dtype) for x in (query_labels, labels))
    n_keys = 2 * (q.shape[1] + 1)
    counts = torch.zeros(len(q), n_keys, dtype=torch.int64, device=device)
    for rows, columns in _chunks(len(q), len(b), counts.is_cuda):
        key = q.shape[1] - q[rows] @ b[columns].T  # K - <a, b> is twice the Hamming distance
        key = key.long() + (q_labels[rows] @ b_labels[columns].T > 0)
        key += torch.arange(len(key), device=device)[:, None] * n_keys
        found = torch.bincount(key.flatten(), minlength=len(key) * n_keys)
        counts[rows] += found.view(-1, n_keys)
    both = counts.cpu().numpy()
    relevant = np.ascontiguousarray(both[:, 1::2])
    return both[:, 0::2] + relevant, relevant


def gain_torch(
    query: PackedBits,
    codes: PackedBits,
    query_set: Array,
    item_set: Array,
    table: Array,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Sum the gain as `gain_numba` does, by matrix products in chunks on a torch device."""
    q, b = _signs(query, device), _signs(codes, device)
    q_set, i_set, values = (to_torch(x, device) for x in (query_set, item_set, table))
    total = torch.zeros(len(q), q.shape[1] + 1, dtype=torch.float64, device=device)
    for rows, columns in _chunks(len(q), len(b), total.is_cuda):
        distance = (q.shape[1] - q[rows] @ b[columns].T).long() // 2
        gain = values[q_set[rows, None], i_set[None, columns]]
        total[rows] = total[rows].scatter_add(1, distance, gain)
    return total.cpu().numpy()


def add_up_numpy(
    tables: NDArray[np.int32], rows: NDArray[np.uint8], sums: NDArray[np.int32]
) -> None:
    """Add up for each item what the table of each of its bytes says.

    Parameters
    ----------
    tables : ndarray, int32, shape (bytes, 256)
        By the value of a byte.
    rows : ndarray, uint8, shape (M, bytes)
        Packed codes.
    sums : ndarray, int32, shape (M,)
        Overwritten.
    """
    sums[:] = 0
    for table, values in zip(tables, rows.T, strict=True):
        sums += table[values]


def _signs(codes: PackedBits, device: str | torch.device) -> Tensor:
    """Return +1 / -1 in the narrowest floating type in which every sum of K of them is exact."""
    half = torch.device(device).type == "cuda" and codes.width <= 1024  # 2K <= 2^11
    dtype = torch.float16 if half else torch.float32
    return codes.unpack_on(device).to(dtype) * 2 - 1


def _chunks(n_query: int, n_items: int, is_cuda: bool) -> list[tuple[slice, slice]]:
    """Cut the Q x M matrix into pieces that fit: 16 M pairs on a GPU, 1 M on a CPU."""
    height = min(n_query, 1024 if is_cuda else 64)
    width = (2**24 if is_cuda else 2**20) // height
    return [
        (slice(i, i + height), slice(j, j + width))
        for j in range(0, n_items, width)
        for i in range(0, n_query, height)
    ]
