"""Time indexes over the codes that runs have left, and write what one machine gave to its file."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.embeddings.indexes import Built, comparable, over_codes, over_vectors
from benchmarks.embeddings.timing import Vectors, measure
from benchmarks.evaluation.neighbours import DISTANCES
from benchmarks.features.cache import FeatureCache
from benchmarks.grid.errors import GridError
from benchmarks.grid.tasks import Task, TaskRequest, open_task
from benchmarks.runner.task_inputs import TaskInputs
from datasets import full_name
from datasets.arguments import load_options
from datasets.errors import DatasetError, need
from results.analysis.arrange import select
from results.figures.search_speed import search_speed_figure
from results.figures.style import save
from results.store.files import write_atomic
from results.store.record import RunRecord
from results.store.run_key import Table, folder_name
from results.store.store import ResultStore, StoreError
from results.tables.csv_file import csv_file

FOLDER = "search_speed"
USER_ERRORS = (DatasetError, GridError, StoreError)
"""Errors whose message is one line meant for the user."""


def search_speed(options: argparse.Namespace) -> list[Path]:
    """Time the codes of each data set that is named; returns the files that were written.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of `benchmarks.search_speed`.

    Raises
    ------
    DatasetError, GridError, StoreError
        If the data or codes of them cannot be had, or faiss is not installed.
    """
    need(GridError, "search_speed", "faiss")
    import faiss

    for factor in options.candidates:
        if factor < 1:
            raise GridError(f"--candidates: must be at least 1, got {factor}")
    store, written = ResultStore(options.out), []
    records, _ = select(store.scan().records)
    for name in options.datasets:
        task = _opened(name, options)
        chosen = _chosen(records, task, options)
        with _one_thread(faiss):
            frame = timed(task, chosen, store, options)
        written += _write(store, chosen[0].table, frame, options)
    return written


def timed(
    task: Task, records: Sequence[RunRecord], store: ResultStore, options: argparse.Namespace
) -> pd.DataFrame:
    """Build and time every index over the codes of some records and over their vectors.

    Returns
    -------
    DataFrame
        A row an index, setting and number of candidates. ``exact`` is what an exact search of the
        same codes finds in the mean over all orders of ties, from the record.
    """
    inputs = TaskInputs(task, FeatureCache(options.cache, torch.device("cpu")))
    protocol = task.data.protocol
    k, distance = protocol.neighbours, DISTANCES[protocol.distance]
    truth = inputs.truth()
    assert truth is not None
    truth = truth.nearest(k)
    features = inputs.features("features").array
    query, database = (
        comparable(features[rows.to(features.device)].numpy(), distance)
        for rows in (task.data.query, task.data.database)
    )
    vectors = Vectors(query, database, distance)
    candidates = sorted({k * factor for factor in options.candidates})
    rows: list[dict[str, Any]] = []

    def add(who: dict[str, Any], built: Built, queries: Any, exact: dict[int, float]) -> None:
        for setting in built.settings or (None,):
            if setting is not None:
                built.turn(setting)
            for n in (n for n in candidates if n <= len(database)):
                speed = measure(built, queries, vectors, truth, k, n)
                rows.append(
                    who
                    | {"index": built.kind, "parameter": built.parameter, "setting": setting}
                    | {"candidates": n, "k": k, "recall": speed.recall, "exact": exact.get(n)}
                    | {"single_qps": speed.single, "batch_qps": speed.batch}
                    | {"build_s": built.seconds, "index_bytes": built.size}
                    | {"vector_bytes": database.nbytes if n > k else 0}
                )

    for record in records:
        arrays = store.arrays(store.locate(record))
        _check(record, arrays, task)
        found = {n: record.metrics.get(f"recall{k}@{n}", np.nan) for n in candidates}
        who = {"method": record.method, "bits": record.bits, "seed": record.seed}
        for built in over_codes(np.ascontiguousarray(arrays["database_codes"])):
            add(who, built, np.ascontiguousarray(arrays["query_codes"]), found)
    lengths = tuple(sorted({record.bits for record in records}))
    for bits, built in over_vectors(database, lengths, distance):
        add({"method": built.kind, "bits": bits, "seed": None}, built, query, {})
    return _framed(rows, records[0].table, len(query), len(database), options.machine)


def _opened(name: str, options: argparse.Namespace) -> Task:
    request = TaskRequest(
        full_name(name), load_options(options), options.backbone, options.input_size
    )
    task = open_task(request)
    if not task.data.protocol.neighbours:
        raise GridError(
            f"--datasets {name}: search is timed by the neighbours that it finds; add +knn10-l2, "
            "+knn10-cosine or +knn10-ip to the name"
        )
    return task


def _chosen(
    records: Sequence[RunRecord], task: Task, options: argparse.Namespace
) -> list[RunRecord]:
    """Return the record of the lowest seed of each method and length that is asked for."""
    table = Table(task.data.name, task.data.protocol.name, task.label)
    found: dict[tuple[str, int], RunRecord] = {}
    for record in sorted(records, key=lambda record: record.seed):
        wanted = record.table == table and record.kind != "yardstick"
        wanted = wanted and (not options.methods or record.method in options.methods)
        if wanted and (not options.bits or record.bits in options.bits):
            found.setdefault((record.method, record.bits), record)
    if not found:
        raise GridError(
            f"{task.data.protocol.label}: no codes of it under {options.out} are asked for; make "
            "some with benchmarks.run, or name others with --methods and --bits"
        )
    return [found[key] for key in sorted(found)]


def _check(record: RunRecord, arrays: dict[str, Any], task: Task) -> None:
    """Refuse codes of other rows than those that are searched."""
    same = record.protocol_info["digest"] == task.data.protocol.digest
    for part in ("query", "database"):
        rows = arrays.get(f"{part}_rows")
        same = same and rows is not None and np.array_equal(rows, getattr(task.data, part).numpy())
    if not same:
        raise GridError(
            f"{record.key}: its codes are of another split or copy of the data; run it again"
        )


def _framed(
    rows: Sequence[dict[str, Any]], table: Table, n_query: int, n_database: int, machine: str
) -> pd.DataFrame:
    import faiss

    where = {"machine": machine, "cpu": cpu_model(), **table._asdict()}
    sizes = {"queries": n_query, "vectors": n_database, "faiss": faiss.__version__}
    made = {"created": datetime.now(UTC).isoformat(timespec="seconds")}
    return pd.DataFrame([where | row | sizes | made for row in rows]).astype(
        {"seed": "Int64", "setting": "Int64"}
    )


def _write(
    store: ResultStore, table: Table, frame: pd.DataFrame, options: argparse.Namespace
) -> list[Path]:
    """Write the table and the figure of one machine; what it gave before is replaced."""
    folder = store.root.joinpath(FOLDER, *map(folder_name, table))
    stem = folder_name(options.machine)
    files = {f"{stem}.csv": csv_file(frame)}
    figure = search_speed_figure(frame)
    files |= {f"{stem}.{form}": save(figure, form) for form in options.format}
    try:
        for name, content in files.items():
            write_atomic(folder / name, content)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}; choose another --out") from error
    return [folder / name for name in files]


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Let faiss, and the BLAS below it, compute on one thread for a while."""
    from threadpoolctl import threadpool_limits

    before = faiss.omp_get_max_threads()
    with threadpool_limits(1):
        faiss.omp_set_num_threads(1)
        try:
            yield
        finally:
            faiss.omp_set_num_threads(before)


def cpu_model() -> str:
    """Name the processor, as the system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
