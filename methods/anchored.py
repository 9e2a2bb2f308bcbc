"""Methods on an anchor graph: their scores are averages of what a point's nearest anchors have."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Array, HashMethod, Trainer, TrainingSet
from methods.statistics import AnchorGraph, anchor_graph, squared_distances

_FAR = 1e18
"""A coordinate that nothing is near to. Its square overflows in float32, not in float64, which is
what `squared_distances` computes in."""


class AnchorWeights(nn.Module):
    """The row z(x) of Z that any point has: a fitted anchor graph as a part of a method.

    Parameters
    ----------
    in_dim, n_anchors, s : int
        Width D, anchors m, and nearest anchors of a point. Where a graph has fewer anchors, the
        others lie so far away that they weigh 0.
    """

    U: Tensor
    sigma: Tensor

    def __init__(self, in_dim: int, n_anchors: int, s: int) -> None:
        super().__init__()
        self.s = s
        self.register_buffer("U", torch.full((n_anchors, in_dim), _FAR))
        self.register_buffer("sigma", torch.ones(()))

    def keep(self, graph: AnchorGraph) -> None:
        """Take the anchors of a graph and their width."""
        self.U.fill_(_FAR)
        self.U[: len(graph.U)] = graph.U
        self.sigma.copy_(graph.sigma)

    def forward(self, x: Tensor, W: Tensor) -> Tensor:
        """Give z(x) W, (N, k), of points (N, D) and weights of anchors (m, k), in W's dtype."""
        d2, nearest = squared_distances(x, self.U).topk(min(self.s, len(self.U)), largest=False)
        z = (-d2 / self.sigma.double() ** 2).softmax(1)
        average = F.embedding_bag(nearest, W.double(), per_sample_weights=z, mode="sum")
        return average.to(W.dtype)


class AnchorMethod(HashMethod):
    """A method whose scores follow from z(x) W, of which `weights` finds W on the anchor graph.

    Parameters
    ----------
    in_dim, n_bits : int
        As of `HashMethod`.
    n_anchors : int
        Anchors m, of which there are no more than training images.
    s : int
        Nearest anchors that a point is tied to.
    n_columns : int
        Columns of W: K, unless a column gives more than one bit.
    """

    W: Tensor

    def __init__(self, in_dim: int, n_bits: int, *, n_anchors: int, s: int, n_columns: int) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(1, n_anchors=n_anchors, s=s)
        self.n_anchors, self.s = n_anchors, s
        self.anchors = AnchorWeights(in_dim, n_anchors, s)
        self.register_buffer("W", torch.zeros(n_anchors, n_columns))

    def project(self, x: Tensor) -> Tensor:
        """Weighted averages over a point's nearest anchors, z(x) W."""
        scores: Tensor = self.anchors(x, self.W)
        return scores

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Build the anchor graph, and find W on it."""
        data = self.training_set(data)
        graph = anchor_graph(data.features, self.n_anchors, self.s, data.seed)
        W = self.weights(graph)
        self.anchors.keep(graph)
        self.W.zero_()
        self.W[: W.shape[0], : W.shape[1]] = W
        return self

    @abstractmethod
    def weights(self, graph: AnchorGraph) -> Tensor:
        """Find W, float64, a row an anchor of the graph; columns that it lacks are 0."""
