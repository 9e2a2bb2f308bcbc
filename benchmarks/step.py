"""A step of a training, taken as it is or replayed as one CUDA graph."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.stack import Heads
from methods.base import Batch

_WARM_UP = 3
"""Steps before the capture; libraries set themselves up in the first ones."""


class Step:
    """A step of gradient descent that adds up its losses where they are.

    Parameters
    ----------
    heads : Heads
    optimizer : torch.optim.Optimizer

    Attributes
    ----------
    totals : dict of Tensor, float32, shape (S,)
        Sum of each term over the steps since `begin`.
    failed : dict of Tensor, int64, shape (S,)
        Steps for which that sum has not been finite.
    """

    def __init__(self, heads: Heads, optimizer: torch.optim.Optimizer) -> None:
        self._heads = heads
        self._optimizer = optimizer
        self.totals: dict[str, Tensor] = {}
        self.failed: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Forget the sums, in place: a captured step goes on writing to them."""
        for tensor in (*self.totals.values(), *self.failed.values()):
            tensor.zero_()

    def __call__(
        self, views: Tensor, index: Tensor, progress: Tensor, noise: Tensor | None
    ) -> None:
        """Take one step; nothing is read back."""
        terms = self._heads.loss(Batch(views, index, progress, noise))
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        self._optimizer.step()
        for name, term in terms.items():
            if name not in self.totals:
                self.totals[name] = torch.zeros_like(term)
                self.failed[name] = torch.zeros_like(term, dtype=torch.int64)
            self.totals[name] += term.detach()
            self.failed[name] += ~self.totals[name].isfinite()


class Captured:
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
