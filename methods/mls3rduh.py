"""MLS3RDUH: similar is what is near along the manifold too.

R.-C. Tu, X.-L. Mao, W. Wei, "MLS3RDUH: deep unsupervised hashing via manifold based local semantic
similarity structure reconstructing", IJCAI 2020.

C are the cosines of the features of N images; a pair is near for i where j is among the k most
similar of i, and mutual where it is near for both:

    A_ij = C_ij where mutual and above 1e-4, else 0;   A <- D^-1/2 A D^-1/2,   D its row sums
    M    = (1 - a) (I - a A)^-1                        what a walk over mutual neighbours reaches
    P    = C, but 1 where j is near for i and among the l largest of row i of M,
              and 0 where j is near for i and not among them;
           a 1 for i or j holds for both, and else a 0 for either of them
    S    = 2 P - 1,   L = mean_ij log cosh( u_i . u_j / K - S_ij )        u = tanh(head(x))

k and l are shares of N. Images without a mutual neighbour keep their cosines.

Rows of M are found by conjugate gradients, a block at a time, instead of by an inverse of N x N
numbers; what is kept is k neighbours an image, and which of them are in M's l. An iteration costs
N^2 k operations, and k grows with N; all lengths and seeds share what is found.

Departures:
- Trap: the official code drops images without a mutual neighbour and looks for neighbours again.
  Where one of them was a neighbour its place is refilled by images of similarity 0 in any order,
  which then become dissimilar; and a row of M with fewer than l entries fills up likewise. Nothing
  is refilled here.
- Features are centred on their training mean; of uncentred ones most targets are positive. An image
  is never its own neighbour, whatever the sign of its cosines.
- The official features pass dropout layers, so that their cosines are noisy; ours are clean. With
  --finetune, labels are those of the untrained backbone, as in the official code.
- A quantisation term is computed in the official code and not used; it is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.pairs import unit_rows
from methods.space import RATES, Range, search_space
from methods.walks import LEAST, reached_neighbours

_ONE = 0.999
"""Cosine above which a pair counts as near and reached, as an image with itself does."""


class MLS3RDUH(CentredMethod):
    """Match cosines, but call near images similar or not by the walk between them.

    Parameters
    ----------
    near, far : float
        Shares of the images that are k and l, in (0, 1).
    a : float
        Chance that a walk goes on, in [0, 1).
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    unit: Tensor  # while it trains: features at unit length, (N, D)
    neighbours: Tensor  # int64 (N, k), -1 for what is none
    reached: Tensor  # which of them M reaches, bool (N, k)
    title = "MLS3RDUH"
    paper = "Tu et al., IJCAI 2020, https://doi.org/10.24963/ijcai.2020/479"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        bank_size=1,
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=150,
        batch_size=128,
        optimizer="sgd",
        lr=0.04,
        weight_decay=1e-5,
        backbone_lr=0.04,
        bank_size=1,
        params={"centre": False},
        source="official code, github.com/rongchengtu1/MLS3RDUH, for COCO; it has no momentum, and "
        "ours 0.9",
    )
    space = search_space(
        lr=RATES,
        near=Range(0.02, 0.2, "our own: around the official code's 0.06"),
        far=Range(0.03, 0.3, "our own: around the official code's 0.09"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        near: float = 0.06,
        far: float = 0.09,
        a: float = 0.99,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, near=near, far=far)
        self.require_at_least(0, a=a)
        if max(near, far, a) >= 1:
            raise ValueError(f"MLS3RDUH: near, far and a must be below 1, got {near}, {far}, {a}")
        self.near, self.far, self.a = near, far, a
        self.head = nn.Linear(in_dim, n_bits)

    def project(self, x: Tensor) -> Tensor:
        """Scores before tanh, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x - self.mu)
        return scores

    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, and the neighbours that a walk reaches and does not reach."""
        super().prepare(data)
        X, n = data.features, len(data)
        k, most = (max(1, int(share * n)) for share in (self.near, self.far))
        found = reached_neighbours(X, self.centre, min(k, n - 1), most, self.a)
        self.register_buffer("unit", unit_rows(X, self.mu), persistent=False)
        for name, part in zip(("neighbours", "reached"), found, strict=True):
            self.register_buffer(name, part.to(self.mu.device), persistent=False)

    def finish(self) -> None:
        """Drop the neighbours."""
        del self.unit, self.neighbours, self.reached

    def labels(self, rows: Tensor) -> Tensor:
        """Give S of rows of the training set, (B, B)."""
        x = self.unit[rows]
        P = x @ x.T
        met = self.neighbours[rows][:, None] == rows[:, None]  # (B, B, k)
        reached = self.reached[rows][:, None]
        one = (met & reached).any(2) | (P > _ONE)
        none = (met & ~reached).any(2) | (P < LEAST)
        P = torch.where(none | none.T, 0.0, P)
        return 2 * torch.where(one | one.T, 1.0, P) - 1

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean log cosh of what codes miss of the labels."""
        self.require_views(batch)
        u = torch.tanh(self.project(batch.views[0]))  # (B, K)
        d = u @ u.T / u.shape[1] - self.labels(batch.index)
        return {"similarity": (d + F.softplus(-2 * d)).mean() - math.log(2)}
