"""The average precision of every query, from the arrays beside the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from results.store.record import RunRecord
from results.store.store import ResultStore

Entry = tuple[str, str, str, str, int]
"""Data set, protocol, backbone, method and bits."""


def query_aps(
    store: ResultStore, records: Sequence[RunRecord]
) -> tuple[dict[Entry, NDArray[Any]], list[str]]:
    """Read the AP at the protocol's cutoff of every seed and query.

    Returns
    -------
    values : dict from tuple to ndarray, float32, shape (S, Q)
        By entry, and the same queries for all entries of one table. An entry is whole or absent.
    notes : list of str
        Whose arrays cannot be compared, and why.
    """
    queries: dict[tuple[str, str, str], NDArray[Any]] = {}
    found: dict[Entry, list[NDArray[Any]]] = {}
    lost: set[Entry] = set()
    notes: list[str] = []
    for record in records:
        table = (record.dataset, record.protocol, record.backbone)
        entry = (*table, record.method, record.bits)
        path = store.locate(record).with_suffix(".safetensors")
        try:
            rows, values = _read(path)
            if not np.array_equal(queries.setdefault(table, rows), rows):
                raise ValueError("its queries are not those of the other runs of its table")
        except (OSError, SafetensorError, ValueError) as error:
            lost.add(entry)
            name = path.relative_to(store.root).as_posix()
            notes.append(f"Not compared: {name}: {_reason(error)}")
        else:
            found.setdefault(entry, []).append(values)
    return {e: np.stack(found[e]) for e in found if e not in lost}, notes


def _read(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    with safe_open(path, framework="numpy") as file:
        rows, values = file.get_tensor("query_rows"), file.get_tensor("query_ap")
    if values.shape != rows.shape or values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"query_ap: expected one finite number for each of {rows.size} queries")
    if not rows.size:
        raise ValueError("query_ap: it has no query")
    return rows, values


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
