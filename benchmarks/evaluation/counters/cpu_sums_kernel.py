"""The kernel of asymmetric distances, as those of `benchmarks.evaluation.counters.cpu_kernels`."""

from __future__ import annotations

from typing import Any

from benchmarks.evaluation.counters.cpu_kernels import compiled


@compiled("void(int32[:, ::1], uint8[:, ::1], int32[::1])")
def add_up(tables: Any, rows: Any, sums: Any) -> None:
    """Add up as `any_device.add_up_numpy` does."""
    for i in range(rows.shape[0]):
        total = 0
        for j in range(rows.shape[1]):
            total += tables[j, rows[i, j]]
        sums[i] = total
