"""From cells to codes: build, train and encode; the part of a cell that several ranks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.features.base import Kind
from benchmarks.grid.cells import Cell, seed_of
from benchmarks.machine.memory import halving
from benchmarks.runner.stopwatch import Stopwatch
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training.distributed.shared_batch import SharedBatch
from benchmarks.training.distributed.torchrun import crew
from benchmarks.training.trainer import Trainer, train_together
from benchmarks.training.training_sets import EndToEnd, FreshViews, ViewBank
from datasets.augment import AUGMENTATIONS
from datasets.errors import lookup
from datasets.image_source import ImageSource
from methods import HashMethod
from methods.base import TrainingSet

_ENCODE_NUMBERS = 2**25
"""Numbers gathered at a time when images are encoded."""


def train_and_encode(
    cells: Sequence[Cell], inputs: TaskInputs, watch: Stopwatch, trainers: Sequence[Trainer]
) -> list[tuple[Tensor, Tensor]]:
    """Train from the cells' seeds, and encode.

    Parameters
    ----------
    cells : sequence of Cell
        One, or several that differ in their seed alone and are trained together.
    inputs : TaskInputs
        Of the cells' task.
    watch : Stopwatch
    trainers : sequence of Trainer
        One a cell.

    Returns
    -------
    list of (Tensor, Tensor), bool, shape (N, K)
        Codes of queries and database of each cell.
    """
    data = cells[0].task.data
    with crew().cell(cells[0].digest):
        methods, training = _fitted(cells, inputs, watch, trainers)
        codes = []
        with watch("encode"):
            for method in methods:
                of = partial(_encode, method, training, cells[0], inputs)
                query, database = (crew().spread(of, rows) for rows in (data.query, data.database))
                codes.append((query, database))
    return codes


def _fitted(
    cells: Sequence[Cell], inputs: TaskInputs, watch: Stopwatch, trainers: Sequence[Trainer]
) -> tuple[list[HashMethod], TrainingSet]:
    """Build and train.

    Where a step of an end-to-end training has no room on the device, the training starts again (or
    goes on from its checkpoint), and keeps the activations of half as many images at a time.
    """

    def fit(at_once: int) -> tuple[list[HashMethod], TrainingSet]:
        for trainer in trainers:
            trainer.history.clear()
        with crew().together():
            methods, training = _prepared(cells, inputs, watch)
        with crew().together(), watch("fit"):
            if isinstance(training, EndToEnd):
                training.at_once = at_once
            if isinstance(training, SharedBatch):
                training.connect(methods[0])
            if len(methods) == 1:
                methods[0].fit(training, trainers[0])
            else:
                train_together(trainers, methods, training)
                for method in methods:
                    method.finish()
        return methods, training

    spec = cells[0].method
    if spec.cls is None or not spec.finetune:
        return fit(0)
    images = spec.cls.n_views * spec.recipe.batch_size // crew().size
    return halving(fit, max(1, images))


def _prepared(
    cells: Sequence[Cell], inputs: TaskInputs, watch: Stopwatch
) -> tuple[list[HashMethod], TrainingSet]:
    """Build the methods from the seeds of their cells, and what they are trained on."""
    cls = cells[0].method.cls
    assert cls is not None, "a yardstick is not fitted"
    training = _training_set(cells[0], inputs, watch)
    methods = []
    for cell in cells:
        torch.manual_seed(seed_of(cell.key))
        method = cls(training.shape[-1], cell.key.bits, **cell.method.params)
        methods.append(method.to(inputs.cache.device))
        if len(cells) > 1:
            method.prepare(training)  # from the same stream of random numbers as its weights
    return methods, training


def _training_set(cell: Cell, inputs: TaskInputs, watch: Stopwatch) -> TrainingSet:
    recipe, device = cell.method.recipe, inputs.cache.device
    kind, backbone = _kind(cell), cell.task.backbone
    target = inputs.target(cell.method.learns_from, cell.text_encoder)
    if cell.method.finetune:
        augmentation = lookup("augmentation", recipe.augmentation, AUGMENTATIONS)
        images = inputs.training_images()
        kind_of_set = EndToEnd if crew().size == 1 else SharedBatch
        return kind_of_set(images, backbone, kind, augmentation, device, target)
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
    frozen = backbone.to(device).frozen()
    return FreshViews(plain, images, frozen, kind, augmentation, device, target)


def _kind(cell: Cell) -> Kind:
    """Say what the cell's method consumes."""
    return "features" if cell.method.cls is None else cell.method.cls.consumes


def _encode(
    method: HashMethod, training: TrainingSet, cell: Cell, inputs: TaskInputs, rows: Tensor
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
    return features.index_select(0, rows.to(features.device))  # a third of the time of an index
