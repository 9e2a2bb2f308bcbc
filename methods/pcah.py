"""PCAH: signs of principal components.

J. Wang, S. Kumar and S.-F. Chang, "Semi-supervised hashing for scalable image retrieval", CVPR
2010: what is left of its objective without labels.

    maximise  tr(W^T C W),  W^T W = I        C: covariance of the training set
    b = sign((x - mu) W)

W holds the K leading eigenvectors. Their signs are those of `PrincipalAxes`; another sign flips a
bit everywhere, which no Hamming distance sees.

Bits beyond the number of principal axes (K > D, no more training images than K, constant features)
do not exist: their score is exactly 0, so they are never set.
"""

from __future__ import annotations

from typing import Self

import torch

from methods.base import Array, LinearMethod, Trainer, TrainingSet
from methods.statistics import principal_axes


class PCAH(LinearMethod):
    """Signs of the leading principal components."""

    title = "PCAH"
    paper = "Wang, Kumar and Chang, CVPR 2010, https://doi.org/10.1109/CVPR.2010.5539994"

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        self.head.weight.zero_()  # nothing is drawn
        self.head.bias.zero_()

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Find the principal axes."""
        axes = principal_axes(self.training_set(data).features)
        self.set_scores(axes.leading(self.n_bits), axes.mean)
        return self
