"""The one training loop.

It trains one method, or several that differ in their seed alone
(`benchmarks.training.stacked_seeds`). Nothing inside a step waits for the device: orders and random
numbers are drawn and moved ahead, views are made where they live, and losses are read back once an
epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from benchmarks.machine.threads import threads
from benchmarks.training.checkpoint import Checkpoint, History, random_state, restore_random_state
from benchmarks.training.optimizer import SeedGroupOptimizer
from benchmarks.training.stacked_seeds import seed_group
from benchmarks.training.step import CudaGraphStep, Step
from methods.base import HashMethod, Recipe, TrainingSet

_AHEAD = 32
"""Steps whose random numbers are drawn at a time, and after which vanished moments are dropped."""

OnEpoch = Callable[[int, int, dict[str, float]], None]
"""Told the epoch (from 1), the number of epochs, and the mean of each loss term."""


Matmul = Literal["highest", "high", "medium"]
"""How float32 matrices are multiplied in a training, in torch's words: in float32, or where the
device is faster at that in TensorFloat32, or in bfloat16 with sums in float32."""


class TrainingError(Exception):
    """A training that cannot go on; the message is one line meant for the user."""


class Seeds(NamedTuple):
    """What a run draws at random, and the seed of each: all follow from the number of the run."""

    weights: int
    order: int
    views: int
    noise: int

    @classmethod
    def of(cls, seed: int) -> Seeds:
        """Return the four seeds of a run.

        Examples
        --------
        >>> Seeds.of(7)
        Seeds(weights=7, order=8, views=9, noise=10)
        """
        return cls(seed, seed + 1, seed + 2, seed + 3)


@dataclass
class Trainer:
    """Minimises a method's loss by its recipe.

    Parameters
    ----------
    recipe : Recipe
        Epochs, batch size, optimizer.
    seed : int
        Of the run; weights, order of the images, views and noise have one each, see `seeds`.
    on_epoch : callable
        Told after each epoch.

    Attributes
    ----------
    history : list of dict
        Mean of each loss term, an entry an epoch.
    checkpoint : Checkpoint or None
        Where the training is kept, and goes on from; a resumed training on the CPU ends in the same
        parameters as one that was never interrupted.
    matmul : Matmul
        Precision of its matrix products.
    threads : int or None
        Of torch while it trains; None leaves them as they are.
    """

    recipe: Recipe
    seed: int
    on_epoch: OnEpoch = lambda epoch, epochs, losses: None
    history: History = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    matmul: Matmul = "highest"
    threads: int | None = None

    @property
    def seeds(self) -> Seeds:
        """Seeds of all that the run draws; whoever builds the method draws its weights."""
        return Seeds.of(self.seed)

    def train(self, method: HashMethod, data: TrainingSet) -> None:
        """Train in place, see `train_together`."""
        train_together([self], [method], data)

    def kept(self) -> tuple[dict[str, Tensor], History]:
        """Return what the checkpoint holds of this training; nothing where there is none."""
        return (None if self.checkpoint is None else self.checkpoint.read()) or ({}, [])


def train_together(
    trainers: Sequence[Trainer], methods: Sequence[HashMethod], data: TrainingSet
) -> None:
    """Train methods that differ in their seed alone, each as its own trainer would, to rounding.

    Every step sees a full batch: an epoch visits floor(N / B) batches of a new random order, so
    each epoch leaves out other images, and fewer than a batch of them. A training set smaller than
    a batch is one batch.

    Parameters
    ----------
    trainers : sequence of Trainer
        Of one recipe and precision; what the first one says of epochs is told of their mean.
    methods : sequence of HashMethod
        One each; trained in place and left in evaluation mode.
    data : TrainingSet
        For all of them.

    Raises
    ------
    TrainingError
        If a loss term or a parameter is not finite, with the epoch and the name.
    """
    kept = [trainer.kept() for trainer in trainers]
    for done in sorted({len(history) for _, history in kept}):
        members = [
            _Member(trainer, method, data, *found)
            for trainer, method, found in zip(trainers, methods, kept, strict=True)
            if len(found[1]) == done
        ]
        with _products(trainers[0].matmul), threads(trainers[0].threads):
            _Training(members, data).run(done)


@contextmanager
def _products(matmul: Matmul) -> Iterator[None]:
    """Set the precision of matrix products for a while."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(matmul)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass
