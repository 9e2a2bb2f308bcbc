"""One cell of the grid, from its key to its record."""

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
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from benchmarks.backbones import Backbone
from benchmarks.checkpoint import Checkpoint
from benchmarks.environment import Environment
from benchmarks.features import Cached, FeatureCache, Kind
from benchmarks.grid import Cell, seed_of
from benchmarks.limits import halving
from benchmarks.ranks import crew
from benchmarks.scoring import protocol_info, score_codes, score_floats
from benchmarks.shared_batch import SharedBatch
from benchmarks.suites import Suite
from benchmarks.targets import Target, target_of
from benchmarks.trainer import OnEpoch, Trainer
from benchmarks.training_sets import EndToEnd, FreshViews, ViewBank
from datasets.augment import AUGMENTATIONS
from datasets.base import ImageSource, RetrievalDataset, lookup
from methods import HashMethod
from methods.base import Supervision, TrainingSet
from results.store import RunRecord

T = TypeVar("T")

_ENCODE_NUMBERS = 2**25
"""Numbers gathered at a time when images are encoded."""


class CellError(Exception):
    """A cell that cannot be run; the message is one line meant for the user."""


@dataclass
class SuiteInputs:
    """The features of a suite, fetched on first use and shared by its cells.

    A failure is kept too: the cells that need the same features fail with the same message instead
    of trying again.
    """

    suite: Suite
    cache: FeatureCache
    _got: dict[object, Any] = field(default_factory=dict)

    def features(self, kind: Kind) -> Cached:
        """Unaugmented features or tokens of every image, on the device of the cache."""
        return self._once(kind, lambda: self._on_device(self.cache.features(*self._names, kind)))

    def bank(self, augmentation: str, n_views: int, kind: Kind) -> Cached:
        """Augmented views of the training images."""
        return self._once(
            (augmentation, n_views, kind),
            lambda: self._on_device(self.cache.bank(*self._names, augmentation, n_views, kind)),
        )

    def images(self) -> ImageSource:
        """Images of the suite, ready to be read."""
        return self._once("images", lambda: self.cache.images(self.suite.data))

    def target(self, supervision: Supervision, text_encoder: str) -> Target | None:
        """Build what a method that declares a supervision learns from."""

        def embed(captions: Sequence[Sequence[str]]) -> Tensor:
            return self.cache.captions(captions, text_encoder).array

        name = (supervision, text_encoder)
        return self._once(name, lambda: target_of(self.suite.data, supervision, embed))

    @property
    def _names(self) -> tuple[RetrievalDataset, Backbone]:
        return self.suite.data, self.suite.backbone

    def _on_device(self, cached: Cached) -> Cached:
        return Cached(cached.array.to(self.cache.device), cached.seconds)

    def _once(self, name: object, get: Callable[[], T]) -> T:
        if name not in self._got:
            try:
                self._got[name] = get()
            except Exception as error:  # kept, and raised below and for every later cell
                self._got[name] = error
        got: T | Exception = self._got[name]
        if isinstance(got, Exception):
            raise got
        return got


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


def run_cell(
    cell: Cell,
    inputs: SuiteInputs,
    environment: Environment,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None = None,
) -> tuple[RunRecord, dict[str, np.ndarray]]:
    """Fit, encode, evaluate.

    Parameters
    ----------
    cell : Cell
    inputs : SuiteInputs
        Of the cell's suite.
    environment : Environment
        Versions and device, for the record.
    on_epoch : callable
        Told after each training epoch.
    checkpoint : Checkpoint, optional
        Where the training is kept, and goes on from.

    Returns
    -------
    RunRecord, dict of ndarray
        The record, and its arrays: packed codes, row numbers, AP of each query.

    Raises
    ------
    CellError, FeatureError, TrainingError
        If the cell cannot be done; the message says why.
    """
    device = inputs.cache.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    watch = Stopwatch(device=device)
    data = cell.suite.data
    history: list[dict[str, float]] = []
    arrays = {"query_rows": data.query.numpy(), "database_rows": data.database.numpy()}

    if cell.method.name == "float":
        features = inputs.features("features")
        watch.seconds["features"] = features.seconds
        with watch("evaluate"):
            scores = score_floats(features.array, data)
    else:
        if cell.method.cls is None:
            query, database = _random_codes(cell)
        else:
            trainer = Trainer(cell.method.recipe, seed_of(cell.key), on_epoch, history, checkpoint)
            query, database = train_and_encode(cell, inputs, watch, trainer)
        with watch("evaluate"):
            scores = score_codes(query, database, data, device)
        arrays["query_codes"] = np.packbits(query.cpu().numpy(), axis=1)
        arrays["database_codes"] = np.packbits(database.cpu().numpy(), axis=1)

    arrays["query_ap"] = scores.query_ap
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
        protocol_info=protocol_info(data, cell.suite.digest),
        metrics=scores.metrics,
        curves=scores.curves,
        history=history,
        timings=watch.seconds,
        peak_memory_mib=_peak_memory_mib(device),
        versions=environment.versions,
        device=_device_name(cell, environment),
        commit=environment.commit,
        command=environment.command,
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    return record, arrays


