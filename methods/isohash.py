"""IsoHash: isotropic hashing.

W. Kong and W.-J. Li, "Isotropic hashing", NIPS 2012.

    b = sign((x - mu) W Q)          W: the K leading principal directions, Lambda their variances
    find the rotation Q with  diag(Q^T Lambda Q) = (a, ..., a),  a = tr(Lambda) / K

so that all bits have the same variance. Of the paper's two algorithms, "lift_and_projection" goes
to and fro between the symmetric matrices T with diagonal a and those Z with eigenvalues Lambda:

    T = Z with diagonal a
    Z = V Lambda V^T,   T = V D V^T with both spectra in falling order
    Q = V^T

and "gradient_flow" follows dZ/dt = [Z, [alpha, Z]], alpha = diag(Z) - a I, [A, B] = A B - B A.

Departure: the authors integrate the flow of Z by a general solver and take Q from eigenvectors of
its two ends. We step along Q(t), Z = Q^T Lambda Q, by matrix exponentials, which keep it a
rotation, and halve a step that would not lower |alpha|.

A solution is one of many: with another sign of an eigenvector, Q mixes flipped axes and the codes
differ by more than flipped bits. The signs of W are those of `PrincipalAxes`, those of V follow the
same rule. A public port applies Q^T in place of Q, which leaves the variances unequal.

Where K exceeds the number of principal axes, their variance is 0 and W has columns of zeros; the
rotation gives every bit its equal share of what varies. Where nothing varies all scores are exactly
0, so no bit is ever set.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, LinearMethod, Trainer, TrainingSet
from methods.functional import random_rotation
from methods.space import Choice, search_space
from methods.statistics import principal_axes, signed

ALGORITHMS = ("lift_and_projection", "gradient_flow")


class IsoHash(LinearMethod):
    """PCA followed by a rotation that makes all variances equal.

    Parameters
    ----------
    algorithm : str
        "lift_and_projection" or "gradient_flow".
    n_iter : int
        Rounds of lift and projection. The flow ends where all variances are equal to 1e-6.
    """

    R_0: Tensor
    title = "IsoHash"
    paper = (
        "Kong and Li, NIPS 2012, https://papers.nips.cc/paper_files/paper/2012/hash/"
        "8c6744c9d42ec2cb9e8885b54ff744d0-Abstract.html"
    )
    space = search_space(algorithm=Choice(ALGORITHMS, "the two of the paper"))

    def __init__(
        self, in_dim: int, n_bits: int, *, algorithm: str = ALGORITHMS[0], n_iter: int = 100
    ) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(1, n_iter=n_iter)
        if algorithm not in ALGORITHMS:
            raise ValueError(
                f"IsoHash: algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}"
            )
        self.algorithm, self.n_iter = algorithm, n_iter
        # Both start as a random rotation. Drawn here, so that fit itself is deterministic.
        self.register_buffer("R_0", random_rotation(n_bits))  # (K, K)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Find the principal axes and the rotation."""
        axes = principal_axes(self.training_set(data).features)
        W, R = axes.leading(self.n_bits), self.R_0.double()  # (D, K), (K, K)
        Lambda = axes.leading_variances(self.n_bits)  # (K,)
        if self.algorithm == "gradient_flow":
            W_Q = W @ follow_gradient(Lambda, R)
        else:
            W_Q = W @ lift_and_project(Lambda, R, self.n_iter)
        self.set_scores(W_Q, axes.mean)
        return self


def lift_and_project(Lambda: Tensor, R: Tensor, n_iter: int) -> Tensor:
    """Rotate a diagonal matrix to a constant diagonal by alternating projections.

    Parameters
    ----------
    Lambda : Tensor, float64, shape (K,)
        Its diagonal, in falling order.
    R : Tensor, float64, shape (K, K)
        Rotation to start from: Z = R Lambda R^T.
    n_iter : int

    Returns
    -------
    Tensor, float64, shape (K, K)
        Q, such that Q^T Lambda Q has a diagonal as good as constant.
    """
    V = R
    for _ in range(n_iter):
        T = (V * Lambda) @ V.T
        T.diagonal().fill_(float(Lambda.mean()))
        V = torch.linalg.eigh(T)[1].flip(1)
    return signed(V).T


def follow_gradient(Lambda: Tensor, R: Tensor, n_steps: int = 10_000) -> Tensor:
    """Rotate a diagonal matrix to a constant diagonal along the gradient of its unevenness.

    Parameters
    ----------
    Lambda, R : Tensor
        As of `lift_and_project`.
    n_steps : int
        At most so many.

    Returns
    -------
    Tensor, float64, shape (K, K)
        Q, such that the entries of the diagonal of Q^T Lambda Q differ by 1e-6 of them at most.
    """
    Lambda, Q, step = Lambda / Lambda.mean(), R.T, 1.0  # the mean variance a is 1
    Z = (Q.T * Lambda) @ Q
    for _ in range(n_steps):
        alpha = Z.diagonal() - 1
        if not alpha.abs().max() > 1e-6:  # nor where nothing varies and 0 is divided by 0
            break
        S = alpha[:, None] * Z - Z * alpha  # [alpha, Z]; S^T = -S
        new = Q @ torch.linalg.matrix_exp(step * S)
        new_Z = (new.T * Lambda) @ new
        lower = (new_Z.diagonal() - 1).norm() < alpha.norm()
        Q, Z, step = (new, new_Z, 1.5 * step) if lower else (Q, Z, 0.5 * step)
    return Q