class _Member:
    """What one method of a training has for itself."""

    trainer: Trainer
    method: HashMethod
    data: TrainingSet
    kept: dict[str, Tensor]
    history: History

    def __post_init__(self) -> None:
        seeds = self.trainer.seeds
        self.trainer.history[:] = self.history
        self.order_of = torch.Generator().manual_seed(seeds.order)
        self.views_of = self.data.generator(seeds.views)
        device = next(self.method.state()).device
        self.noise_of = torch.Generator(device).manual_seed(seeds.noise)

    @property
    def generators(self) -> dict[str, torch.Generator]:
        return {"order": self.order_of, "views": self.views_of, "noise": self.noise_of}

    def order(self, n: int) -> Tensor:
        """Draw which images an epoch visits, int64 (n,)."""
        return torch.randperm(len(self.data), generator=self.order_of)[:n]

    def end_epoch(self, losses: dict[str, float], failed: dict[str, int]) -> None:
        """Note the losses of an epoch, and name the first term to fail.

        It ruins the parameters, and they all other terms.
        """
        history = self.trainer.history
        if wrong := [name for name, value in losses.items() if not math.isfinite(value)]:
            name = max(wrong, key=lambda name: failed[name])
            raise TrainingError(
                f"{type(self.method).__name__}: loss term {name!r} must be finite, got "
                f"{losses[name]} in epoch {len(history) + 1}; lower the learning rate or check "
                "the features"
            )
        history.append(losses)


