"""Rows that every table shows beside the methods: what codes are worth at least and at most.

They run as methods do, learn nothing, and are never ranked.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor

from methods.base import Array, HashMethod, Trainer, TrainingSet


class Yardstick(HashMethod):
    """A method that learns nothing."""

    paper = "in every table"
    has_codes: ClassVar[bool] = True
    """Whether it makes codes; else its scores are ranked by their cosine, and it has one cell."""

    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Return itself."""
        return self


class RandomCodes(Yardstick):
    """Fair coins: what codes are worth that know nothing.

    They are drawn anew at every call, from the seed that torch has when it is built.
    """

    anchor: Tensor
    title = "random codes"

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        self._coins = torch.Generator().manual_seed(torch.initial_seed())
        self.register_buffer("anchor", torch.empty(0))  # lies where the codes are wanted

    def project(self, x: Tensor) -> Tensor:
        """Draw scores, positive with probability 1/2, (N, ...) -> (N, K)."""
        return 0.5 - torch.rand(len(x), self.n_bits, generator=self._coins).to(x.device)


class FloatRanking(Yardstick):
    """The features themselves, ranked by cosine: what no code of them is likely to beat."""

    title = "float features"
    has_codes = False

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, in_dim)

    def project(self, x: Tensor) -> Tensor:
        """Return the features."""
        return x


YARDSTICKS: dict[str, type[Yardstick]] = {"random": RandomCodes, "float": FloatRanking}