def train_and_encode(
    cell: Cell, inputs: SuiteInputs, watch: Stopwatch, trainer: Trainer
) -> tuple[Tensor, Tensor]:
    """Codes of queries and database, bool (N, K) each, after training from the cell's seed.

    This is the part of a cell that several ranks do together.
    """
    with crew().cell(cell.digest):
        method, training = _fitted(cell, inputs, watch, trainer)
        with watch("encode"):
            query, database = (
                crew().spread(partial(_encode, method, training, cell, inputs), rows)
                for rows in (cell.suite.data.query, cell.suite.data.database)
            )
    return query, database


def _fitted(
    cell: Cell, inputs: SuiteInputs, watch: Stopwatch, trainer: Trainer
) -> tuple[HashMethod, TrainingSet]:
    """Build and train.

    Where a step of an end-to-end training has no room on the device, the training starts again (or
    goes on from its checkpoint), and keeps the activations of half as many images at a time.
    """

    def fit(at_once: int) -> tuple[HashMethod, TrainingSet]:
        trainer.history.clear()
        with crew().together():
            method, training = _prepare(cell, inputs, watch)
        with crew().together(), watch("fit"):
            if isinstance(training, EndToEnd):
                training.at_once = at_once
            if isinstance(training, SharedBatch):
                training.connect(method)
            method.fit(training, trainer)
        return method, training

    if cell.method.cls is None or not cell.method.finetune:
        return fit(0)
    images = cell.method.cls.n_views * cell.method.recipe.batch_size // crew().size
    return halving(fit, max(1, images))


def _prepare(cell: Cell, inputs: SuiteInputs, watch: Stopwatch) -> tuple[HashMethod, TrainingSet]:
    """Build the method from the cell's seed, and the inputs of its training images."""
    cls = cell.method.cls
    assert cls is not None, "a yardstick is not fitted"
    training = _training_set(cell, inputs, watch)
    torch.manual_seed(seed_of(cell.key))
    method = cls(training.shape[-1], cell.key.bits, **cell.method.params)
    return method.to(inputs.cache.device), training


def _training_set(cell: Cell, inputs: SuiteInputs, watch: Stopwatch) -> TrainingSet:
    data, recipe, device = cell.suite.data, cell.method.recipe, inputs.cache.device
    seed, kind, backbone = seed_of(cell.key), _kind(cell), cell.suite.backbone
    target = inputs.target(cell.method.learns_from, cell.text_encoder)
    if cell.method.finetune:
        augmentation = lookup("augmentation", recipe.augmentation, AUGMENTATIONS)
        images = inputs.images().read(data.train)
        kind_of_set = EndToEnd if crew().size == 1 else SharedBatch
        return kind_of_set(images, backbone, kind, augmentation, seed, device, target)
    features = inputs.features(kind)
    watch.seconds["features"] = features.seconds
    plain = features.array[data.train.to(device)]
    if not cell.method.is_trained:
        return ViewBank(plain, None, seed, device)
    if cell.views == "bank":
        bank = inputs.bank(recipe.augmentation, recipe.bank_size, kind)
        watch.seconds["features"] += bank.seconds
        return ViewBank(plain, bank.array, seed, device, target)
    augmentation = lookup("augmentation", recipe.augmentation, AUGMENTATIONS)
    images = inputs.images().read(data.train)
    return FreshViews(plain, images, backbone, kind, augmentation, seed, device, target)


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


def _device_name(cell: Cell, environment: Environment) -> str:
    """Say what the cell was trained on."""
    n_ranks = crew().size if cell.method.finetune else 1
    return environment.device_name if n_ranks == 1 else f"{n_ranks} x {environment.device_name}"


def _peak_memory_mib(device: torch.device) -> float:
    """Peak of the device's memory during the cell; on the CPU, of the process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
