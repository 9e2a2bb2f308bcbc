"""Run cells and make their records: train, encode, score, and note how it was done."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor

from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import Scores, protocol_info, score_codes, score_floats
from benchmarks.grid.cells import Cell
from benchmarks.machine.environment import Environment, cpu_name
from benchmarks.runner.fit_and_encode import Encoded, OnTrained, fit_and_encode
from benchmarks.runner.stopwatch import Stopwatch
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.distributed.torchrun import current_group
from benchmarks.training.trainer import OnEpoch, Trainer
from results.store.record import RunRecord


def run_cells(
    cells: Sequence[Cell],
    inputs: TaskInputs,
    environment: Environment,
    on_epoch: OnEpoch,
    checkpoints: Sequence[Checkpoint] | None = None,
    on_trained: OnTrained | None = None,
    head_threads: int | None = None,
    *,
    asym: bool = False,
) -> list[tuple[RunRecord, dict[str, np.ndarray]]]:
    """Fit, encode, evaluate.

    Parameters
    ----------
    cells : sequence of Cell
        One, or several that differ in their seed alone and are trained together.
    inputs : TaskInputs
        Of the cells' task.
    environment : Environment
        Versions and device, for the records.
    on_epoch : callable
        Told after each training epoch.
    checkpoints : sequence of Checkpoint, optional
        Where each training is kept, and goes on from.
    on_trained : callable, optional
        Told what each cell learnt, before it is encoded.
    head_threads : int, optional
        Threads of torch where a head is trained; as they are where left out.
    asym : bool
        Rank by asymmetric distance too.

    Returns
    -------
    list of (RunRecord, dict of ndarray)
        A record for each cell, and its arrays: packed codes, row numbers, AP of each query, and
        scores of the queries with `asym`. A training of several counts as much for each of them.

    Raises
    ------
    FeatureError, TrainingError
        If the cells cannot be done; the message says why.
    """
    device = inputs.cache.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    watch = Stopwatch(device=device)
    threads = None if cells[0].method.finetune else head_threads  # a network gains from all
    trainers = [
        Trainer(cell.method.recipe, cell.seed, on_epoch, matmul=cell.matmul, threads=threads)
        for cell in cells
    ]
    for trainer, checkpoint in zip(trainers, checkpoints or (), strict=bool(checkpoints)):
        trainer.checkpoint = checkpoint
    encoded = fit_and_encode(cells, inputs, watch, trainers, on_trained, asym=asym)
    watch.share(("fit", "encode"), len(cells))
    results = []
    for cell, trainer, codes in zip(cells, trainers, encoded, strict=True):
        own = watch.copy()
        scores, arrays = _score(cell, codes, inputs, own)
        record = RunRecord(
            **vars(cell.address),
            kind=cell.kind,
            settings=cell.settings,
            protocol_info=protocol_info(cell.task.data, cell.task.digest),
            metrics=scores.metrics,
            curves=scores.curves,
            history=trainer.history,
            trained_with=[cell.key.seed for cell in cells],
            timings=own.seconds,
            cpu_timings=own.cpu,
            peak_memory_mib=_peak_memory_mib(device),
            versions=environment.versions,
            device=_device_name(cell, environment, threads),
            commit=environment.commit,
            command=environment.command,
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
        )
        results.append((record, arrays))
    return results


def _score(
    cell: Cell, encoded: Encoded, inputs: TaskInputs, watch: Stopwatch
) -> tuple[Scores, dict[str, np.ndarray]]:
    """Evaluate one cell."""
    data = cell.task.data
    arrays = {"query_rows": data.query.numpy(), "database_rows": data.database.numpy()}
    truth = inputs.truth()
    with watch("evaluate"):
        match encoded:
            case (PackedBits() as query, PackedBits() as database, asked):
                scores = score_codes(query, database, data, inputs.cache.device, truth, asked)
                arrays |= {"query_codes": query.rows, "database_codes": database.rows}
                if asked is not None:
                    arrays["query_scores"] = asked
            case (Tensor() as query, Tensor() as database):
                scores = score_floats(query, database, data, cell.method.rule, truth)
                in_dim = inputs.features(cell.method.cls.consumes).array.shape[-1]
                n_bytes = cell.method.item_bytes(in_dim, cell.key.bits)
                scores.metrics["codes.bytes"] = float(n_bytes)
    arrays["query_ap"] = scores.query_ap
    return scores, arrays


def _device_name(cell: Cell, environment: Environment, threads: int | None) -> str:
    """Say what the cell was trained on."""
    if threads is not None and cell.method.is_trained and environment.device.type == "cpu":
        return cpu_name(threads)
    n_ranks = current_group().size if cell.method.finetune else 1
    return environment.device_name if n_ranks == 1 else f"{n_ranks} x {environment.device_name}"


def _peak_memory_mib(device: torch.device) -> float:
    """Peak of the device's memory during the cell; on the CPU, of the process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
