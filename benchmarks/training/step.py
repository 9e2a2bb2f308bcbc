"""One training step: loss, gradient, update; as it is, or replayed as one CUDA graph."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.training.stacked_seeds import SeedGroup
from methods.base import Batch

_WARM_UP = 3
"""Steps before the capture; libraries set themselves up in the first ones."""


class Step:
    """A step of gradient descent that adds up its losses where they are.

    Parameters
    ----------
    group : SeedGroup
    optimizer : torch.optim.Optimizer

    Attributes
    ----------
    names : list of str
        Of the L terms of the loss; empty before the first step, as are the sums.
    totals : Tensor, float32, shape (L, S)
        Sum of each term over the steps since `begin`.
    failed : Tensor, int64, shape (L, S)
        Steps for which that sum has not been finite.
    """

    def __init__(self, group: SeedGroup, optimizer: torch.optim.Optimizer) -> None:
        self._group = group
        self._optimizer = optimizer
        self.names: list[str] = []
        self.totals = torch.empty(0)
        self.failed = torch.empty(0, dtype=torch.int64)

    def begin(self) -> None:
        """Forget the sums, in place: a captured step goes on writing to them."""
        self.totals.zero_()
        self.failed.zero_()

    def __call__(
        self, views: Tensor, index: Tensor, progress: Tensor, noise: Tensor | None
    ) -> None:
        """Take one step; nothing is read back."""
        terms = self._group.loss(Batch(views, index, progress, noise))
        losses = torch.stack(list(terms.values()))  # (L, S)
        self._optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        self._optimizer.step()
        if not self.names:
            self.names = list(terms)
            self.totals = torch.zeros_like(losses)
            self.failed = torch.zeros_like(losses, dtype=torch.int64)
        self.totals += losses.detach()
        self.failed += ~self.totals.isfinite()


class CudaGraphStep:
    """A step as one CUDA graph: the device goes through its kernels without the host.

    The first steps are taken as they are; they are part of the training. Then the step is recorded,
    which computes nothing, and from there on replayed on copies of what it is given.

    Parameters
    ----------
    step : callable
        Takes tensors or None, always of the same shapes, and reads nothing back.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor | None] = []

    def __call__(self, *inputs: Tensor | None) -> None:
        """Take one step."""
        if self._taken < _WARM_UP:
            self._taken += 1
            self._on_a_side_stream(*inputs)
            return
        if self._graph is None:
            self._inputs = [None if given is None else given.clone() for given in inputs]
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._step(*self._inputs)  # type: ignore[arg-type]  # only noise may be None
        for static, given in zip(self._inputs, inputs, strict=True):
            if static is not None and given is not None:
                static.copy_(given)
        self._graph.replay()

    def _on_a_side_stream(self, *inputs: Tensor | None) -> None:
        """Take a step where a capture is allowed to follow it."""
        side, current = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            self._step(*inputs)  # type: ignore[arg-type]  # only noise may be None
        current.wait_stream(side)
