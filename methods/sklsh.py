"""SKLSH: locality-sensitive binary codes from shift-invariant kernels.

M. Raginsky and S. Lazebnik, "Locality-sensitive binary codes from shift-invariant kernels", NIPS
2009.

    b_k = sign(cos(w_k . x + phi_k) + t_k)                                    (Eq. 4)
    w_k ~ N(0, gamma I),  phi_k ~ U[0, 2 pi),  t_k ~ U[-1, 1]

Two images differ in a bit with a probability that falls with the Gaussian kernel
exp(-gamma ||x - y||^2 / 2). Beyond its width all pairs are at K / 2 bits alike, so gamma must suit
the scale of the features. A public collection of methods scales its data such that the mean
distance to the 50th neighbour is 1, and takes gamma = 1. We divide by that distance too, from at
most 1,000 training images to all of them; ``scale=False`` takes the features as they are. Where
most images have 50 equal ones or more that distance is 0, and features are not scaled.

x is centred on the training mean, as in that collection; the kernel does not see it.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from methods.base import Array, HashMethod, Trainer, TrainingSet
from methods.space import Range, search_space
from methods.statistics import ROWS_AT_ONCE, mean_row, some_rows

N_NEIGHBOURS, N_SAMPLED = 50, 1000


class SKLSH(HashMethod):
    """Random binary features of a Gaussian kernel.

    Parameters
    ----------
    gamma : float
        Inverse squared width of the kernel exp(-gamma ||x - y||^2 / 2).
    scale : bool
        Whether features are divided by the mean distance to the 50th neighbour first.
    """

    w: Tensor
    phi: Tensor
    t: Tensor
    title = "SKLSH"
    paper = (
        "Raginsky and Lazebnik, NIPS 2009, https://papers.nips.cc/paper/3749-"
        "locality-sensitive-binary-codes-from-shift-invariant-kernels"
    )
    space = search_space(gamma=Range(0.1, 10.0, "our own: a decade around our 1"))

    def __init__(self, in_dim: int, n_bits: int, *, gamma: float = 1.0, scale: bool = True) -> None:
        super().__init__(in_dim, n_bits)
        self.require_above(0, gamma=gamma)
        self.gamma, self.scale = gamma, scale
        self.phase = nn.Linear(in_dim, n_bits).requires_grad_(False)
        self.register_buffer("w", torch.randn(in_dim, n_bits))  # (D, K), of unit variance
        self.register_buffer("phi", 2 * math.pi * torch.rand(n_bits))
        self.register_buffer("t", 2 * torch.rand(n_bits) - 1)

    def project(self, x: Tensor) -> Tensor:
        """Random waves against random thresholds, (N, D) -> (N, K)."""
        scores: Tensor = self.phase(x).cos() + self.t
        return scores

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Take the mean and the scale."""
        data = self.training_set(data)
        X = data.features
        mu = mean_row(X)
        width = neighbour_distance(X, mu, data.seed) if self.scale else 1.0
        W = self.w.double() * (math.sqrt(self.gamma) / width)
        self.phase.weight.copy_(W.T)
        self.phase.bias.copy_(self.phi.double() - mu @ W)
        return self


def neighbour_distance(X: Tensor, mu: Tensor, seed: int) -> float:
    """Mean distance of rows to their 50th neighbours, or to the farthest rows if there are fewer.

    Parameters
    ----------
    X : Tensor, float32, shape (N, D)
    mu : Tensor, float64, shape (D,)
        Mean of the rows, taken off first, so that distances lose fewer digits.
    seed : int
        Of the rows that are measured from.

    Returns
    -------
    float
        1 where the distance is 0 up to rounding.

    Examples
    --------
    >>> neighbour_distance(torch.tensor([[0.0], [3.0]]), torch.tensor([1.5]).double(), seed=0)
    3.0
    """
    sampled = some_rows(X, N_SAMPLED, seed).double() - mu
    k = min(N_NEIGHBOURS + 1, len(X))  # a row is its own nearest
    nearest = sampled.new_zeros(len(sampled), 0)
    for rows in X.split(ROWS_AT_ONCE):
        distances = torch.cat([nearest, torch.cdist(sampled, rows.double() - mu)], 1)
        nearest = distances.topk(min(k, distances.shape[1]), largest=False).values
    width, spread = nearest[:, -1].mean(), sampled.norm(dim=1).mean()
    return float(width) if width > 1e-6 * spread else 1.0
