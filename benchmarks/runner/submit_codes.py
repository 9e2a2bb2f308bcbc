"""Codes made elsewhere become the record that a run of them would leave."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np

from benchmarks.evaluation.scoring import protocol_info, score_codes
from benchmarks.evaluation.submission import SubmissionError, SubmittedCodes, read_codes
from benchmarks.evaluation.truth import truth_of
from benchmarks.features.backbones import backbone
from benchmarks.grid.tasks import Task
from benchmarks.grid.yardsticks import YARDSTICKS
from benchmarks.machine.environment import DeviceError, Environment, environment
from benchmarks.runner.reporting import read_board
from datasets import load
from datasets.arguments import load_options
from datasets.base import RetrievalDataset
from datasets.errors import DatasetError
from methods import METHODS
from results.report import render_board
from results.store.leftovers import tidy
from results.store.record import SCHEMA, RunRecord, check_record
from results.store.store import ResultStore, StoreError

UNKNOWN = "unknown"
"""Backbone of codes that come without one."""

USER_ERRORS = (DatasetError, DeviceError, StoreError)
"""Errors whose message is one line meant for the user."""


def submit(options: argparse.Namespace) -> RunRecord:
    """Score a file of codes and, where a folder of results is named, enter it there.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of `benchmarks.score`.

    Raises
    ------
    DatasetError, DeviceError, StoreError
        If the codes cannot be scored or stored.
    """
    check_name(options.name)
    env = environment(options.device)
    data = load(options.dataset, load_options(options))
    codes = read_codes(options.codes, data, options.packed)
    record, arrays = score(codes, data, options, env)
    _check_record(record)
    if options.out is not None:
        store = ResultStore(options.out)
        tidy(store)
        check_kind(store, record)
        store.save(record, arrays, force=options.force)
        if not options.no_report:
            render_board(read_board(store), store)
    return record


def score(
    codes: SubmittedCodes, data: RetrievalDataset, options: argparse.Namespace, env: Environment
) -> tuple[RunRecord, dict[str, np.ndarray]]:
    """Make the record of some codes, and its arrays.

    Codes said to come from a known backbone share its tables; others have a table of their own.
    """
    label, inputs = UNKNOWN, hashlib.sha256(f"{UNKNOWN} {data.digest}".encode()).hexdigest()
    if options.backbone is not None:
        task = Task(data, backbone(options.backbone, options.input_size, options.resize))
        label, inputs = task.label, task.digest
    scores = score_codes(codes["query"], codes["database"], data, env.device, truth_of(data))
    packed = {f"{part}_codes": values.rows for part, values in codes.items()}
    n_bits = codes["query"].width
    settings = {  # shared by the seeds of a submission, so that they share a mean
        "submission": options.name,
        "dataset": {"name": data.name, "digest": data.digest},
        "protocol": {"name": data.protocol.name, "digest": data.protocol.digest},
        "bits": n_bits,
        "schema": SCHEMA,
    }
    identity = hashlib.sha256(json.dumps([settings, options.seed], sort_keys=True).encode())
    for part in sorted(packed):
        identity.update(packed[part].tobytes())
    record = RunRecord(
        dataset=data.name,
        protocol=data.protocol.name,
        backbone=label,
        method=options.name,
        kind=options.kind,
        bits=n_bits,
        seed=options.seed,
        digest=identity.hexdigest(),
        settings=settings,
        protocol_info=protocol_info(data, inputs),
        metrics=scores.metrics,
        curves=scores.curves,
        history=[],
        trained_with=[options.seed],
        timings={},
        cpu_timings={},
        peak_memory_mib=0.0,
        versions=env.versions,
        device=env.device_name,
        commit=env.commit,
        command=env.command,
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    rows = {"query_rows": data.query.numpy(), "database_rows": data.database.numpy()}
    return record, packed | rows | {"query_ap": scores.query_ap}


def check_name(name: str) -> None:
    """Refuse a name that no row of a submission may have; raises SubmissionError."""
    base = name.partition("(")[0]
    if not re.fullmatch(r"[\w.+-][\w .+-]*(\([^()]*\))?", name):
        raise SubmissionError(f"--name: expected letters, digits and .+-, got {name!r}")
    if base in METHODS or base in YARDSTICKS:
        raise SubmissionError(f"--name: {base!r} is a method of this suite; choose another name")


def _check_record(record: RunRecord) -> None:
    """Refuse to print what no store would take."""
    try:
        check_record(asdict(record))
    except ValueError as error:
        raise SubmissionError(f"these codes make no record: {error}") from error


def check_kind(store: ResultStore, record: RunRecord) -> None:
    """Refuse a name that the same table has with another kind."""
    for other in store.records():
        if other.row == record.row and other.kind != record.kind:
            raise SubmissionError(
                f"--name: {record.method!r} is stored as one of kind {other.kind}; "
                "choose another name, or the same --kind"
            )
