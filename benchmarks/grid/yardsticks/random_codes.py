"""The yardstick `random`: what codes are worth that know nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.grid.yardsticks.base import Yardstick


class RandomCodes(Yardstick):
    """Fair coins: what codes are worth that know nothing.

    They are drawn anew at every call, from the seed that torch has when it is built.
    """

    anchor: Tensor
    title = "random codes"
    paper = "in every table"

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        self._coins = torch.Generator().manual_seed(torch.initial_seed())
        self.register_buffer("anchor", torch.empty(0))  # lies where the codes are wanted

    def project(self, x: Tensor) -> Tensor:
        """Draw scores, positive with probability 1/2, (N, ...) -> (N, K)."""
        return 0.5 - torch.rand(len(x), self.n_bits, generator=self._coins).to(x.device)
