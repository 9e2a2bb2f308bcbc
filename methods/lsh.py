"""LSH: random hyperplanes.

M. S. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.

    b = sign((x - mu) W),  W ~ N(0, 1)^(D x K)

Two vectors at angle theta differ in a bit with probability theta / pi.

Departure: the paper's planes pass through the origin. We centre on the training mean mu, because
features after a ReLU fill one orthant, where planes through the origin hardly divide anything.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from methods.base import Array, HashMethod, Trainer, TrainingSet


class LSH(HashMethod):
    """Signs of random projections of the centred features."""

    head: nn.Linear
    title = "LSH"
    paper = "Charikar, STOC 2002, https://doi.org/10.1145/509907.509965"

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        self.head = nn.Linear(in_dim, n_bits).requires_grad_(False)
        nn.init.normal_(self.head.weight)  # W^T, (K, D)

    def project(self, x: Tensor) -> Tensor:
        """Signed distances to the hyperplanes, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x)
        return scores

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Centre: the planes pass through the training mean."""
        mu = self.training_set(data).features.mean(0)  # (D,)
        self.head.bias.copy_(-self.head.weight @ mu)
        return self
