"""PCA-RR: principal components, rotated at random.

Y. Gong and S. Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes",
CVPR 2011, where it is the start of ITQ and one of its baselines.

    b = sign((x - mu) W R)

W holds the K leading eigenvectors of the covariance, R is a random rotation. The rotation keeps
distances within the principal subspace and gives all bits the same variance in expectation, so that
no bit is wasted on a direction in which little varies.

Where K exceeds the number of principal axes, the missing columns of W are zero and the rotation
spreads the others over all K bits, as in ITQ.

An axis is known up to its sign, and other signs make other codes of the same R; `PrincipalAxes`
fixes them.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, LinearMethod, Trainer, TrainingSet
from methods.functional import random_rotation
from methods.statistics import principal_axes


class PCARR(LinearMethod):
    """PCA followed by a random rotation."""

    R: Tensor
    title = "PCA-RR"
    paper = "Gong and Lazebnik, CVPR 2011, https://doi.org/10.1109/CVPR.2011.5995432"

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        self.register_buffer("R", random_rotation(n_bits))  # (K, K)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Find the principal axes and rotate them."""
        axes = principal_axes(self.training_set(data).features)
        W_R = axes.leading(self.n_bits) @ self.R.double()  # (D, K)
        self.set_scores(W_R, axes.mean)
        return self
