"""The one training loop.

Nothing inside a step waits for the device: the order of an epoch is drawn and moved at once, views
are drawn where they live, and losses are read back once an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from benchmarks.checkpoint import (
    Checkpoint,
    optimizer_state,
    random_state,
    restore_optimizer_state,
    restore_random_state,
)
from methods.base import Batch, HashMethod, Recipe, TrainingSet

OnEpoch = Callable[[int, int, dict[str, float]], None]
"""Told the epoch (from 1), the number of epochs, and the mean of each loss term."""


class TrainingError(Exception):
    """A training that cannot go on; the message is one line meant for the user."""


@dataclass
class Trainer:
    """Minimises a method's loss by its recipe.

    Parameters
    ----------
    recipe : Recipe
        Epochs, batch size, optimizer.
    seed : int
        Of the order of the images.
    on_epoch : callable
        Told after each epoch.

    Attributes
    ----------
    history : list of dict
        Mean of each loss term, an entry an epoch.
    checkpoint : Checkpoint or None
        Where the training is kept, and goes on from; a resumed training on the CPU ends in the same
        parameters as one that was never interrupted.
    """

    recipe: Recipe
    seed: int
    on_epoch: OnEpoch = lambda epoch, epochs, losses: None
    history: list[dict[str, float]] = field(default_factory=list)
    checkpoint: Checkpoint | None = None

    def train(self, method: HashMethod, data: TrainingSet) -> None:
        """Train in place.

        Every step sees a full batch: an epoch visits floor(N / B) batches of a new random order,
        so each epoch leaves out other images, and fewer than a batch of them. A training set
        smaller than a batch is one batch.

        Raises
        ------
        TrainingError
            If a loss term or a parameter is not finite, with the epoch and the name.
        """
        device = next(method.state()).device
        order_of = torch.Generator().manual_seed(self.seed)
        epochs = self.recipe.epochs_for(method.n_bits)
        size = min(self.recipe.batch_size, len(data))
        steps = len(data) // size
        optimizer = _optimizer(self.recipe, method, data)
        rates = [group["lr"] for group in optimizer.param_groups]
        state = _State(method, data, optimizer, order_of)
        self._resume(state)
        method.train()
        for epoch in range(len(self.history), epochs):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * _factor(self.recipe, epoch / epochs)
            order = torch.randperm(len(data), generator=order_of)[: steps * size]
            totals: dict[str, Tensor] = {}
            finite: dict[str, Tensor] = {}  # steps before a term was not finite
            for step, index in enumerate(order.view(steps, size).to(device)):
                progress = (epoch + step / steps) / epochs
                views = data.views(index, method.n_views)
                terms = method.loss(Batch(views, index, progress))
                optimizer.zero_grad(set_to_none=True)
                torch.stack(list(terms.values())).sum().backward()
                optimizer.step()
                for name, term in terms.items():
                    totals[name] = totals.get(name, 0) + term.detach()
                for name, total in totals.items():
                    finite[name] = finite.get(name, step) + total.isfinite()
            losses = {name: float(total) / steps for name, total in totals.items()}
            self._check_losses(method, epoch + 1, losses, finite)
            self.history.append(losses)
            if self.checkpoint is not None and self.checkpoint.is_due:
                self.checkpoint.write(state.tensors(), self.history)
            self.on_epoch(epoch + 1, epochs, losses)
        self._check_parameters(method, data, epochs)
        method.eval()

    def _resume(self, state: _State) -> None:
        """Go on from the checkpoint, if there is one of this training."""
        kept = None if self.checkpoint is None else self.checkpoint.read()
        if kept is not None:
            tensors, history = kept
            state.restore(tensors)
            self.history[:] = history

    def _check_losses(
        self,
        method: HashMethod,
        epoch: int,
        losses: dict[str, float],
        finite: dict[str, Tensor],
    ) -> None:
        """Name the first term to fail: it ruins the parameters, and they all other terms."""
        if wrong := [name for name, value in losses.items() if not math.isfinite(value)]:
            name = min(wrong, key=lambda name: int(finite[name]))
            raise TrainingError(
                f"{type(method).__name__}: loss term {name!r} must be finite, got {losses[name]} "
                f"in epoch {epoch}; lower the learning rate or check the features"
            )

    def _check_parameters(self, method: HashMethod, data: TrainingSet, epoch: int) -> None:
        backbone = (("of the backbone", parameter) for parameter in data.parameters())
        for name, parameter in chain(method.named_parameters(), backbone):
            if not parameter.isfinite().all():
                raise TrainingError(
                    f"{type(method).__name__}: parameter {name!r} is not finite after "
                    f"epoch {epoch}; lower the learning rate or check the gradient of the loss"
                )


def _optimizer(recipe: Recipe, method: HashMethod, data: TrainingSet) -> torch.optim.Optimizer:
    """Optimizer of the method's parameters, and of the backbone's at a rate of their own."""
    parameters = [p for p in method.parameters() if p.requires_grad]
    if not parameters:
        raise TrainingError(
            f"{type(method).__name__}: a trained method needs parameters, got none; "
            "define fit for a closed form"
        )
    groups: list[dict[str, Any]] = [{"params": parameters, "lr": recipe.lr}]
    if backbone := list(data.parameters()):
        groups.append({"params": backbone, "lr": recipe.backbone_lr})
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(groups, weight_decay=recipe.weight_decay, momentum=0.9, fused=True)


def _factor(recipe: Recipe, progress: float) -> float:
    """Factor of the learning rates at a share of the training in [0, 1]."""
    return 1.0 if recipe.schedule == "constant" else (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class _State:
    """All that a training changes, as named tensors."""

    method: HashMethod
    data: TrainingSet
    optimizer: torch.optim.Optimizer
    order_of: torch.Generator

    @property
    def _generators(self) -> dict[str, torch.Generator]:
        return {"order": self.order_of, "views": self.data.generator}

    @property
    def _weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of the method, parameters of a backbone in training."""
        backbone = {f"backbone.{i}": p for i, p in enumerate(self.data.parameters())}
        return {f"method.{k}": v for k, v in self.method.state_dict().items()} | backbone

    def tensors(self) -> dict[str, Tensor]:
        return self._weights | optimizer_state(self.optimizer) | random_state(self._generators)

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in self._weights.items():
            tensor.copy_(tensors[name])
        restore_optimizer_state(tensors, self.optimizer)
        restore_random_state(tensors, self._generators)
