"""DSH: density-sensitive hashing.

Z. Jin, C. Li, Y. Lin and D. Cai, "Density sensitive hashing", IEEE Transactions on Cybernetics
2014 (arXiv 1205.2930).

1. k-means with alpha K centres, 3 rounds from training images drawn at random.
2. Candidates: the planes midway between centres i and j, where one is among the r nearest of the
   other: w = c_i - c_j, t = w . (c_i + c_j) / 2.
3. The K candidates that divide the clusters most evenly, counted in images: the entropy of the
   share on either side rises with the count of the smaller one.

    b = sign(w . x - t)

The released code finds pairs by looking for equal distances and orders them by ratios, so that ties
fall by rounding. Here a pair is i < j, and of equal counts the first pair goes first. As there, the
counts are of the assignment from which the last centres are the means.

A cluster that becomes empty takes the image farthest from its own centre. Of equal images that are
drawn, one starts a cluster, so there are no more clusters than images that differ. Where they make
fewer than K candidates, the score of a missing bit is exactly 0, so it is never set.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, LinearMethod, Trainer, TrainingSet
from methods.space import Range, search_space
from methods.statistics import ROWS_AT_ONCE, mean_row, some_rows


class DSH(LinearMethod):
    """Planes between neighbouring clusters that divide the images evenly.

    Parameters
    ----------
    alpha : float
        Clusters for each bit.
    r : int
        Nearest clusters that a cluster is paired with.
    n_iter : int
        Rounds of k-means.
    """

    seed: Tensor
    title = "DSH"
    paper = "Jin, Li, Lin and Cai, IEEE Transactions on Cybernetics 2014, https://arxiv.org/abs/1205.2930"
    space = search_space(
        alpha=Range(1.0, 3.0, "our own: around the 1.5 of the authors' code", log=False),
        r=Range(1, 10, "our own: around the 3 of the authors' code"),
    )

    def __init__(
        self, in_dim: int, n_bits: int, *, alpha: float = 1.5, r: int = 3, n_iter: int = 3
    ) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(1, alpha=alpha, r=r, n_iter=n_iter)
        self.alpha, self.r, self.n_iter = alpha, r, n_iter
        self.register_buffer("seed", torch.randint(2**62, ()))  # of the images to start from

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Cluster, and choose planes between clusters."""
        X = self.training_set(data).features
        m = int(self.alpha * self.n_bits + 0.5)  # rounded, halves up
        mu = mean_row(X)
        drawn = some_rows(X, m, int(self.seed)).unique(dim=0).double()
        centres, sizes = clustered(X, mu, drawn - mu, self.n_iter)
        i, j = balanced_pairs(centres, sizes, self.r)[: self.n_bits].T
        c_i, c_j = centres[i], centres[j]  # (<= K, D), about the mean
        W, t = mu.new_zeros(self.in_dim, self.n_bits), mu.new_zeros(self.n_bits)
        W[:, : len(i)] = (c_i - c_j).T
        t[: len(i)] = ((c_i - c_j) * (c_i + c_j) / 2).sum(1)
        self.set_scores(W, mu, t)
        return self


def clustered(X: Tensor, mu: Tensor, centres: Tensor, n_iter: int) -> tuple[Tensor, Tensor]:
    """Run so many rounds of k-means, or fewer where it comes to rest.

    Parameters
    ----------
    X : Tensor, float32, shape (N, D)
    mu : Tensor, float64, shape (D,)
        What rows are taken relative to.
    centres : Tensor, float64, shape (m, D)
        Where to start.
    n_iter : int

    Returns
    -------
    tuple of Tensor
        Centres, float64, (m, D), and the number of rows that each is the mean of, int64, (m,).
    """
    m = len(centres)
    label = torch.empty(0)
    for _ in range(n_iter):
        norms = centres.square().sum(1)
        nearest = []
        for rows in X.split(ROWS_AT_ONCE):
            rows = rows.double() - mu
            near = (norms - 2 * rows @ centres.T).min(1)
            nearest.append((near.values + rows.square().sum(1), near.indices))
        before, (distance, label) = label, map(torch.cat, zip(*nearest, strict=True))
        if torch.equal(label, before):
            break
        empty = (label.bincount(minlength=m) == 0).nonzero()[:, 0]
        label[distance.argsort(descending=True, stable=True)[: len(empty)]] = empty
        sums = torch.zeros_like(centres)
        for rows, labels in zip(X.split(ROWS_AT_ONCE), label.split(ROWS_AT_ONCE), strict=True):
            sums.index_add_(0, labels, rows.double() - mu)
        centres = sums / label.bincount(minlength=m).clamp(min=1)[:, None]
    return centres, label.bincount(minlength=m)


def balanced_pairs(centres: Tensor, sizes: Tensor, r: int) -> Tensor:
    """Pair each centre with its r nearest, and order the pairs by how evenly they divide.

    Parameters
    ----------
    centres : Tensor, float64, shape (m, D)
    sizes : Tensor, int64, shape (m,)
        Images of each cluster.
    r : int

    Returns
    -------
    Tensor, int64, shape (P, 2)
        Pairs i < j, the most even first; pairs of equal centres are left out.
    """
    m = len(centres)
    d = torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist")
    d.fill_diagonal_(torch.inf)
    near = torch.zeros(m, m, dtype=torch.bool, device=d.device)
    near.scatter_(1, d.sort(dim=1, stable=True).indices[:, : min(r, m - 1)], True)
    i, j = ((near | near.T) & (d > 0)).triu(1).nonzero(as_tuple=True)
    w = centres[i] - centres[j]  # (P, D)
    t = (w * (centres[i] + centres[j]) / 2).sum(1)
    count = ((w @ centres.T > t[:, None]) * sizes).sum(1)  # images on the positive side
    smaller = torch.minimum(count, sizes.sum() - count)
    order = smaller.argsort(descending=True, stable=True)
    return torch.stack([i, j], 1)[order]
