"""HHCH: hyperbolic hierarchical contrastive hashing.

R. Wei, Y. Liu, J. Song, Y. Xie, K. Zhou, "Exploring hierarchical information in hyperbolic space
for self-supervised image hashing", IEEE Transactions on Image Processing 2024.

Points of two views in a Poincare ball of curvature c, whose distance is d:

    u = tanh(head(x)),   y = W u + b,   p = exp_0(y cut to a length of `clip`)

Before every epoch the points of all images are clustered, and the centres again, and those again;
C_l(i) is the centre that image i belongs to at level l = 1, 2, 3:

    I_l = - mean_i log e^{-d(p_i, p'_i) / tau}
            / ( e^{-d(p_i, p'_i)/tau} + sum_{j apart} e^{-d(p_i, p_j)/tau} + e^{-d(p_i, p'_j)/tau} )
    P_l = - mean_i log e^{-d(p_i, C_l(i))/tau} / ( sum_C e^{-d(p_i, C)/tau} + 1e-5 ),  both views
    L   = 1/3 sum_l (I_l + P_l) / l + lambda_q mean (|u| - 1)^2

j is apart from i where it is in another cluster of the level. Only the first view has anchors.
W and b take part in training alone.

Departures:
- The paper has a log-cosh quantisation and Einstein midpoints as centres; the official code has the
  square and arithmetic means, which are followed here.
- k-means begins with images drawn by the seed of the run; the official code draws without one. A
  level has at most one cluster for two points of the level below, and ends when no image moves.
- Features are centred on their training mean: of uncentred ones, which all lie in one direction,
  most images get one code. With `centre=false` tables mark such rows.
- The dropouts of VGG-19 are active in the official training; only that of the head is here. It
  reports the best epoch on the test set. We keep the last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.hyperbolic import ball_clusters, ball_distances, to_ball
from methods.space import RATES, Range, search_space

_TINY = 1e-5


class HHCH(CentredMethod):
    """Contrast images and clusters of clusters in a Poincare ball.

    Parameters
    ----------
    fine, middle, coarse : int
        Clusters at the three levels.
    c, clip, tau : float
        Curvature, largest length of a vector before it is put into the ball, and temperature.
    lambda_q : float
        Weight of the quantisation.
    dropout : float
        Share of hidden units that are dropped in training, in [0, 1).
    hidden, width, rounds : int
        Width of the hidden layer, and of points; rounds of k-means, at most.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    head: nn.Sequential
    member: Tensor  # while it trains: the cluster of each image at each level, int64 (3, N)
    centres: Tensor  # and those of all levels, one after the other, (C, E)
    title = "HHCH"
    paper = "Wei et al., IEEE TIP 2024, https://github.com/HUST-IDSM-AI/HHCH"
    n_views = 2
    stacks = True
    recipe = Recipe(
        epochs=40,
        batch_size=64,
        lr=1e-3,
        augmentation="cibhash",
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-4,
        backbone_lr=1e-4,
        augmentation="cibhash",
        params={"centre": False, "fine": 1500, "middle": 1000, "coarse": 800},
        source="official code, github.com/HUST-IDSM-AI/HHCH, its example for ImageNet, where the "
        "backbone is frozen and the rate falls; the augmentation is CIBHash's, not theirs",
    )
    space = search_space(
        lr=RATES,
        c=Range(0.01, 1.0, "our own: around the official code's 0.01 and 0.1"),
        tau=Range(0.1, 1.0, "our own: around the official code's 0.3"),
        lambda_q=Range(1e-3, 0.1, "our own: a decade around the official code's 0.01"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        fine: int = 150,
        middle: int = 120,
        coarse: int = 80,
        c: float = 0.1,
        clip: float = 2.3,
        tau: float = 0.3,
        lambda_q: float = 0.01,
        dropout: float = 0.1,
        hidden: int = 512,
        width: int = 128,
        rounds: int = 30,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        sizes = {"hidden": hidden, "width": width, "rounds": rounds}
        self.require_at_least(1, fine=fine, middle=middle, coarse=coarse, **sizes)
        self.require_above(0, c=c, clip=clip, tau=tau)
        self.require_at_least(0, lambda_q=lambda_q, dropout=dropout)
        if dropout >= 1:
            raise ValueError(f"HHCH: dropout must be below 1, got {dropout}")
        self.clusters = fine, middle, coarse
        self.c, self.clip, self.tau, self.lambda_q = c, clip, tau, lambda_q
        self.dropout, self.hidden, self.rounds = dropout, hidden, rounds
        self.head = nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_bits))
        self.outer = nn.Linear(n_bits, width)

    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, and make room for the clusters."""
        super().prepare(data)
        n, self.sizes = len(data), list[int]()
        member = torch.zeros(len(self.clusters), n, dtype=torch.int64, device=self.mu.device)
        self.register_buffer("member", member, persistent=False)
        for wanted in self.clusters:
            n = min(wanted, max(1, n // 2))
            self.sizes.append(n)
        room = self.mu.new_zeros(sum(self.sizes), self.outer.out_features)
        self.register_buffer("centres", room, persistent=False)

    @torch.no_grad()
    def refresh(self, data: TrainingSet, generator: torch.Generator) -> None:
        """Cluster the points of all images, and the centres again, and those again."""
        points = self.points(torch.tanh(self.project(data.features)))
        of_images = torch.arange(len(points), device=points.device)
        for level, kept in enumerate(self.centres.split(self.sizes)):
            points, cluster = ball_clusters(points, len(kept), self.c, self.rounds, generator)
            of_images = cluster[of_images]
            kept.copy_(points)
            self.member[level] = of_images

    def finish(self) -> None:
        """Drop the clusters."""
        del self.member, self.centres, self.sizes

    def points(self, u: Tensor) -> Tensor:
        """Put outputs into the ball, (..., K) -> (..., E)."""
        return to_ball(self.outer(u), self.c, self.clip)

    def noise(self, n: int, generator: torch.Generator) -> Tensor | None:
        """Draw by what hidden units of both views are multiplied, 0 or 1/(1 - p), (n, 2, H)."""
        if not self.dropout:
            return None
        u = torch.rand(n, self.n_views, self.hidden, generator=generator, device=generator.device)
        return (u >= self.dropout) / (1 - self.dropout)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast of images and of clusters at each level, and quantisation."""
        self.require_views(batch)
        u = self._outputs(batch)  # (2, B, K)
        p = self.points(u).flatten(0, 1)  # (2B, E)
        between = ball_distances(p[: len(batch.index)], p, self.c) / self.tau  # (B, 2B)
        to_centres = ball_distances(p, self.centres, self.c) / self.tau  # (2B, C)
        instance, prototype = [], []
        for level, d in enumerate(to_centres.split(self.sizes, 1)):
            own = self.member[level, batch.index]
            instance.append(_instance(between, own) / (level + 1))
            prototype.append(2 * _prototype(d, own.repeat(2)) / (level + 1))
        return {
            "instance": torch.stack(instance).mean(),
            "prototype": torch.stack(prototype).mean(),
            "quantisation": self.lambda_q * (u.abs() - 1).square().mean(),
        }

    def _outputs(self, batch: Batch) -> Tensor:
        """Give u of the views, with hidden units dropped, (2, B, K)."""
        if batch.noise is None:
            return torch.tanh(self.project(batch.views))
        first, relu, last = self.head.children()
        return torch.tanh(last(relu(first(batch.views - self.mu)) * batch.noise.transpose(0, 1)))


def _instance(d: Tensor, own: Tensor) -> Tensor:
    """Give I_l of distances over tau, of the first view to both, (B, 2B), and clusters (B,)."""
    others = torch.where((own[:, None] != own).repeat(1, 2), (-d).exp(), 0.0).sum(1)
    beside = d.diagonal(len(d))
    loss: Tensor = (beside + ((-beside).exp() + others).log()).mean()
    return loss


def _prototype(d: Tensor, own: Tensor) -> Tensor:
    """Give the mean over views of P_l, of distances to all centres over tau, (2B, C)."""
    loss: Tensor = (d.gather(1, own[:, None])[:, 0] + ((-d).exp().sum(1) + _TINY).log()).mean()
    return loss
