"""SH: spectral hashing.

Y. Weiss, A. Torralba and R. Fergus, "Spectral hashing", NIPS 2008.

The K smoothest eigenfunctions of a uniform density on the box that holds the principal components
y = (x - mu) W, of which there are min(K, D):

    omega_dj = pi j / R_d,   R_d = max y_d - min y_d                           (Eq. 7, 8)
    b = sign(cos(omega_dj (y_d - min y_d)))    for the K smallest omega_dj

More bits than features are filled with higher modes. The authors' code offers of direction d only
the modes below (K + 1) R_d / max R; the others come after K modes of the longest side anyway.

Among equal frequencies the earlier direction goes first. The signs of the axes are those of
`PrincipalAxes`; another sign flips the bits of its odd modes everywhere.

Where nothing varies there is no mode: the score is exactly 0, so the bit is never set.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from methods.base import Array, HashMethod, Trainer, TrainingSet
from methods.statistics import centred_product, principal_axes


class SH(HashMethod):
    """Signs of the smoothest standing waves along the principal axes."""

    title = "SH"
    paper = (
        "Weiss, Torralba and Fergus, NIPS 2008, https://papers.nips.cc/paper/3383-spectral-hashing"
    )

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        self.phase = nn.Linear(in_dim, n_bits).requires_grad_(False)
        self.phase.weight.zero_()  # nothing is drawn
        self.phase.bias.zero_()

    def project(self, x: Tensor) -> Tensor:
        """Cosines, written as sines so that 0 stays 0, (N, D) -> (N, K)."""
        scores: Tensor = self.phase(x).sin()
        return scores

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Find the box and its K lowest frequencies."""
        X = self.training_set(data).features
        axes = principal_axes(X)
        mu, P = axes.mean, axes.leading(min(self.n_bits, self.in_dim))  # (D, n)
        y = centred_product(X, mu, P)
        low, R = y.amin(0), y.amax(0) - y.amin(0)  # (n,)
        d, omega = lowest_modes(R, self.n_bits)  # (K,) each, fewer where R is 0
        W, bias = P.new_zeros(self.in_dim, self.n_bits), P.new_zeros(self.n_bits)
        W[:, : len(d)] = P[:, d] * omega
        bias[: len(d)] = math.pi / 2 - omega * (mu @ P[:, d] + low[d])
        self.phase.weight.copy_(W.T)
        self.phase.bias.copy_(bias)
        return self


def lowest_modes(R: Tensor, n_bits: int) -> tuple[Tensor, Tensor]:
    """Choose the modes of a box with the lowest frequencies.

    Parameters
    ----------
    R : Tensor, float64, shape (n,)
        Lengths of the box's sides.
    n_bits : int
        Modes K that are wanted.

    Returns
    -------
    tuple of Tensor, shape (K,)
        Side of each mode, int64, and its angular frequency in rising order, float64; none where all
        sides are 0.

    Examples
    --------
    >>> side, omega = lowest_modes(torch.tensor([2.0, 1.0]), 3)
    >>> side.tolist(), (omega / math.pi).tolist()
    ([0, 0, 1], [0.5, 1.0, 1.0])
    """
    j = torch.arange(1, n_bits + 1, dtype=R.dtype, device=R.device)
    omega = (math.pi * j / R[:, None]).flatten()  # (n K,), infinite where R is 0
    order = omega.argsort(stable=True)[:n_bits]
    order = order[omega[order].isfinite()]
    return order // n_bits, omega[order]
