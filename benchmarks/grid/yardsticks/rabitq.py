"""RaBitQ: one bit a dimension, and two numbers that make an estimate of it.

J. Gao and C. Long, "RaBitQ: quantizing high-dimensional vectors with a theoretical error bound for
approximate nearest neighbor search", SIGMOD 2024.

    v = P (x - c)                        an item; P has orthonormal rows, c is the training mean
    b = [v > 0],  o = (2 b - 1) / sqrt(K)                          its code as a vector of length 1
    x0 = <o, v> / |v|,  and |v|          two floats that are kept beside the K bits
    u = P (q - c)                        a query, in full
    |v - u|^2  ~  |v|^2 + |u|^2 - 2 |v| <o, u> / x0                                        (Eq. 20)

The estimate is a scalar product: |v| o / x0 = r sgn(v) with r = |v|^2 / sum_j |v_j|. An item at c
has v = 0 and r = 0.

Departures: P takes D dimensions to K by chance, where the paper turns all D of them, so that a code
has as many bits as those of the methods; distances are those between projections, K of D parts of
the whole on average. Where K is above D, the features are turned in K dimensions. There is one
centroid, no list of them, and queries are not cut to 4 bits, which serves speed alone.
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
from methods.functional import signs
from methods.statistics import mean_row


class RaBitQ(VectorYardstick):
    """Signs of a random projection, with the estimate of distances that belongs to them."""

    P: Tensor
    mu: Tensor
    title = "RaBitQ"
    paper = "Gao and Long, SIGMOD 2024, https://doi.org/10.1145/3654970"
    size = "K + 64 bits"

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        gauss = torch.randn(max(in_dim, n_bits), min(in_dim, n_bits))
        Q = torch.linalg.qr(gauss)[0]  # orthonormal columns
        self.register_buffer("P", Q.T.contiguous() if n_bits <= in_dim else Q)  # (K, D)
        self.register_buffer("mu", torch.zeros(in_dim))

    @classmethod
    def item_bytes(cls, in_dim: int, n_bits: int) -> int:
        """Bits, and two numbers of four bytes."""
        return -(-n_bits // 8) + 8

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Take the training mean as the centroid."""
        self.mu.copy_(mean_row(self.training_set(data).features))
        return self

    def project(self, x: Tensor) -> Tensor:
        """Turn queries as they are compared, float64, (N, D) -> (N, K + 2)."""
        return with_query_columns(self._turned(x))

    def items(self, x: Tensor) -> Tensor:
        """Give codes with their factors r, float64, (N, D) -> (N, K + 2)."""
        v = self._turned(x)
        squares, sums = v.square().sum(1), v.abs().sum(1)
        r = squares / sums.where(sums > 0, 1)
        return with_item_columns(r[:, None] * signs(v), squares)

    def _turned(self, x: Tensor) -> Tensor:
        return (x.double() - self.mu) @ self.P.double().T
