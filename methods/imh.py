"""IMH: inductive manifold hashing, with the embedding of Laplacian eigenmaps.

F. Shen, C. Shen, Q. Shi, A. van den Hengel, Z. Tang, "Inductive hashing on manifolds", CVPR 2013.

    W_RS    exp(-d^2 / sigma^2) between rows and their s nearest of m anchors; Z: its rows sum to 1
    W_SS    the same between anchors and their k nearest, max(W, W^T), of a width of its own
    G = (D_SS - W_SS) + 2 (D_SR - Z^T W_RS),   D_SS = diag(W_SS 1),  D_SR = diag(W_RS^T 1)
    E       the K eigenvectors of G of the smallest eigenvalues above 1e-3, (m, K)
    b = sign(z(x) E)

Departures and decisions:
- The authors' demonstration embeds anchors by t-SNE, which is random. We use the paper's other
  embedding, Laplacian eigenmaps (IMH-LE). Anchors are 300 by 20 rounds of k-means, where the paper
  has 400 by 10, so that they are those of the other methods on anchors.
- An anchor is among its own k nearest, as in the authors' code.
- Indicators of parts of the graph have the eigenvalue 0 and are dropped with the constant vector.
  Entries of E below 1e-9 of their column's largest count as 0, so that points of a part that a
  vector does not reach have the score 0.
- G is not divided by degrees. An anchor that few images share is tied weakly, and the smallest
  eigenvalues are those of vectors on such anchors alone: their bits are constant for nearly all
  images. With 17 training images an anchor, some bits of every length are so; the more images, the
  more bits.
- A bit beyond the vectors that there are (at most m - 1) has the score 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.anchored import AnchorMethod
from methods.space import ANCHORS, NEAREST, Range, search_space
from methods.statistics import AnchorGraph, signed, squared_distances, without_rounding

SMALLEST = 1e-3
"""Eigenvalues up to here count as those of a constant vector."""


class IMH(AnchorMethod):
    """Signs of an embedding of the anchors, averaged over a point's nearest.

    Parameters
    ----------
    n_anchors : int
        Anchors m, of which there are no more than training images.
    s : int
        Nearest anchors that a point is tied to.
    k : int
        Nearest anchors, itself included, that an anchor is tied to.
    """

    title = "IMH-LE"
    paper = "Shen et al., CVPR 2013, https://doi.org/10.1109/CVPR.2013.205"
    space = search_space(
        n_anchors=ANCHORS,
        s=NEAREST,
        k=Range(5, 50, "our own: around the 20 of the authors' demo"),
    )

    def __init__(
        self, in_dim: int, n_bits: int, *, n_anchors: int = 300, s: int = 5, k: int = 20
    ) -> None:
        super().__init__(in_dim, n_bits, n_anchors=n_anchors, s=s, n_columns=n_bits)
        self.require_at_least(1, k=k)
        self.k = k

    def weights(self, graph: AnchorGraph) -> Tensor:
        """Embed the anchors: E, (m, K)."""
        values, V = torch.linalg.eigh(laplacian(graph, self.k))  # ascending
        return without_rounding(signed(V[:, values > SMALLEST][:, : self.n_bits]))


def laplacian(graph: AnchorGraph, k: int) -> Tensor:
    """Give the matrix G over anchors, (m, m), from which the rows have been eliminated."""
    d2, nearest = squared_distances(graph.U, graph.U).topk(min(k, len(graph.U)), largest=False)
    sigma = d2[:, -1].sqrt().mean()
    weights = (-d2 / torch.where(sigma > 0, sigma, 1.0) ** 2).exp()
    W = torch.zeros(len(graph.U), len(graph.U)).to(weights).scatter_(1, nearest, weights)
    W_SS = torch.maximum(W, W.T)
    tied = graph.product(graph.kernel)  # Z^T W_RS, whose rows sum to W_RS^T 1
    G = W_SS.sum(1).diag() - W_SS + 2 * (tied.sum(1).diag() - tied)
    return (G + G.T) / 2
