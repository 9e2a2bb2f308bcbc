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
from torch import nn

from methods.base import Array, LinearMethod, Trainer, TrainingSet
from methods.statistics import mean_row


class LSH(LinearMethod):
    """Signs of random projections of the centred features."""

    title = "LSH"
    paper = "Charikar, STOC 2002, https://doi.org/10.1145/509907.509965"

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        nn.init.normal_(self.head.weight)  # W^T, (K, D)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Centre: the planes pass through the training mean."""
        mu = mean_row(self.training_set(data).features)
        self.set_scores(self.head.weight.T.double(), mu)
        return self
