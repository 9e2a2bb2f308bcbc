"""What a walk over mutual neighbours reaches, for images and the most similar of the others.

Nothing here is of size N x N: similarities and walks are met a block of rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.pairs import most_similar, unit_rows
from methods.statistics import once

LEAST = 1e-4
"""Cosine up to which a pair counts as dissimilar."""
_ROWS = 512
"""Rows of walks at a time."""
_STEPS = 500
"""Of conjugate gradients, at most."""
_ACCURATE = 1e-5
"""Residual at which they end, as a share of the right side."""


@dataclass(frozen=True)
class _Graph:
    """A sparse symmetric matrix: the columns `j` and weights `w` of row i from `starts[i]` on."""

    j: Tensor
    starts: Tensor
    w: Tensor

    def times(self, p: Tensor) -> Tensor:
        """Give its product with p, (N, R)."""
        product: Tensor = F.embedding_bag(
            self.j, p, self.starts, per_sample_weights=self.w, mode="sum"
        )
        return product


@once
@torch.no_grad()
def reached_neighbours(
    X: Tensor, centre: bool, k: int, most: int, a: float
) -> tuple[Tensor, Tensor]:
    """Find the k nearest images of each, and which of them are the `most` that a walk reaches.

    M = (1 - a) (I - a A)^-1, where A has the cosines of pairs that are nearest to each other,
    divided by the square roots of the sums of both their rows. Rows of M come from conjugate
    gradients.

    Parameters
    ----------
    X : Tensor, float32, shape (N, D)
    centre : bool
        Whether the mean is taken off X before.
    k, most : int
        Neighbours, and entries of a row of M.
    a : float
        Chance that a walk goes on.

    Returns
    -------
    Tensor, int64, shape (N, k)
        Rows of X, and -1 where one of both images has no mutual neighbour.
    Tensor, bool, shape (N, k)
    """
    U, n = unit_rows(X, X.mean(0) if centre else None), len(X)
    C, near = most_similar(U, k)
    own = torch.arange(n, device=X.device)[:, None].expand_as(near)
    mutual = torch.isin(own * n + near, near * n + own)
    kept = mutual.any(1)
    A = _graph(C.masked_fill(~mutual | (C <= LEAST), 0.0), near, mutual)
    reached = torch.zeros_like(mutual)
    for rows in kept.nonzero().flatten().split(_ROWS):
        M = (1 - a) * _solve(A, rows, a).T  # (R, N), for A is symmetric
        least = M.topk(min(most, n), 1).values[:, -1:].clamp(min=torch.finfo(M.dtype).tiny)
        reached[rows] = M.gather(1, near[rows]) >= least
    return near.masked_fill(~kept[:, None] | ~kept[near], -1), reached


def _graph(C: Tensor, near: Tensor, mutual: Tensor) -> _Graph:
    """Give D^-1/2 A D^-1/2 of the A that has C (N, k) at the columns `near` where `mutual`."""
    root = C.sum(1).rsqrt()
    w = torch.where(C > 0, C * root[:, None] * root[near], 0.0)
    counts = mutual.sum(1)
    return _Graph(near[mutual], counts.cumsum(0) - counts, w[mutual])


def _solve(A: _Graph, rows: Tensor, a: float) -> Tensor:
    """Give columns of (I - a A)^-1, (N, R), by conjugate gradients, each for itself."""
    x = torch.zeros(len(A.starts), len(rows), dtype=A.w.dtype, device=A.w.device)
    r = x.clone()
    r[rows, torch.arange(len(rows), device=A.w.device)] = 1
    p, rr = r.clone(), r.square().sum(0)
    for _ in range(_STEPS):
        if rr.max() <= _ACCURATE**2:
            break
        Ap = p - a * A.times(p)
        step = rr / (p * Ap).sum(0).clamp(min=torch.finfo(A.w.dtype).tiny)
        x.addcmul_(p, step)
        r.addcmul_(Ap, step, value=-1)
        before, rr = rr, r.square().sum(0)
        p.mul_(rr / before.clamp(min=torch.finfo(A.w.dtype).tiny)).add_(r)
    return x
