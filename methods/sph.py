"""SpH: spherical hashing.

J.-P. Heo, Y. Lee, J. He, S.-F. Chang, S.-E. Yoon, "Spherical hashing", CVPR 2012 (PAMI 2015 for the
long form).

    b_k = 1  where  ||x - c_k|| <= r_k,   r_k such that a half of the rows is inside
    o_ij     rows inside both i and j; those of independent bits are N/4
    c_i <- c_i + (1/K) sum_{j != i} 1/2 (o_ij - N/4) / (N/4) (c_i - c_j)
    until  mean |o_ij - N/4| <= 0.10 N/4  and  std o_ij <= 0.15 N/4,  i < j

Centres start as means of 5 rows each. They stay weighted sums of those starts, so that all
distances follow from the first ones' products with the rows: features are read once, not in every
round.

Departures and decisions:
- The authors' code runs until the test holds. Ours stops after `n_iter` rounds and keeps the
  spheres that came nearest to it: those of the smallest max(mean / 0.10, std / 0.15).
- The score is r_k - ||x - c_k||. The row on a sphere is inside: the stored radius lies above its
  distance to the stored centre by a few units of rounding.
- The paper ranks by |b xor b'| / |b and b'|; our tables rank every method by Hamming distance, and
  show the paper's ranking as the yardstick `sph_shd`.
- All rows take part, where the authors' script draws 20,000. Starts are drawn with replacement.
- Where a radius is 0, half of the rows are the centre itself, and the score 0 makes their bit 0.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, HashMethod, Trainer, TrainingSet
from methods.statistics import ROWS_AT_ONCE, centred_product, squared_distances

MEAN, STD = 0.10, 0.15
"""Tolerances of the overlaps, as shares of N/4."""


class SpH(HashMethod):
    """Spheres that each hold half of the data, and each two a quarter.

    Parameters
    ----------
    n_iter : int
        Rounds at most.
    """

    centres: Tensor
    radii: Tensor
    draws: Tensor
    title = "SpH"
    paper = "Heo et al., CVPR 2012, https://doi.org/10.1109/CVPR.2012.6248024"

    def __init__(self, in_dim: int, n_bits: int, *, n_iter: int = 300) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(1, n_iter=n_iter)
        self.n_iter = n_iter
        self.register_buffer("centres", torch.zeros(n_bits, in_dim))
        self.register_buffer("radii", torch.zeros(n_bits))
        self.register_buffer("draws", torch.rand(n_bits, 5))  # rows of a start, as shares of N

    def project(self, x: Tensor) -> Tensor:
        """How far inside each sphere points are, (N, D) -> (N, K)."""
        distances = squared_distances(x, self.centres).sqrt()
        return (self.radii.double() - distances).to(self.radii.dtype)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Push spheres apart that share too much, and together those that share too little."""
        X = self.training_set(data).features
        rows = (self.draws.double() * len(X)).long().clamp(max=len(X) - 1)  # (K, 5)
        self.centres.copy_(spheres(X, X[rows].double().mean(1), self.n_iter)[0])
        distances = [squared_distances(part, self.centres) for part in X.split(ROWS_AT_ONCE)]
        radii = half_way(torch.cat(distances).sqrt())
        self.radii.copy_(radii * (1 + 4 * torch.finfo(self.radii.dtype).eps))
        return self


def spheres(X: Tensor, centres: Tensor, n_iter: int) -> tuple[Tensor, list[tuple[float, float]]]:
    """Move centres (K, D) over rows X (N, D) until overlaps are even, or `n_iter` times.

    Returns
    -------
    Tensor, float64, shape (K, D)
        The centres of the round whose overlaps came nearest to the tolerances.
    list of (float, float)
        Mean and deviation of the overlaps as shares of N/4, of the start and of every round.
    """
    N, K = len(X), len(centres)
    mu = centres.mean(0)
    products = centred_product(X, mu, (centres - mu).T)  # (N, K) with the first centres
    squares = torch.cat([squared_distances(x, mu[None]) for x in X.split(ROWS_AT_ONCE)])  # (N, 1)
    gram = (centres - mu) @ (centres - mu).T
    T = torch.eye(K).to(products)  # the centres are mu + T (first centres - mu), rows sum to 1
    best, least, trace = T, torch.inf, []
    for round_ in range(n_iter + 1):
        lengths = ((T @ gram) * T).sum(1)
        distances = (squares + lengths - 2 * products @ T.T).clamp(min=0).sqrt()
        inside = (distances <= half_way(distances)).float()
        surplus = (inside.T @ inside).double() / (N / 4) - 1  # (K, K)
        pairs = surplus[*torch.triu_indices(K, K, 1)]
        mean, std = (float(pairs.abs().mean()), float(pairs.std(correction=0))) if K > 1 else (0, 0)
        trace.append((mean, std))
        excess = max(mean / MEAN, std / STD)
        if round_ and excess < least:
            best, least = T, excess
        if round_ and excess <= 1:
            break
        pull = surplus.fill_diagonal_(0) / (2 * K)
        T = T + pull.sum(1, keepdim=True) * T - pull @ T
    return mu + best @ (centres - mu), trace


def half_way(distances: Tensor) -> Tensor:
    """Find the floor(N/2)-th smallest of each column, at least the first, (N, K) -> (K,)."""
    return distances.T.contiguous().kthvalue(max(1, len(distances) // 2)).values
