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
    """

    recipe: Recipe
    seed: int
    on_epoch: OnEpoch = lambda epoch, epochs, losses: None
    history: list[dict[str, float]] = field(default_factory=list)

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
        schedule = _schedule(self.recipe, optimizer, epochs)
        method.train()
        for epoch in range(epochs):
            order = torch.randperm(len(data), generator=order_of)[: steps * size]
            totals: dict[str, Tensor] = {}
            for step, index in enumerate(order.view(steps, size).to(device)):
                progress = (epoch + step / steps) / epochs
                views = data.views(index, method.n_views)
                terms = method.loss(Batch(views, index, progress))
                optimizer.zero_grad(set_to_none=True)
                torch.stack(list(terms.values())).sum().backward()
                optimizer.step()
                for name, term in terms.items():
                    totals[name] = totals.get(name, 0) + term.detach()
            schedule.step()
            losses = {name: float(total) / steps for name, total in totals.items()}
            self._check_losses(method, epoch + 1, losses)
            self.history.append(losses)
            self.on_epoch(epoch + 1, epochs, losses)
        self._check_parameters(method, data, epochs)
        method.eval()

    def _check_losses(self, method: HashMethod, epoch: int, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{type(method).__name__}: loss term {name!r} must be finite, got {value} in "
                    f"epoch {epoch}; lower the learning rate or check the features"
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


def _schedule(
    recipe: Recipe, optimizer: torch.optim.Optimizer, epochs: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Factor of the learning rates, by the epoch."""

    def factor(epoch: int) -> float:
        if recipe.schedule == "constant":
            return 1.0
        return (1 + math.cos(math.pi * epoch / epochs)) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
