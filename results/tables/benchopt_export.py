"""The shown runs in the columns of benchopt's result files, so that its viewer opens them.

A run is a row: its method is the solver, its table (protocol, backbone) a parameter of the data
set, its seed the repetition, its code length the stopping value, so that benchopt's curves over
iterations are curves over bits. ``objective_value`` is the main metric of its table: larger is
better, which benchopt's bar chart asks to be told (``minimize: False``). ``time`` is that of the
training: CPU seconds on a CPU, seconds on the clock on CUDA.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd

from results.analysis.board import Board
from results.store.files import remove_left_behind, write_atomic
from results.store.record import RunRecord
from results.store.store import StoreError

SUFFIX = ".parquet"


def benchopt_frame(board: Board) -> pd.DataFrame:
    """Return one row for each shown run."""
    metrics = {s.table: s.metric for s in board.sections}
    rows = [_row(record, metrics[record.table]) for record in board.records]
    return pd.DataFrame(rows)


def _row(record: RunRecord, metric: str) -> dict[str, str | int | float]:
    row: dict[str, str | int | float] = {
        "objective_name": "Hamming retrieval",
        "dataset_name": f"{record.dataset}[backbone={record.backbone},protocol={record.protocol}]",
        "solver_name": record.method,
        "idx_rep": record.seed,
        "stop_val": record.bits,
        "sampling_strategy": "Iteration",
        "time": float(record.cost("fit") or 0.0),
        "objective_value": float(record.metrics.get(metric, float("nan"))),
    }
    row |= {f"objective_{name}": float(value) for name, value in record.metrics.items()}
    row |= {
        "p_dataset_protocol": record.protocol,
        "p_dataset_backbone": record.backbone,
        "p_solver_kind": record.kind,
        "run_date": re.sub(r"\+00:00$", "", record.created),
        "benchmark-git-tag": record.commit,
        "system-processor": record.device,
        "version-numpy": record.versions.get("numpy", ""),
    }
    return row | {f"version-{name}": text for name, text in record.versions.items()}


def write_benchopt(board: Board, path: Path) -> None:
    """Write the file.

    Raises
    ------
    StoreError
        If no run can be shown, if the name does not end in ``.parquet``, or if the disk refuses.
    """
    if path.suffix != SUFFIX:
        raise StoreError(f"--benchopt: expected a file that ends in {SUFFIX}, got {path.name!r}")
    frame = benchopt_frame(board)
    if frame.empty:
        raise StoreError("--benchopt: no run can be shown, so there is nothing to write")
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False)
    try:
        write_atomic(path, buffer.getvalue())
        remove_left_behind(path.parent)
    except OSError as error:
        raise StoreError(
            f"--benchopt {path}: cannot be written ({error.strerror}); choose another folder"
        ) from error
