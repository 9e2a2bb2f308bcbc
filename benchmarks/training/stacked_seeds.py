"""Train several seeds of one method together, their parameters stacked in one tensor each.

`OneSeed` computes a loss as the method states it. `StackedSeeds` holds the parameters of S methods
as one tensor each and maps the loss over them (`torch.func.vmap`), so that a device is asked for S
times the arithmetic at a time and for no more kernels (an operator without a rule for that,
`pdist`, is called for each member). Every term of a loss is a row of S numbers, and seeds share
nothing but the call: each is trained as it would be alone, to rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from methods.base import Batch, HashMethod


class SeedGroup(Protocol):
    """S methods in training. A batch for them has S in front of every axis."""

    methods: Sequence[HashMethod]

    def parameters(self) -> list[Tensor]:
        """List what is trained."""
        ...

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Terms of the objective, float32 (S,) each."""
        ...

    def weights(self, member: int) -> dict[str, Tensor]:
        """Parameters and buffers of one method by name; writing to them changes it."""
        ...

    def part(self, tensor: Tensor, member: int) -> Tensor:
        """Part of a tensor shaped like a parameter that belongs to one method."""
        ...

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Put such parts together."""
        ...

    def copy_back(self) -> None:
        """Give every method what it has learned."""
        ...

    def take_buffers(self) -> None:
        """Take what methods have written into their buffers since they were given them."""
        ...


class OneSeed:
    """One method, as it is."""

    def __init__(self, method: HashMethod) -> None:
        self.methods: Sequence[HashMethod] = [method]

    def parameters(self) -> list[Tensor]:
        """List what is trained."""
        return [p for p in self.methods[0].parameters() if p.requires_grad]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Terms of the objective, float32 (1,) each."""
        noise = None if batch.noise is None else batch.noise[0]
        own = replace(batch, views=batch.views[0], index=batch.index[0], noise=noise)
        return {name: term[None] for name, term in self.methods[0].loss(own).items()}

    def weights(self, member: int) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return _named(self.methods[member])

    def part(self, tensor: Tensor, member: int) -> Tensor:
        """Return all of it."""
        return tensor

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the only one."""
        return parts[0]

    def copy_back(self) -> None:
        """Do nothing: the method was trained in place."""

    def take_buffers(self) -> None:
        """Do nothing: they are its own."""


class StackedSeeds:
    """Several methods of one class and one size, as one stack of parameters.

    Parameters
    ----------
    methods : sequence of HashMethod
        They keep their own parameters until `copy_back`.
    """

    def __init__(self, methods: Sequence[HashMethod]) -> None:
        self.methods = methods
        parameters, buffers = stack_module_state(list(methods))
        self._stack: dict[str, Tensor] = {**parameters, **buffers}
        self._terms = _Terms(methods[0])

    def parameters(self) -> list[Tensor]:
        """List what is trained, with S in front of the shape of a parameter."""
        return [tensor for tensor in self._stack.values() if tensor.requires_grad]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Terms of the objective, float32 (S,) each."""
        of_noise = None if batch.noise is None else 0
        mapped = vmap(self._call, in_dims=(0, 0, 0, of_noise, None), randomness="error")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop.*pdist", UserWarning)
            terms: dict[str, Tensor] = mapped(
                self._stack, batch.views, batch.index, batch.noise, batch.progress
            )
        return terms

    def _call(
        self,
        stack: dict[str, Tensor],
        views: Tensor,
        index: Tensor,
        noise: Tensor | None,
        progress: Tensor,
    ) -> Any:
        own = {f"method.{name}": tensor for name, tensor in stack.items()}
        return functional_call(self._terms, own, (Batch(views, index, progress, noise),))

    def weights(self, member: int) -> dict[str, Tensor]:
        """Parameters and buffers of one method by name, as views of the stack."""
        return {name: tensor.detach()[member] for name, tensor in self._stack.items()}

    def part(self, tensor: Tensor, member: int) -> Tensor:
        """Take one method's row."""
        return tensor[member]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Stack them."""
        return torch.stack(list(parts))

    @torch.no_grad()
    def copy_back(self) -> None:
        """Copy each row of the stack into its method."""
        for member, method in enumerate(self.methods):
            own = self.weights(member)
            for name, tensor in _named(method).items():
                tensor.copy_(own[name])

    @torch.no_grad()
    def take_buffers(self) -> None:
        """Copy the buffers of each method into its row of the stack."""
        for member, method in enumerate(self.methods):
            own = self.weights(member)
            for name, buffer in method.named_buffers():
                own[name].copy_(buffer)


class _Terms(nn.Module):
    """A method whose call is its loss, as `functional_call` wants it."""

    def __init__(self, method: HashMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.method.loss(batch)


def _named(method: HashMethod) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict(method.named_parameters()) | dict(method.named_buffers())


def seed_group(methods: Sequence[HashMethod]) -> SeedGroup:
    """Put methods into the form in which they are trained."""
    return OneSeed(methods[0]) if len(methods) == 1 else StackedSeeds(methods)
