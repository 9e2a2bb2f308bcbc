"""Cells of the grid, from their keys to their records."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.checkpoint import Checkpoint
from benchmarks.environment import Environment
from benchmarks.features import Kind
from benchmarks.grid import Cell, seed_of
from benchmarks.inputs import SuiteInputs
from benchmarks.limits import halving
from benchmarks.scoring import Scores, protocol_info, score_codes, score_floats
from benchmarks.trainer import OnEpoch, Trainer, train_together
from benchmarks.training_sets import EndToEnd, FreshViews, ViewBank
from datasets.augment import AUGMENTATIONS
from datasets.base import ImageSource, lookup
from methods import HashMethod
from methods.base import TrainingSet
from results.store import RunRecord

_ENCODE_NUMBERS = 2**25
"""Numbers gathered at a time when images are encoded."""


class CellError(Exception):
    """A cell that cannot be run; the message is one line meant for the user."""


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def _wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def run_cells(
    cells: Sequence[Cell],
    inputs: SuiteInputs,
    environment: Environment,
    on_epoch: OnEpoch,
    checkpoints: Sequence[Checkpoint] | None = None,
) -> list[tuple[RunRecord, dict[str, np.ndarray]]]:
    """Fit, encode, evaluate.

    Parameters
    ----------
    cells : sequence of Cell
        One, or several that differ in their seed alone and are trained together.
    inputs : SuiteInputs
        Of the cells' suite.
    environment : Environment
        Versions and device, for the records.
    on_epoch : callable
        Told after each training epoch.
    checkpoints : sequence of Checkpoint, optional
        Where each training is kept, and goes on from.

    Returns
    -------
    list of (RunRecord, dict of ndarray)
        A record for each cell, and its arrays: packed codes, row numbers, AP of each query. A
        training of several counts as much for each of them.

    Raises
    ------
    CellError, FeatureError, TrainingError
        If the cells cannot be done; the message says why.
    """
    device = inputs.cache.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    watch = Stopwatch(device=device)
    trainers = [Trainer(cell.method.recipe, seed_of(cell.key), on_epoch) for cell in cells]
    for trainer, checkpoint in zip(trainers, checkpoints or (), strict=bool(checkpoints)):
        trainer.checkpoint = checkpoint
    fitted = _fit(cells, trainers, inputs, watch)
    if "fit" in watch.seconds:
        watch.seconds["fit"] /= len(cells)
    before = watch.seconds
    results = []
    for cell, trainer, (method, training) in zip(cells, trainers, fitted, strict=True):
        watch.seconds = dict(before)
        scores, arrays = _score(cell, method, training, inputs, watch)
        record = RunRecord(
            dataset=cell.key.dataset,
            protocol=cell.key.protocol,
            backbone=cell.key.backbone,
            method=cell.key.method,
            kind=cell.kind,
            bits=cell.key.bits,
            seed=cell.key.seed,
            digest=cell.digest,
            settings=cell.settings,
            protocol_info=protocol_info(cell.suite.data, cell.suite.digest),
            metrics=scores.metrics,
            curves=scores.curves,
            history=trainer.history,
            trained_with=[cell.key.seed for cell in cells],
            timings=watch.seconds,
            peak_memory_mib=_peak_memory_mib(device),
            versions=environment.versions,
            device=environment.device_name,
            commit=environment.commit,
            command=environment.command,
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
        )
        results.append((record, arrays))
    return results


_Fitted = tuple[HashMethod, TrainingSet] | tuple[None, None]
"""A method and what it was trained on; nothing for a yardstick."""


def _fit(
    cells: Sequence[Cell], trainers: Sequence[Trainer], inputs: SuiteInputs, watch: Stopwatch
) -> list[_Fitted]:
    """Train the methods of all cells."""
    lead = cells[0]
    if lead.method.cls is None:
        return [(None, None)] * len(cells)
    training = _training_set(lead, inputs, watch)
    methods = []
    with watch("fit"):
        for cell in cells:
            torch.manual_seed(seed_of(cell.key))
            method = lead.method.cls(training.shape[-1], cell.key.bits, **cell.method.params)
            methods.append(method.to(inputs.cache.device))
            if len(cells) > 1:
                method.prepare(training)  # from the same stream of random numbers as its weights
        if len(cells) == 1:
            methods[0].fit(training, trainers[0])
        else:
            train_together(trainers, methods, training)
            for method in methods:
                method.finish()
    return [(method, training) for method in methods]


def _score(
    cell: Cell,
    method: HashMethod | None,
    training: TrainingSet | None,
    inputs: SuiteInputs,
    watch: Stopwatch,
) -> tuple[Scores, dict[str, np.ndarray]]:
    """Encode and evaluate one cell."""
    data, device = cell.suite.data, inputs.cache.device
    arrays = {"query_rows": data.query.numpy(), "database_rows": data.database.numpy()}
    if cell.method.name == "float":
        features = inputs.features("features")
        watch.seconds["features"] = features.seconds
        with watch("evaluate"):
            scores = score_floats(features.array, data)
    else:
        if method is None or training is None:
            query, database = _random_codes(cell)
        else:
            with watch("encode"):
                query, database = (
                    _encode(method, training, cell, inputs, rows)
                    for rows in (data.query, data.database)
                )
        with watch("evaluate"):
            scores = score_codes(query, database, data, device)
        arrays["query_codes"] = np.packbits(query.cpu().numpy(), axis=1)
        arrays["database_codes"] = np.packbits(database.cpu().numpy(), axis=1)
    arrays["query_ap"] = scores.query_ap
    return scores, arrays


def _training_set(cell: Cell, inputs: SuiteInputs, watch: Stopwatch) -> TrainingSet:
    recipe, device = cell.method.recipe, inputs.cache.device
    kind, backbone = _kind(cell), cell.suite.backbone
    target = inputs.target(cell.method.learns_from, cell.text_encoder)
    if cell.method.finetune:
        augmentation = lookup("augmentation", recipe.augmentation, AUGMENTATIONS)
        images = inputs.training_images()
        return EndToEnd(images, backbone, kind, augmentation, device, target)
    features = inputs.features(kind)
    watch.seconds["features"] = features.seconds
    plain = inputs.training_features(kind)
    if not cell.method.is_trained:
        return ViewBank(plain, None, device)
    if cell.views == "bank":
        bank = inputs.bank(recipe.augmentation, recipe.bank_size, kind)
        watch.seconds["features"] += bank.seconds
        return ViewBank(plain, bank.array, device, target)
    augmentation = lookup("augmentation", recipe.augmentation, AUGMENTATIONS)
    images = inputs.training_images()
    return FreshViews(plain, images, backbone, kind, augmentation, device, target)


def _kind(cell: Cell) -> Kind:
    """Say what the cell's method consumes."""
    kind = "features" if cell.method.cls is None else cell.method.cls.consumes
    if kind == "images":
        raise CellError(
            f"{cell.method.name}: trains on images, and this runner gives features and tokens of a "
            "backbone; choose a method that consumes one of them, and --finetune to train both"
        )
    return kind


