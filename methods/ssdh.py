"""SSDH: a semantic structure of pairs, read off the distribution of their distances.

E. Yang, C. Deng, T. Liu, W. Liu, D. Tao, "Semantic structure-based unsupervised deep hashing",
IJCAI 2018.

d_ij are the cosine distances of the features of all pairs of training images, m their mode, s_l and
s_r their spreads below and above it:

    S_ij = +1 where d_ij < m - alpha s_l,  -1 where d_ij > m + beta s_r,  else 0
    L    = 1/n^2 sum_ij |S_ij| ( u_i . u_j / K - S_ij )^2                      u = tanh(head(x))

The paper fits half a Gaussian to either side of the mode; with its mirror image it has the mode as
its mean, and the spreads are root mean square deviations from it, in closed form.

Where images lie in many tight clusters s_l grows until m - alpha s_l is below 0: no pair is called
similar, and the loss only pushes images apart. The buffer `shares` keeps the shares of the training
pairs that are called similar and dissimilar.

Departures:
- Labels of pairs are made from the features of a batch; the official code keeps N x N matrices.
- Distances up to 2 have bins, where the official code's end at 1: centred features are so far.
- Features are centred on their training mean. With --finetune, mean and labels are those of the
  untrained backbone, the labels as in the official code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.pairs import pair_distances, unit_rows
from methods.space import RATES, Range, search_space

_FIRST = -1e-8
"""Lower edge of the first bin in the official code: distances of 0 are in it."""


class SSDH(CentredMethod):
    """Draw together what is much nearer than most pairs, push apart what is much farther.

    Parameters
    ----------
    alpha, beta : float
        Spreads below and above the mode from which on a pair is called similar, or dissimilar.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    title = "SSDH"
    paper = "Yang et al., IJCAI 2018, https://doi.org/10.24963/ijcai.2018/148"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        bank_size=1,
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=10,
        batch_size=24,
        lr=1e-3,
        backbone_lr=1e-3,
        bank_size=1,
        params={"centre": False},
        source="official code, github.com/yangerkun/IJCAI2018_SSDH, for Flickr25k; its Adam has an "
        "epsilon of 1, which makes steps much smaller, and ours the usual one",
    )
    space = search_space(
        lr=RATES,
        alpha=Range(0.5, 4.0, "our own: around the official code's 2", log=False),
        beta=Range(0.5, 4.0, "our own: around the official code's 2", log=False),
    )

    shares: Tensor
    labels: Callable[[Tensor], Tensor]
    """While it trains: S of rows of the training set, (B,) -> (B, B)."""

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        alpha: float = 2.0,
        beta: float = 2.0,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_at_least(0, alpha=alpha, beta=beta)
        self.alpha, self.beta = alpha, beta
        self.head = nn.Linear(in_dim, n_bits)
        self.register_buffer("shares", torch.zeros(2))

    @torch.no_grad()
    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, and what pairs are judged by."""
        super().prepare(data)
        X = data.features
        found = pair_distances(X, self.centre, _FIRST)
        near, far = found.mode - self.alpha * found.left, found.mode + self.beta * found.right
        shares = found.share_up_to(near), 1 - found.share_up_to(far)
        self.shares = torch.tensor(shares).to(self.mu)
        U = unit_rows(X, self.mu)

        def labels(rows: Tensor) -> Tensor:
            x = U[rows]
            d = (1 - x @ x.T).clamp(min=0)
            return (d < near).to(d) - (d > far).to(d)

        self.labels = labels

    def finish(self) -> None:
        """Drop the labels."""
        del self.labels

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the pairs that are called similar or dissimilar."""
        self.require_views(batch)
        S = self.labels(batch.index)
        u = torch.tanh(self.project(batch.views[0]))  # (B, K)
        errors = S.abs() * (u @ u.T / u.shape[-1] - S).square()
        return {"structure": errors.mean()}
