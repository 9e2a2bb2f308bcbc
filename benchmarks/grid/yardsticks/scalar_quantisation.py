"""Scalar quantisation: each number in eight bits, as vector databases offer it.

    c_j = round(255 (x_j - low_j) / (high_j - low_j)), within 0..255
    r_j = low_j + c_j (high_j - low_j) / 255                 what an item is decoded to

low and high are the least and the largest of each coordinate in the training set, and are kept once
for all items. Queries stay as they are; items are decoded before they are scored, and ranked by
Euclidean distance.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from benchmarks.grid.yardsticks.base import (
    VectorYardstick,
    with_item_columns,
    with_query_columns,
)
from methods.base import Array, Trainer, TrainingSet

_MOST = 255


class Int8(VectorYardstick):
    """The features in eight bits a number."""

    low: Tensor
    high: Tensor
    title = "int8"
    paper = "no paper: what vector databases do"
    size = "8 bits a number"
    has_lengths = False

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, 8 * in_dim)
        self.register_buffer("low", torch.zeros(in_dim))
        self.register_buffer("high", torch.zeros(in_dim))

    @classmethod
    def item_bytes(cls, in_dim: int, n_bits: int) -> int:
        """One for each number."""
        return in_dim

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Find the range of each coordinate."""
        X = self.training_set(data).features
        self.low, self.high = X.amin(0), X.amax(0)
        return self

    def project(self, x: Tensor) -> Tensor:
        """Take queries as they are, float64, (N, D) -> (N, D + 2)."""
        return with_query_columns(x.double())

    def items(self, x: Tensor) -> Tensor:
        """Decode items from their codes, float64, (N, D) -> (N, D + 2)."""
        low, span = self.low.double(), (self.high.double() - self.low.double())
        codes = ((x.double() - low) / span.where(span > 0, 1) * _MOST).round().clamp(0, _MOST)
        return with_item_columns(low + codes * span / _MOST)
