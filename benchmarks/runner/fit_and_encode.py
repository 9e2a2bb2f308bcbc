"""Train the methods of some cells and encode queries and database."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.evaluation.asymmetric import QueryScores, rounded
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.tracks import DISTRACTORS
from benchmarks.grid.cells import Cell
from benchmarks.grid.no_exit import no_exit
from benchmarks.grid.yardsticks.base import VectorYardstick
from benchmarks.machine.memory import halving
from benchmarks.runner.stopwatch import Stopwatch
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training.distributed.rank_group import RankGroup
from benchmarks.training.distributed.shared_batch import SharedBatch
from benchmarks.training.distributed.torchrun import current_group
from benchmarks.training.trainer import Trainer, train_together
from benchmarks.training.training_sets import EndToEnd
from datasets.features import Features
from datasets.image_source import ImageSource
from methods import HashMethod
from methods.base import TrainingSet

N_GOLDEN = 8
"""Training images whose scores are kept beside a model, to check it by."""
_ENCODE_NUMBERS = 2**25
"""Numbers gathered at a time when images are encoded."""


Encoded = tuple[PackedBits, PackedBits, QueryScores | None] | tuple[Tensor, Tensor]
"""Queries and database as codes, (Q, K) and (M, K), or as the vectors of a yardstick.

