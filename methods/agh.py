"""AGH: anchor graph hashing, with one layer or two.

W. Liu, J. Wang, S. Kumar, S.-F. Chang, "Hashing with graphs", ICML 2011.

    A = Z Lambda^-1 Z^T,  Lambda = diag(Z^T 1)     rows tied through their s nearest of m anchors
    Y = Z W,  A Y = Y Sigma                        the smoothest vectors that are not constant
    one layer:    b_k = sign(y_k),  k = 1 ... K
    two layers:   b_k = sign(y_k),  k = 1 ... K/2, and each y_k is cut once more,
                  b_k' = sign(y_k - T+_k) where y_k > 0,  sign(T-_k - y_k) where y_k < 0

Z, its Gaussian weights and the bounds 0 < sigma_k < 0.999 of the eigenvalues are those of the
authors' code.

Cases that the paper leaves open:
- Where clusters lie far apart, the graph falls into parts. Their indicators have the eigenvalue 1,
  which the bound drops; the vectors that remain are 0 outside of their own part. Entries of
  V = Lambda^1/2 W below 1e-9 of their column's largest count as 0, so that a point of another part
  has the score 0, and its bit is 0 in both layers, instead of the sign of rounding noise. A warning
  is logged with the number of parts; a larger s joins them.
- A bit beyond the vectors that there are (at most m - 1) has the score 0.
- A cut that no edge crosses has s2 = 0: the thresholds T take the share of the cut as 0.
- m = 300 is the paper's. Its s is 2 on digits and 5 on photographs. We use s = 5.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from methods.anchored import AnchorMethod
from methods.base import LengthError
from methods.space import ANCHORS, NEAREST, search_space
from methods.statistics import AnchorGraph

_LOG = logging.getLogger(__name__)

LARGEST = 0.999
"""Eigenvalues from here on count as those of a constant vector."""


class AGH(AnchorMethod):
    """Signs of the smoothest vectors over an anchor graph.

    Parameters
    ----------
    n_anchors : int
        Anchors m, of which there are no more than training images.
    s : int
        Nearest anchors that a point is tied to.
    """

    title = "AGH"
    paper = "Liu et al., ICML 2011, https://icml.cc/2011/papers/6_icmlpaper.pdf"
    n_layers = 1
    space = search_space(n_anchors=ANCHORS, s=NEAREST)

    def __init__(self, in_dim: int, n_bits: int, *, n_anchors: int = 300, s: int = 5) -> None:
        n_columns = n_bits // self.n_layers
        super().__init__(in_dim, n_bits, n_anchors=n_anchors, s=s, n_columns=n_columns)
        if n_bits % self.n_layers:
            raise LengthError(
                f"{type(self).__name__}: n_bits must be even, as each vector gives two bits, got "
                f"{n_bits}; {max(2, n_bits - 1)} and {max(4, n_bits + 1)} work"
            )

    def weights(self, graph: AnchorGraph) -> Tensor:
        """Find the vectors that are kept, one a column of W, (m, K) or (m, K/2)."""
        values, W = graph.eigenvectors
        parts = 1 + int((values > 1 - 1e-9).sum())
        if parts > 1:
            name = type(self).__name__
            _LOG.warning("%s: the anchor graph is in %d parts; a larger s joins them", name, parts)
        return W[:, values < LARGEST][:, : self.W.shape[1]]


class AGH2(AGH):
    """Two bits a vector: its sign, and which side of a threshold it is on."""

    T: Tensor
    title = "AGH-2"
    n_layers = 2

    def __init__(self, in_dim: int, n_bits: int, *, n_anchors: int = 300, s: int = 5) -> None:
        super().__init__(in_dim, n_bits, n_anchors=n_anchors, s=s)
        self.register_buffer("T", torch.zeros(2, n_bits // 2))  # T+ and T-

    def project(self, x: Tensor) -> Tensor:
        """Values of the vectors, then their distances to the thresholds, (N, D) -> (N, K)."""
        y = super().project(x)  # (N, K/2)
        above, below = self.T
        return torch.cat([y, torch.where(y > 0, y - above, (below - y) * (y < 0))], 1)

    def weights(self, graph: AnchorGraph) -> Tensor:
        """Find the vectors, of length sqrt(N) here, and where each is cut once more."""
        W: Tensor = super().weights(graph) * len(graph.z) ** 0.5
        self.T.zero_()
        self.T[:, : W.shape[1]] = thresholds(graph, graph.to_rows(W))
        return W


def thresholds(graph: AnchorGraph, Y: Tensor) -> Tensor:
    """Where to cut the positive and the negative values of each vector, (2, k).

    Parameters
    ----------
    graph : AnchorGraph
    Y : Tensor, float64, shape (N, k)
        Vectors.

    References
    ----------
    Liu et al., ICML 2011, hierarchical hashing.
    """
    positive = (Y > 0).double()
    n_1 = positive.sum(0)
    n_2 = len(Y) - n_1
    inverse = torch.where(graph.mass > 0, graph.mass, torch.inf).reciprocal()[:, None]
    left, right = graph.to_anchors(positive), inverse * graph.to_anchors(Y.abs())  # (m, k) each
    s_1 = (left * right).sum(0)
    s_2 = n_1 - (inverse * left.square()).sum(0)
    s_3 = (positive * Y).sum(0)
    share = torch.where(s_2 > 1e-9 * n_1, (s_3 - s_1) / s_2, 0.0)
    return torch.stack([2 * s_3 + n_2 * share, n_1 * share - 2 * s_3]) / len(Y)