class _Training:
    """A training from one checkpoint to its end."""

    def __init__(self, members: Sequence[_Member], data: TrainingSet) -> None:
        self._members = members
        self._data = data
        self._recipe = members[0].trainer.recipe
        self._group = seed_group([member.method for member in members])
        self._device = next(members[0].method.state()).device
        if not self._group.parameters():
            raise TrainingError(
                f"{type(members[0].method).__name__}: a trained method needs parameters, got none; "
                "define fit for a closed form"
            )
        backbone = list(data.parameters())
        self._optimizer = SeedGroupOptimizer(self._recipe, self._group, backbone, self._device)
        for i, member in enumerate(members):
            if member.kept:
                self._restore(i, member)
        if any(member.kept for member in members):
            self._optimizer.restore([member.kept for member in members])
        self._losses = Step(self._group, self._optimizer.torch)
        captures = self._device.type == "cuda" and members[0].method.stacks
        self._step = CudaGraphStep(self._losses) if captures and not backbone else self._losses

    def run(self, done: int) -> None:
        """Train from the epoch after `done` on."""
        lead = self._members[0]
        epochs = self._recipe.epochs_for(lead.method.n_bits)
        for member in self._members:
            member.method.train()
        for epoch in range(done, epochs):
            self._optimizer.set_rates(_factor(self._recipe, epoch / epochs))
            self._refresh()
            self._epoch(epoch, epochs)
            self._end_epoch()
            mean = _mean([member.trainer.history[-1] for member in self._members])
            lead.trainer.on_epoch(epoch + 1, epochs, mean)
        self._group.copy_back()
        for member in self._members:
            _check_parameters(member.method, self._data, epochs)
            member.method.eval()

    @cached_property
    def _size(self) -> int:
        """Images a step."""
        return min(self._recipe.batch_size, len(self._data))

    @cached_property
    def _steps(self) -> int:
        """Steps an epoch."""
        return len(self._data) // self._size

    def _epoch(self, epoch: int, epochs: int) -> None:
        """Take the steps of one epoch."""
        size, steps = self._size, self._steps
        n = size * steps
        order = torch.stack([member.order(n) for member in self._members]).to(self._device)
        progress = (epoch + torch.arange(steps, device=self._device) / steps) / epochs
        self._losses.begin()
        for first in range(0, steps, _AHEAD):
            some = range(first, min(first + _AHEAD, steps))
            drawn, noise = self._draw(len(some) * size)
            for i, step in enumerate(some):
                index = order[:, step * size : (step + 1) * size]  # (S, B)
                rows = slice(i * size, (i + 1) * size)
                views = self._views(index, drawn[:, rows])
                of_these = None if noise is None else noise[:, rows]
                self._step(views, index, progress[step], of_these)
            self._optimizer.drop_vanished()

    def _refresh(self) -> None:
        """Let every method take anew what it needs of the whole training set."""
        self._group.copy_back()
        for member in self._members:
            member.method.refresh(self._data, member.noise_of)
        self._group.take_buffers()

    def _views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Make the views of a batch (S, B) as they were drawn, (S, V, B, ...)."""
        chosen = [
            member.method.viewed(own, member.noise_of)
            for member, own in zip(self._members, index, strict=True)
        ]
        others = [rows for rows in chosen if rows is not None]
        if not others:
            return self._data.views(index, drawn)
        apart = drawn.transpose(1, 2).unsqueeze(3)  # (S, V, B, 1, ...): views of V batches
        return self._data.views(torch.stack(others), apart).squeeze(2)

    def _draw(self, n: int) -> tuple[Tensor, Tensor | None]:
        """Draw the random numbers of the next `n` images of every member, (S, n, ...)."""
        n_views = self._members[0].method.n_views
        drawn = [self._data.draw(n, n_views, member.views_of) for member in self._members]
        noise = [member.method.noise(n, member.noise_of) for member in self._members]
        some = [numbers for numbers in noise if numbers is not None]
        return torch.stack(drawn), torch.stack(some) if some else None

    def _end_epoch(self) -> None:
        """Read the losses back, and keep the training where that is due."""
        names = self._losses.names
        losses = dict(zip(names, (self._losses.totals / self._steps).tolist(), strict=True))
        failed = dict(zip(names, self._losses.failed.tolist(), strict=True))
        for i, member in enumerate(self._members):
            member.end_epoch(_column(losses, i), _column(failed, i))
        for i, member in enumerate(self._members):
            checkpoint = member.trainer.checkpoint
            if checkpoint is not None and checkpoint.is_due:
                checkpoint.write(self._tensors(i, member), member.trainer.history)

    def _weights(self, i: int) -> dict[str, Tensor]:
        """Parameters and buffers of a method, parameters of a backbone in training."""
        backbone = {f"backbone.{j}": p for j, p in enumerate(self._data.parameters())}
        return {f"method.{k}": v for k, v in self._group.weights(i).items()} | backbone

    def _tensors(self, i: int, member: _Member) -> dict[str, Tensor]:
        """All that the training of one member changes."""
        return self._weights(i) | self._optimizer.state(i) | random_state(member.generators)

    @torch.no_grad()
    def _restore(self, i: int, member: _Member) -> None:
        for name, tensor in self._weights(i).items():
            tensor.copy_(member.kept[name])
        restore_random_state(member.kept, member.generators)


T = TypeVar("T")


def _column(rows: Mapping[str, Sequence[T]], i: int) -> dict[str, T]:
    return {name: values[i] for name, values in rows.items()}


def _mean(losses: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(own[name] for own in losses) / len(losses) for name in losses[0]}


def _check_parameters(method: HashMethod, data: TrainingSet, epoch: int) -> None:
    backbone = (("of the backbone", parameter) for parameter in data.parameters())
    for name, parameter in chain(method.named_parameters(), backbone):
        if not parameter.isfinite().all():
            raise TrainingError(
                f"{type(method).__name__}: parameter {name!r} is not finite after "
                f"epoch {epoch}; lower the learning rate or check the gradient of the loss"
            )


def _factor(recipe: Recipe, progress: float) -> float:
    """Factor of the learning rates at a share of the training in [0, 1]."""
    return 1.0 if recipe.schedule == "constant" else (1 + math.cos(math.pi * progress)) / 2