Beside codes are the scores of the queries, where they are asked for.
"""
Tracks = dict[str, PackedBits | Tensor]
"""What else was encoded, by the names of `TaskInputs.tracks`."""


OnTrained = Callable[[Cell, dict[str, Tensor]], None]
"""Told what a cell learnt, see `learnt`."""


def fit_and_encode(
    cells: Sequence[Cell],
    inputs: TaskInputs,
    watch: Stopwatch,
    trainers: Sequence[Trainer],
    on_trained: OnTrained | None = None,
    *,
    asym: bool = False,
) -> list[tuple[Encoded, Tracks]]:
    """Fit the methods of some cells from their seeds, and encode.

    Parameters
    ----------
    cells : sequence of Cell
        One, or several that differ in their seed alone and are trained together.
    inputs : TaskInputs
        Of the cells' task.
    watch : Stopwatch
    trainers : sequence of Trainer
        One a cell.
    on_trained : callable, optional
        Told of each method that was trained.
    asym : bool
        Whether asymmetric distances are asked for, which take the scores of the queries.

    Returns
    -------
    list of (Encoded, Tracks)
        One a cell.
    """
    # Only a fine-tuned cell is shared; all others are work for rank 0 alone.
    group = current_group() if cells[0].method.finetune else RankGroup()
    with group.cell(cells[0].digest), no_exit():
        methods, training = _fitted(cells, inputs, watch, trainers, group)
        if on_trained is not None and cells[0].kind != "yardstick":  # which learn nothing
            for cell, method in zip(cells, methods, strict=True):
                on_trained(cell, learnt(method, training, cell, inputs))
        with watch("encode"):
            context = training, cells[0], inputs, group
            return [
                (
                    _encoded(method, *context, asym=asym),
                    _encoded_tracks(method, cells[0], inputs),
                )
                for method in methods
            ]


def learnt(
    method: HashMethod, training: TrainingSet, cell: Cell, inputs: TaskInputs
) -> dict[str, Tensor]:
    """Say what a cell learnt, as tensors on the CPU.

    Returns
    -------
    dict of str to Tensor
        ``method.NAME`` of its parameters and buffers; ``backbone.NUMBER`` of the backbone's where
        they were trained too; ``golden.inputs`` and ``golden.scores`` of the first eight training
        images; ``image_size``, the side of its images in pixels, where there are any.
    """
    data = cell.task.data
    found = {f"method.{name}": value for name, value in method.state_dict().items()}
    found |= {f"backbone.{i:05d}": value for i, value in enumerate(training.parameters())}
    with torch.no_grad():
        golden = _reader(training, cell, inputs)(data.train[:N_GOLDEN])
        found |= {"golden.inputs": golden, "golden.scores": method.eval().project(golden)}
    if data.images is not None:
        found["image_size"] = torch.tensor(data.images.size)
    return {name: value.detach().cpu().contiguous() for name, value in found.items()}


def _fitted(
    cells: Sequence[Cell],
    inputs: TaskInputs,
    watch: Stopwatch,
    trainers: Sequence[Trainer],
    group: RankGroup,
) -> tuple[list[HashMethod], TrainingSet]:
    """Build and train.

    Where a step of an end-to-end training has no room on the device, the training starts again (or
    goes on from its checkpoint), and keeps the activations of half as many images at a time.
    """

    def fit(at_once: int) -> tuple[list[HashMethod], TrainingSet]:
        for trainer in trainers:
            trainer.history.clear()
        with group.together():
            methods, training = _prepared(cells, inputs, watch, trainers)
        with group.together(), watch("fit"):
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
    if not spec.finetune:
        return fit(0)
    images = spec.cls.n_views * spec.recipe.batch_size // group.size
    return halving(fit, max(1, images))


def _prepared(
    cells: Sequence[Cell], inputs: TaskInputs, watch: Stopwatch, trainers: Sequence[Trainer]
) -> tuple[list[HashMethod], TrainingSet]:
    """Build the methods from the seeds of their cells, and what they are trained on."""
    training = inputs.training_set(cells[0], watch)
    methods = []
    for cell, trainer in zip(cells, trainers, strict=True):
        torch.manual_seed(trainer.seeds.weights)
        method = cell.method.cls(training.shape[-1], cell.key.bits, **cell.method.params)
        methods.append(method.to(inputs.cache.device))
        if len(cells) > 1:
            method.prepare(training)  # from the same stream of random numbers as its weights
    return methods, training


def _encoded(
    method: HashMethod,
    training: TrainingSet,
    cell: Cell,
    inputs: TaskInputs,
    group: RankGroup,
    *,
    asym: bool,
) -> Encoded:
    """Encode queries and database, a chunk at a time: tokens of all rows may not fit."""
    read = _reader(training, cell, inputs)
    data, device = cell.task.data, inputs.cache.device
    size = max(1, _ENCODE_NUMBERS // math.prod(training.shape))

    def packed(rows: Tensor, chunk: int) -> PackedBits:
        parts = (method.encode(read(part), chunk) for part in rows.split(chunk))
        return PackedBits.concatenate([PackedBits.of(part) for part in parts])

    def codes(rows: Tensor) -> Tensor:
        return torch.from_numpy(halving(partial(packed, rows), size).rows).to(device)

    if cell.method.has_codes:
        query, database = (group.spread(codes, part) for part in (data.query, data.database))
        return (
            PackedBits(query.cpu().numpy(), method.n_bits),
            PackedBits(database.cpu().numpy(), method.n_bits),
            _scores(method, read, data.query, size) if asym else None,
        )
    assert isinstance(method, VectorYardstick), "all others have codes"
    return method.project(read(data.query)), method.database(read(data.database))


@torch.no_grad()
def _scores(
    method: HashMethod, read: Callable[[Tensor], Tensor], rows: Tensor, size: int
) -> QueryScores:
    """Score some rows, a chunk at a time."""
    method.eval()
    return np.concatenate([rounded(method.project(read(part))) for part in rows.split(size)])


def _encoded_tracks(method: HashMethod, cell: Cell, inputs: TaskInputs) -> Tracks:
    """Encode worse queries and distractors; distractors as codes alone."""
    found: Tracks = {}
    device = inputs.cache.device
    for name, features in inputs.tracks(cell.method.cls.consumes):
        if cell.method.has_codes:
            size = max(1, _ENCODE_NUMBERS // math.prod(features.shape[1:]))
            parts = [
                method.encode(features[start : start + size].to(device), size)
                for start in range(0, len(features), size)
            ]
            found[name] = PackedBits.concatenate(list(map(PackedBits.of, parts)))
        elif name != DISTRACTORS:
            found[name] = method.project(features[:].to(device))
    return found


def _reader(training: TrainingSet, cell: Cell, inputs: TaskInputs) -> Callable[[Tensor], Tensor]:
    """Return what gives the inputs of the method for some rows of the data set."""
    if isinstance(training, EndToEnd):
        return partial(_extracted, training, inputs.images(cell.task.backbone.resize))
    return partial(_gathered, inputs.features(cell.method.cls.consumes).array)


def _extracted(training: EndToEnd, images: ImageSource, rows: Tensor) -> Tensor:
    return training.extract(images.read(rows))


def _gathered(features: Features, rows: Tensor) -> Tensor:
    return features[rows.to(features.device)]
