"""The Poincare ball: its points, its distances, and clusters of clusters in it.

A ball of curvature c has radius 1 / sqrt(c).
"""

from __future__ import annotations

import torch
from torch import Tensor

_EDGE = 1e-3
"""Share of the radius that points keep from the edge, where distances have no bound."""
_NEAR_ONE = 1 - 1e-5
"""Largest number of which the inverse hyperbolic tangent is taken."""
_TINY = 1e-5


def to_ball(y: Tensor, c: float, clip: float) -> Tensor:
    """Put vectors into the ball by the exponential map at its centre.

    ``p = tanh(sqrt(c) |y|) y / (sqrt(c) |y|)``, after y is cut to a length, and before p is drawn
    back from the edge.

    Parameters
    ----------
    y : Tensor, float32, shape (..., E)
    c : float
        Curvature, above 0.
    clip : float
        Largest length of y.

    Examples
    --------
    >>> to_ball(torch.tensor([[3.0, 0.0]]), c=1.0, clip=0.5)  # tanh(0.5)
    tensor([[0.4621, 0.0000]])
    """
    root = c**0.5
    y = y * (clip / y.norm(dim=-1, keepdim=True).clamp(min=_TINY)).clamp(max=1)
    length = y.norm(dim=-1, keepdim=True).clamp(min=_TINY)
    p: Tensor = (root * length).tanh() * y / (root * length)
    edge = (1 - _EDGE) / root
    inside: Tensor = p * (edge / p.norm(dim=-1, keepdim=True).clamp(min=_TINY)).clamp(max=1)
    return inside


def _gap(p: Tensor, q: Tensor, c: float) -> Tensor:
    """Squared length of -p (+) q in units of the squared radius, in [0, 1), (N, M).

    As |p - q|^2 / (1 - 2 c p.q + c^2 |p|^2 |q|^2), which Moebius addition comes to.
    """
    pq = p @ q.T
    pp, qq = p.square().sum(1, keepdim=True), q.square().sum(1)
    apart = (pp + qq - 2 * pq).clamp(min=0)
    gap: Tensor = c * apart / (1 - 2 * c * pq + c**2 * pp * qq).clamp(min=_TINY**2)
    return gap


def ball_distances(p: Tensor, q: Tensor, c: float) -> Tensor:
    """Distances ``2 / sqrt(c) artanh(sqrt(c) |-p (+) q|)`` of points (N, E) to points (M, E).

    Returns
    -------
    Tensor, float32, shape (N, M)
        With a gradient of 0 where points are the same.

    References
    ----------
    Ganea, Becigneul, Hofmann, "Hyperbolic neural networks", NeurIPS 2018, Eq. (4) and (6).

    Examples
    --------
    >>> p = torch.tensor([[0.5, 0.0]])
    >>> ball_distances(p, -p, 1.0) - 2 * ball_distances(p, 0 * p, 1.0)  # along a diameter
    tensor([[0.]])
    """
    gap = _gap(p, q, c)
    is_apart = gap > 0
    length = torch.where(is_apart, gap, 1.0).sqrt().clamp(max=_NEAR_ONE)
    return torch.where(is_apart, 2 / c**0.5 * length.atanh(), 0.0)


@torch.no_grad()
def ball_clusters(
    points: Tensor, n: int, c: float, n_iter: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cluster points by k-means with the distance of the ball and arithmetic means as centres.

    Parameters
    ----------
    points : Tensor, float32, shape (N, E)
    n : int
        Clusters; as many as points where those are fewer.
    c : float
        Curvature.
    n_iter : int
        Rounds, at most; it ends earlier where no point moves.
    generator : torch.Generator
        Draws the points to begin with.

    Returns
    -------
    Tensor, float32, shape (min(n, N), E)
        Centres; one that no point is nearest to stays where it was.
    Tensor, int64, shape (N,)
        The cluster of each point.
    """
    order = torch.randperm(len(points), generator=generator, device=generator.device)
    centres = points[order[:n]]
    cluster = _gap(points, centres, c).argmin(1)
    for _ in range(n_iter):
        sums = torch.zeros_like(centres).index_add_(0, cluster, points)
        counts = cluster.bincount(minlength=len(centres))[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
        before, cluster = cluster, _gap(points, centres, c).argmin(1)
        if torch.equal(cluster, before):
            break
    return centres, cluster
