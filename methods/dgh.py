"""DGH: discrete graph hashing.

W. Liu, C. Mu, S. Kumar, S.-F. Chang, "Discrete graph hashing", NIPS 2014.

    maximise  tr(B^T A B) + rho tr(B^T Y)
    over B in {-1, +1}^(N x K), and Y with 1^T Y = 0, Y^T Y = N I;  A = Z Lambda^-1 Z^T
      fix Y:  B <- sign(2 A B + rho Y) until it rests; where that is 0, B stays
      fix B:  J B = U S V^T,  J = I - 1 1^T / N,   Y = sqrt(N) U V^T
    start R:  B <- sign(H Theta R),  R = U V^T of Theta H^T B = U S V^T,   Y = sqrt(N) H R
    b(x) = sign(W^T z(x)),   W = Lambda^-1 Z^T B

H, Theta: the K eigenvectors of A after the constant one, and their eigenvalues. Codes of training
images are those of any point, b(x), which differ from B in some bits.

Departures and decisions (no code of the authors is public):
- rho = 5, where the paper has 0.1. A constant bit has the largest tr(b^T A b) there is, and rho
  alone stands against it: at 0.1 bits may end constant. Where the mean of some bit of B still
  exceeds 0.9 in absolute value, rho is doubled and B sought anew from the start, at most `RAISES`
  times. A warning is logged with the rho that was taken, and with the bits that stayed so to the
  last.
- s = 5 instead of 3, as of the other methods on anchors, so that they share the graph.
- Start R, which the paper calls DGH-R, gives the more balanced bits.
- Alternations end when the objective gains less than 1e-6 of itself, at most 20.
- Where J B has not the rank K, U is completed by random columns orthogonal to it and to 1.
- Where the graph falls into parts, H begins with their indicators, made orthogonal to 1.
- A bit beyond the eigenvectors above 0 that there are (at most m - 1) has the score 0.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from methods.anchored import AnchorMethod
from methods.functional import signs
from methods.space import ANCHORS, NEAREST, Range, search_space
from methods.statistics import AnchorGraph

_LOG = logging.getLogger(__name__)

RAISES = 10
"""How often rho is doubled at most."""

ROUNDS_R, ROUNDS_B, ROUNDS = 100, 300, 20
"""Rounds at most: of the start, of each step for B, and of the alternation (T_R, T_B, T_G)."""


class DGH(AnchorMethod):
    """Codes that are smooth over an anchor graph, sought without relaxing them.

    Parameters
    ----------
    n_anchors : int
        Anchors m, of which there are no more than training images.
    s : int
        Nearest anchors that a point is tied to.
    rho : float
        Weight of balanced, uncorrelated bits.
    """

    title = "DGH"
    paper = "Liu et al., NIPS 2014, https://papers.nips.cc/paper/5332-discrete-graph-hashing"
    space = search_space(
        n_anchors=ANCHORS,
        s=NEAREST,
        rho=Range(0.1, 10.0, "our own: from the 0.1 of a port past the 5 of ours"),
    )

    def __init__(
        self, in_dim: int, n_bits: int, *, n_anchors: int = 300, s: int = 5, rho: float = 5.0
    ) -> None:
        super().__init__(in_dim, n_bits, n_anchors=n_anchors, s=s, n_columns=n_bits)
        self.require_above(0, rho=rho)
        self.rho = rho

    def weights(self, graph: AnchorGraph) -> Tensor:
        """Alternate between B and Y, at a rho that keeps bits balanced, and give W of B."""
        B_0, Y_0 = rotated_start(graph, self.n_bits)
        for doubled in range(RAISES + 1):
            rho = self.rho * 2**doubled
            B = alternate(graph, B_0, Y_0, rho)
            unbalanced = int((B.mean(0).abs() > 0.9).sum())
            if not unbalanced:
                break
        if rho != self.rho:
            _LOG.warning("DGH: rho = %g instead of %g, for balanced bits", rho, self.rho)
        if unbalanced:
            told = "DGH: %d of %d bits are alike for more than 95%% of the images"
            _LOG.warning(told, unbalanced, B.shape[1])
        return smoothed(graph, B)


def smoothed(graph: AnchorGraph, B: Tensor) -> Tensor:
    """Lambda^-1 Z^T B, (m, K): the mean code of the rows at each anchor; Z times it is A B."""
    mass = torch.where(graph.mass > 0, graph.mass, torch.inf)
    return graph.to_anchors(B) / mass[:, None]


def rotated_start(graph: AnchorGraph, n_bits: int) -> tuple[Tensor, Tensor]:
    """Codes and Y of start R, (N, min(K, r)) each, where A has r eigenvectors."""
    values, vectors = graph.eigenvectors
    Theta, H = values[:n_bits], graph.to_rows(vectors[:, :n_bits].contiguous())
    R = torch.eye(len(Theta)).to(H)
    B = signs(H * Theta)
    for _ in range(ROUNDS_R):
        U, _, V_t = torch.linalg.svd(Theta[:, None] * (H.T @ B))
        R = U @ V_t
        before, B = B, signs(H * Theta @ R)
        if torch.equal(B, before):
            break
    return B, len(H) ** 0.5 * H @ R


def alternate(graph: AnchorGraph, B: Tensor, Y: Tensor, rho: float) -> Tensor:
    """Maximise over B and Y in turn from a start, (N, K) each, and give B."""
    value = objective(graph, B, Y, rho)
    for _ in range(ROUNDS):
        B = signed_gradient(graph, B, Y, rho)
        Y = balanced(B)
        before, value = value, objective(graph, B, Y, rho)
        if value - before < 1e-6 * abs(before):
            break
    return B


def objective(graph: AnchorGraph, B: Tensor, Y: Tensor, rho: float) -> float:
    """tr(B^T A B) + rho tr(B^T Y)."""
    return float((graph.to_anchors(B) * smoothed(graph, B)).sum() + rho * (B * Y).sum())


def signed_gradient(graph: AnchorGraph, B: Tensor, Y: Tensor, rho: float) -> Tensor:
    """Follow the sign of the gradient from codes B (N, K) until they rest."""
    for _ in range(ROUNDS_B):
        gradient = 2 * graph.to_rows(smoothed(graph, B)) + rho * Y
        before, B = B, torch.where(gradient == 0, B, signs(gradient))
        if torch.equal(B, before):
            break
    return B


def balanced(B: Tensor) -> Tensor:
    """Give the Y that is nearest to codes B (N, K): 1^T Y = 0 and Y^T Y = N I."""
    N, K = B.shape
    Q, R = torch.linalg.qr(B - B.mean(0))
    U, S, V_t = torch.linalg.svd(R)
    U = Q @ U
    rank = int((S > 1e-9 * N**0.5).sum())
    if rank < K:
        drawn = torch.randn(N, K - rank, generator=torch.Generator().manual_seed(0)).to(B)
        one = torch.ones(N, 1).to(B)
        missing = torch.linalg.qr(torch.cat([one, U[:, :rank], drawn], 1))[0][:, rank + 1 :]
        U = torch.cat([U[:, :rank], missing], 1)
    Y: Tensor = N**0.5 * U @ V_t
    return Y
