"""Run a stored cell again, and compare what comes out with its record."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.features.backbones import backbone
from benchmarks.features.base import Backbone
from benchmarks.features.cache import FeatureCache, FeatureError
from benchmarks.features.captions import DEFAULT_ENCODER, TextError
from benchmarks.features.texts import read_texts
from benchmarks.grid.cells import Cell, Views
from benchmarks.grid.method_settings import GridError, MethodSpec, chosen_methods, method_spec
from benchmarks.grid.no_exit import ExitError
from benchmarks.grid.tasks import Task
from benchmarks.machine.environment import DeviceError, environment
from benchmarks.runner.compare_records import differences, read_record, store_of
from benchmarks.runner.fit_and_encode import OnTrained
from benchmarks.runner.make_record import run_cells
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training.trainer import Matmul, TrainingError
from datasets import load
from datasets.arguments import load_options
from datasets.errors import DatasetError, one_line
from datasets.own.kinds import without_own
from results.store.leftovers import tidy
from results.store.record import RunRecord
from results.store.store import StoreError

USER_ERRORS = (
    *(DatasetError, DeviceError, GridError, StoreError),
    *(FeatureError, TextError, TrainingError, ExitError),
)
"""Errors whose message is one line meant for the user: of the arguments, and of the run."""


def repeat(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Run the cell of a record again.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of `benchmarks.repro`.

    Returns
    -------
    list of str
        Settings and circumstances that differ.
    list of str
        Numbers and codes that came out otherwise.

    Raises
    ------
    Those of USER_ERRORS
        If the record cannot be read, or its cell cannot be run.
    """
    record, store = read_record(options.record), store_of(options.record)
    tidy(store)
    stored = store.arrays(options.record)
    again, arrays = run_again(record, options)
    lines = [f"differs: {name}: {a} | {b}" for name, a, b in differences(record, again)]
    return lines, list(changes(record, again, stored, arrays))


def run_again(
    record: RunRecord, options: argparse.Namespace, on_trained: OnTrained | None = None
) -> tuple[RunRecord, dict[str, np.ndarray]]:
    """Run the cell of a record with the flags of `benchmarks.repro`; raises what `repeat` does."""
    env = environment(options.device, deterministic=options.deterministic)
    methods = [options.method] if options.method else ["all", "yardsticks"]
    network, spec = stored_setup(record, methods, options.backbone)
    name = options.dataset or f"{record.dataset}/{record.protocol}"
    given, tracks = load_options(options), record.settings.get("tracks", {})
    others = "distractors" in tracks and load(tracks["distractors"]["name"], without_own(given))
    texts = None if options.texts is None else read_texts(options.texts)
    task = Task(load(name, given), network, None, "shift" in tracks, others or None, texts)
    if (missing := task.lacks(spec)) is not None:
        raise GridError(f"record of {record.method}: {missing}")
    cell = stored_cell(record, task, spec)
    inputs = TaskInputs(task, FeatureCache(options.cache, env.device))
    seeds = record.trained_with
    cells = [replace(cell, key=replace(cell.key, seed=seed)) for seed in seeds]
    asym = record.has_asym
    results = run_cells(
        cells, inputs, env, lambda epoch, epochs, losses: None, on_trained=on_trained, asym=asym
    )
    return results[seeds.index(record.seed)]


def stored_setup(
    record: RunRecord, methods: Sequence[str], name: str | None = None
) -> tuple[Backbone, MethodSpec]:
    """Rebuild the backbone and the method of a record, which is one of `methods`.

    `name` is that of the backbone here, where its weights are a file.

    Raises
    ------
    GridError
        If the record is not of a run, as a submission is not, or its settings are not as a run
        writes them.
    BackboneError
        If the backbone cannot be had.
    """
    settings = record.settings
    if "submission" in settings:
        raise GridError(f"record of {record.method}: it was submitted as codes, nothing runs it")
    try:
        seen = settings["backbone"]
        network = backbone(name or seen["name"], seen["input_size"], seen.get("resize", "stretch"))
        return network, stored_method(settings["method"], record.bits or 8, methods)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GridError(
            f"record of {record.method}: its settings are not as a run writes them "
            f"({type(error).__name__}: {one_line(error)}); run the cell again"
        ) from error


def stored_cell(record: RunRecord, task: Task, spec: MethodSpec) -> Cell:
    """Rebuild the cell that a record came from."""
    settings = record.settings
    views: Views = settings.get("views") or "bank"
    encoder = settings.get("text_encoder") or DEFAULT_ENCODER
    matmul: Matmul = settings.get("matmul") or "highest"
    return Cell(record.key, task, spec, views, encoder, matmul)


def stored_method(
    settings: Mapping[str, Any], n_bits: int, methods: Sequence[str] = ("all", "yardsticks")
) -> MethodSpec:
    """Build the method with the settings that a record holds, and check them as a call's.

    Raises
    ------
    GridError
        If the method is none of `methods`, or refuses the settings.
    """
    name, known = settings["name"], chosen_methods(methods)
    if name not in known:
        raise GridError(
            f"record of {name}: --method must name its class, as FILE.py:CLASS, "
            f"PACKAGE.MODULE:CLASS or the name of an entry point, got {' '.join(methods)}"
        )
    spec = method_spec(name, finetune=bool(settings.get("finetune")), known=known)
    if recipe := settings.get("recipe"):
        spec = replace(spec, recipe=replace(spec.recipe, **recipe, epochs_at={}))
    params = dict(settings["params"])
    spec.cls(8 * n_bits, n_bits, **params)  # what it refuses, it refuses before anything runs
    return replace(spec, params=params)


def changes(
    record: RunRecord,
    again: RunRecord,
    stored: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
) -> Iterator[str]:
    """Say which numbers and codes of a record came out otherwise."""
    for name in sorted(record.metrics.keys() | again.metrics.keys()):
        old, new = (r.metrics.get(name, float("nan")) for r in (record, again))
        if old != new:
            yield f"{name}: {old:.6f} stored, {new:.6f} now, difference {new - old:+.6f}"
    for part in ("query", "database"):
        name = f"{part}_codes"
        if name in stored and name in arrays:
            bits = int(np.unpackbits(stored[name] ^ arrays[name]).sum())
            if bits:
                yield f"{name}: {bits:,} of {record.bits * len(stored[name]):,} bits differ"