def _encode(
    method: HashMethod, training: TrainingSet, cell: Cell, inputs: SuiteInputs, rows: Tensor
) -> Tensor:
    """Codes of some rows, gathered a chunk at a time: tokens of all of them may not fit."""
    if isinstance(training, EndToEnd):
        read: Callable[[Tensor], Tensor] = partial(_extracted, training, inputs.images())
    else:
        read = partial(_gathered, inputs.features(_kind(cell)).array)

    def codes(chunk: int) -> Tensor:
        return torch.cat([method.encode(read(part), chunk) for part in rows.split(chunk)])

    return halving(codes, max(1, _ENCODE_NUMBERS // math.prod(training.shape)))


def _extracted(training: EndToEnd, images: ImageSource, rows: Tensor) -> Tensor:
    return training.extract(images.read(rows))


def _gathered(features: Tensor, rows: Tensor) -> Tensor:
    return features[rows.to(features.device)]


def _random_codes(cell: Cell) -> tuple[Tensor, Tensor]:
    """Fair coins: what codes are worth that know nothing."""
    coins = torch.Generator().manual_seed(seed_of(cell.key))
    query, database = (
        torch.rand(len(rows), cell.key.bits, generator=coins) < 0.5
        for rows in (cell.suite.data.query, cell.suite.data.database)
    )
    return query, database


def _peak_memory_mib(device: torch.device) -> float:
    """Peak of the device's memory during the cell; on the CPU, of the process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
