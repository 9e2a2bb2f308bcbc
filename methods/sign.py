"""Sign: the signs of the features themselves, as vector databases take them.

A. Shakir, T. Aarsen and S. Lee, "Binary and scalar embedding quantization", 2024: one bit a
dimension of an embedding.

    b_k = [x_j > mu_j],  j = the k-th of K coordinates drawn at random, or k with `prefix`

With K = D these are all coordinates in their order. With K < D there is no natural choice: the
first K are the best only of embeddings that were trained for it (A. Kusupati et al., "Matryoshka
representation learning", NeurIPS 2022), for which there is ``prefix=True``. So K coordinates are
drawn without replacement, in rising order, and neither projected nor chosen by what they hold.

Departure: databases take the sign of x. Features after a ReLU are never negative, so we centre on
the training mean mu; ``centre=False`` does not.

Bits beyond D do not exist: their score is exactly 0, so they are never set. The same holds for a
constant feature, which is equal to its mean.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.base import Array, CentredMethod, Trainer, TrainingSet
from methods.statistics import mean_row


class Sign(CentredMethod):
    """Signs of K of the centred features.

    Parameters
    ----------
    centre : bool
        Whether the mean of the training set is taken off first.
    prefix : bool
        Whether the first K coordinates are taken instead of K that are drawn.
    """

    coordinates: Tensor
    title = "Sign"
    paper = "Shakir, Aarsen and Lee, 2024, https://huggingface.co/blog/embedding-quantization"

    def __init__(
        self, in_dim: int, n_bits: int, *, centre: bool = True, prefix: bool = False
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        order = torch.arange(in_dim) if prefix else torch.randperm(in_dim)
        drawn = order[:n_bits].sort().values  # (min(D, K),)
        self.register_buffer("coordinates", drawn)

    def project(self, x: Tensor) -> Tensor:
        """Chosen features above their mean, (N, D) -> (N, K)."""
        scores = (x - self.mu)[:, self.coordinates]
        return F.pad(scores, (0, self.n_bits - len(self.coordinates)))

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Take the mean."""
        X = self.training_set(data).features
        if self.centre:
            self.mu.copy_(mean_row(X))
        return self
