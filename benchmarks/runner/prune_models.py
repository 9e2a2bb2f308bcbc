"""Which of the models that cells left are kept when a run ends."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from statistics import fmean
from typing import Literal

from results.store.record import RunRecord
from results.store.store import MODEL_SUFFIX, ResultStore, StoreError

KeepModels = Literal["best", "all", "none"]


def prune_models(store: ResultStore, keep: KeepModels) -> None:
    """Remove the models that are not wanted.

    Parameters
    ----------
    store : ResultStore
    keep : "best", "all" or "none"
        "best" leaves, of each code length of a table and each kind of method, the seeds of the row
        with the best mean, and every fine-tuned cell. Rows whose models are gone already lost to
        one that is there. "none" removes nothing: it keeps no new ones.
    """
    if keep != "best":
        return
    columns: dict[object, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for path in store.runs.rglob(f"*{MODEL_SUFFIX}"):
        with contextlib.suppress(StoreError):
            record = store.read(path.with_suffix(".json"))
            if not record.settings["method"].get("finetune"):
                columns[record.table, record.bits, record.kind][record.method].append(record)
    for rows in columns.values():
        best = max(rows, key=lambda name: fmean(map(_score, rows[name])))
        for name, records in rows.items():
            for record in records if name != best else ():
                with contextlib.suppress(OSError):
                    store.locate(record).with_suffix(MODEL_SUFFIX).unlink()


def _score(record: RunRecord) -> float:
    return record.metrics[f"mAP@{record.protocol_info['cutoff']}"]
