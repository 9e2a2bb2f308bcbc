"""Run cells and make their records: train, encode, score, and note how it was done."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor

from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import Scores, protocol_info, score_codes, score_floats
from benchmarks.evaluation.tracks import with_tracks
from benchmarks.evaluation.view_agreement import AGREEMENT, VIEW_CODES, view_agreement
from benchmarks.features.kmeans_patches import WEIGHTS, KMeansPatches
from benchmarks.grid.cells import Cell
from benchmarks.grid.method_settings import COMMON
from benchmarks.machine.environment import Environment, cpu_name
from benchmarks.runner.fit_and_encode import Encoded, OnTrained, Tracks, fit_and_encode
from benchmarks.runner.stopwatch import Stopwatch
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.distributed.torchrun import current_group
from benchmarks.training.restore import restore
from benchmarks.training.trainer import OnEpoch, Trainer
from results.store.record import RunRecord

N_VIEWED = 1000
"""Images at most among which an image's second view is looked for."""


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
    view_codes: dict[str, np.ndarray] = {}

    def trained(cell: Cell, learnt: dict[str, Tensor]) -> None:
        view_codes[cell.digest] = _view_codes(cell, learnt, inputs)
        if on_trained is not None:
            on_trained(cell, learnt)

    told = _with_patches(trained if _has_views(cells[0]) else on_trained)
    encoded = fit_and_encode(cells, inputs, watch, trainers, told, asym=asym)
    watch.share(("fit", "encode"), len(cells))
    results = []
    for cell, trainer, (codes, tracks) in zip(cells, trainers, encoded, strict=True):
        own = watch.copy()
        scores, arrays = _score(cell, codes, tracks, inputs, own)
        if cell.digest in view_codes:
            arrays[VIEW_CODES] = view_codes[cell.digest]
            scores.metrics[AGREEMENT] = view_agreement(arrays[VIEW_CODES], cell.key.bits)
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


def _has_views(cell: Cell) -> bool:
    """Whether views of images that are set aside are there for a cell: under a frozen backbone."""
    data = cell.task.data
    return bool(data.protocol.tunes and data.images is not None and not cell.method.finetune)


def _view_codes(cell: Cell, learnt: Mapping[str, Tensor], inputs: TaskInputs) -> np.ndarray:
    """Encode two views of images that are set aside for tuning, uint8 (2, N, bytes).

    The views are the same for all methods, however each was trained.
    """
    data, backbone = cell.task.data, cell.task.backbone
    rows = data.query[:N_VIEWED]
    kind = cell.method.cls.consumes
    views = inputs.cache.bank(data, backbone, COMMON.augmentation, 2, kind, rows=rows)
    with torch.random.fork_rng(devices=[]):  # what it draws is overwritten
        method = cell.method.cls(views.array.shape[-1], cell.key.bits, **cell.method.params)
    own = "method."
    restore(method, {k.removeprefix(own): v for k, v in learnt.items() if k.startswith(own)})
    codes = [PackedBits.of(method.encode(view)).rows for view in views.array.unbind(1)]
    return np.stack(codes)


def _with_patches(on_trained: OnTrained | None) -> OnTrained | None:
    """Tell of the backbone beside the method, where it was learnt from the same images."""
    if on_trained is None:
        return None

    def told(cell: Cell, found: dict[str, Tensor]) -> None:
        backbone = cell.task.backbone
        if isinstance(backbone, KMeansPatches):
            found = found | {WEIGHTS: backbone.weights}
        on_trained(cell, found)

    return told


def _score(
    cell: Cell, encoded: Encoded, tracks: Tracks, inputs: TaskInputs, watch: Stopwatch
) -> tuple[Scores, dict[str, np.ndarray]]:
    """Evaluate one cell."""
    data = cell.task.data
    arrays = {"query_rows": data.query.numpy(), "database_rows": data.database.numpy()}
    codes: tuple[PackedBits, PackedBits] | tuple[Tensor, Tensor]
    truth, device, rule = inputs.truth(), inputs.cache.device, cell.method.rule
    with watch("evaluate"):
        match encoded:
            case (PackedBits() as query, PackedBits() as database, asked):
                codes = query, database
                scores = score_codes(query, database, data, device, truth, asked)
                arrays |= {"query_codes": query.rows, "database_codes": database.rows}
                if asked is not None:
                    arrays["query_scores"] = asked
            case (Tensor() as query, Tensor() as database):
                codes = query, database
                scores = score_floats(query, database, data, rule, truth)
                in_dim = inputs.features(cell.method.cls.consumes).array.shape[-1]
                n_bytes = cell.method.item_bytes(in_dim, cell.key.bits)
                scores.metrics["codes.bytes"] = float(n_bytes)
        scores = with_tracks(scores, tracks, codes, data, device, rule)
    arrays |= {name: one.rows for name, one in tracks.items() if isinstance(one, PackedBits)}
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
