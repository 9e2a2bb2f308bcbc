"""ITQ: iterative quantisation.

Y. Gong and S. Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes",
CVPR 2011 (PAMI 2013 for the long form).

    V = (X - mu) W                      W: the K leading principal directions
    minimise  ||B - V R||_F^2           over B in {-1, +1}^(N x K) and rotations R   (Eq. 2)
      fix R:  B = sign(V R)
      fix B:  B^T V = S Omega S_hat^T,  R = S_hat S^T       (orthogonal Procrustes)
    b = sign((x - mu) W R)

Where K exceeds the number of principal directions, the missing columns of V are zero and the
rotation spreads the others over all K bits.

A principal direction is known up to its sign, and the random start of R makes other codes of other
signs; `PrincipalAxes` fixes them.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, LinearMethod, Trainer, TrainingSet
from methods.functional import quantising_rotation, random_rotation
from methods.statistics import centred_product, principal_axes


class ITQ(LinearMethod):
    """PCA followed by the rotation that loses least when signs are taken.

    Parameters
    ----------
    n_iter : int
        Alternations of the two steps; the paper runs 50.
    """

    R_0: Tensor
    title = "ITQ"
    paper = "Gong and Lazebnik, CVPR 2011, https://doi.org/10.1109/CVPR.2011.5995432"

    def __init__(self, in_dim: int, n_bits: int, *, n_iter: int = 50) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(0, n_iter=n_iter)
        self.n_iter = n_iter
        # Paper: R starts as a random rotation. Drawn here, so that fit itself is deterministic.
        self.register_buffer("R_0", random_rotation(n_bits))  # (K, K)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Alternate `n_iter` times between codes and rotation."""
        X = self.training_set(data).features
        axes = principal_axes(X)
        mu, W = axes.mean, axes.leading(self.n_bits)  # (D,), (D, K)
        V = centred_product(X, mu, W)  # (N, K)
        R = quantising_rotation(V, self.R_0.double(), self.n_iter)
        self.set_scores(W @ R, mu)
        return self
