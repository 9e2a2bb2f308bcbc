"""The optimizer of a training, whose state can be taken apart by member and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.training.stacked_seeds import SeedGroup
from methods.base import Recipe

_VANISHED = 1e-30
"""A moment this small moves no parameter. One that no gradient feeds any longer halves every seven
steps, and below 1.2e-38, where floats are denormal, a CPU takes several times as long for it."""


class SeedGroupOptimizer:
    """The optimizer of a recipe, whose state can be taken apart by member.

    Parameters
    ----------
    recipe : Recipe
    group : SeedGroup
        Trained at the recipe's rate.
    backbone : sequence of Parameter
        Of a backbone in training, at a rate of their own; else empty.
    device : torch.device
        On CUDA, rates are tensors, so that a captured step follows them.
    """

    def __init__(
        self,
        recipe: Recipe,
        group: SeedGroup,
        backbone: Sequence[nn.Parameter],
        device: torch.device,
    ) -> None:
        self._group = group
        self._own = group.parameters()
        self._all: list[Tensor] = [*self._own, *backbone]
        self._rates = [recipe.lr, *([recipe.backbone_lr] if backbone else [])]
        on_cuda = device.type == "cuda"
        groups: list[dict[str, Any]] = [
            {"params": params, "lr": torch.tensor(rate, device=device) if on_cuda else rate}
            for params, rate in zip((self._own, backbone), self._rates, strict=False)
        ]
        decay = recipe.weight_decay
        if recipe.optimizer == "adam":
            self.torch: torch.optim.Optimizer = torch.optim.Adam(
                groups, weight_decay=decay, fused=True, capturable=on_cuda
            )
        else:
            self.torch = torch.optim.SGD(groups, weight_decay=decay, momentum=0.9, fused=True)

    def set_rates(self, factor: float) -> None:
        """Set every learning rate to a share of what it starts with."""
        for group, rate in zip(self.torch.param_groups, self._rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor

    @torch.no_grad()
    def drop_vanished(self) -> None:
        """Set moments to 0 that are all but 0, as those of units that have died.

        Due every hundred steps at the latest, for what is left is denormal after 170.
        """
        for state in self.torch.state.values():
            for name, value in state.items():
                if name != "step":
                    value.copy_(torch.nn.functional.hardshrink(value, _VANISHED))

    def state(self, member: int) -> dict[str, Tensor]:
        """Moments and step counts that belong to one member, by name."""
        return {
            f"optimizer.{i}.{name}": self._part(name, i, torch.as_tensor(value), member)
            for i, parameter in enumerate(self._all)
            for name, value in self.torch.state[parameter].items()
        }

    def restore(self, kept: Sequence[dict[str, Tensor]]) -> None:
        """Set moments and step counts to those that every member kept."""
        for key, value in kept[0].items():
            if key.startswith("optimizer."):
                _, i, name = key.split(".", 2)
                parameter = self._all[int(i)]
                if self._is_shared(name, int(i)):
                    joined = value
                else:
                    joined = self._group.join([tensors[key] for tensors in kept])
                if joined.shape == parameter.shape:  # fused optimizers go by the order in memory
                    joined = torch.empty_like(parameter).copy_(joined)
                self.torch.state[parameter][name] = joined.to(parameter.device)

    def _part(self, name: str, i: int, value: Tensor, member: int) -> Tensor:
        return value if self._is_shared(name, i) else self._group.part(value, member)

    def _is_shared(self, name: str, i: int) -> bool:
        """Whether a piece of state is no moment of a stacked parameter."""
        return name == "step" or i >= len(self._own)
