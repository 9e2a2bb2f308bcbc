"""The one training loop.

Nothing inside a step waits for the device: the order of an epoch is drawn and moved at once, views
are drawn where they live, and losses are read back once an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

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
        optimizer = _optimizer(self.recipe, method)
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
            losses = {name: float(total) / steps for name, total in totals.items()}
            self._check_losses(method, epoch + 1, losses)
            self.history.append(losses)
            self.on_epoch(epoch + 1, epochs, losses)
        self._check_parameters(method, epochs)
        method.eval()

    def _check_losses(self, method: HashMethod, epoch: int, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{type(method).__name__}: loss term {name!r} must be finite, got {value} in "
                    f"epoch {epoch}; lower the learning rate or check the features"
                )

    def _check_parameters(self, method: HashMethod, epoch: int) -> None:
        for name, parameter in method.named_parameters():
            if not parameter.isfinite().all():
                raise TrainingError(
                    f"{type(method).__name__}: parameter {name!r} is not finite after "
                    f"epoch {epoch}; lower the learning rate or check the gradient of the loss"
                )


def _optimizer(recipe: Recipe, method: HashMethod) -> torch.optim.Optimizer:
    parameters = [p for p in method.parameters() if p.requires_grad]
    if not parameters:
        raise TrainingError(
            f"{type(method).__name__}: a trained method needs parameters, got none; "
            "define fit for a closed form"
        )
    if recipe.optimizer == "adam":
        return torch.optim.Adam(
            parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
    return torch.optim.SGD(
        parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=0.9, fused=True
    )
