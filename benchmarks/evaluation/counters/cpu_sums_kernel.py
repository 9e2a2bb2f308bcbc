"""The kernel of asymmetric distances, as those of `benchmarks.evaluation.counters.cpu_kernels`."""

from __future__ import annotations

from typing import Any

from benchmarks.evaluation.counters.cpu_kernels import compiled


@compiled("void(int32[:, ::1], uint8[:, ::1], int32[::1])")
def add_up(tables: Any, rows: Any, sums: Any) -> None:
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
    for i in range(rows.shape[0]):
        total = 0
        for j in range(rows.shape[1]):
            total += tables[j, rows[i, j]]
        sums[i] = total
