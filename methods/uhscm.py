"""UHSCM: what images have in common among concepts that are named.

R.-C. Tu, X.-L. Mao, K. Q. Lin, C. Cai, W. Qin, W. Wei, H. Wang, H. Huang, "Unsupervised hashing
with semantic concept mining", SIGMOD 2023, arXiv 2209.11475.

Texts t_j name m concepts, embedded in the space of the features x, by CLIP say:

    P_ij = softmax_j( m tau cos(x_i, t_j) );   a concept is kept where more than N / 2m of the N
           images have it as their argmax;     P again over the m' that are kept, with m' tau
    S_ij = 2 cos(P_i, P_j) - 1,   G_ij = cos(u_i, u_j),   u = tanh(head(x))
    L_c  = - 1/#{S >= s} sum_{S_ij >= s} [ G_ij/gamma
               - log( sum_{k: S_ik < s} e^{G_ik/gamma} + 1e-5 ) ]
    L    = mean_ij (G_ij - S_ij)^2 + alpha L_c + beta mean_i |u_i - sign u_i|^2

Information: names of what may be in the images; those of a data set's classes tell much. Tables say
so and rank it apart.

Departures:
- The official training cannot run as it is released; its loss and its settings are followed.
- Features are centred on their training mean for the head. They are compared with texts as they
  are. With --finetune, P is of the untrained backbone.
- The official code normalises images for CLIP by the statistics of ImageNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.pairs import unit_rows

_TINY = 1e-5


class UHSCM(CentredMethod):
    """Keep what images have in common among named concepts.

    Parameters
    ----------
    tau : float
        Sharpness of the choice of a concept.
    gamma, s : float
        Temperature of the contrast, and the similarity from which on a pair is one of its
        positives.
    alpha, beta : float
        Weights of the contrast and of the quantisation.
    centre : bool
        Whether the mean of the training set is taken off the features of the head.
    """

    P: Tensor  # while it trains: probabilities of concepts at unit length, (N, m')
    title = "UHSCM"
    paper = "Tu et al., SIGMOD 2023, https://arxiv.org/abs/2209.11475"
    supervision = "class_names"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        bank_size=1,
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=60,
        batch_size=128,
        optimizer="sgd",
        lr=6e-3,
        backbone_lr=3e-4,
        bank_size=1,
        params={"centre": False},
        source="official code, github.com/rongchengtu1/UHSCM, for CIFAR-10",
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        tau: float = 3.0,
        gamma: float = 0.2,
        s: float = 0.8,
        alpha: float = 0.2,
        beta: float = 1e-3,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, tau=tau, gamma=gamma)
        self.require_at_least(0, alpha=alpha, beta=beta)
        self.tau, self.gamma, self.s = tau, gamma, s
        self.alpha, self.beta = alpha, beta
        self.head = nn.Linear(in_dim, n_bits)

    @torch.no_grad()
    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, and find which concepts occur and which of them images have.

        Raises
        ------
        ValueError
            If all images have one concept, so that nothing tells them apart.
        """
        super().prepare(data)
        cosines = unit_rows(data.features) @ unit_rows(data.target_value()).T  # (N, m)
        n, m = cosines.shape
        is_kept = cosines.argmax(1).bincount(minlength=m) > n / (2 * m)
        kept = int(is_kept.sum())
        if kept < 2:
            raise ValueError(
                f"UHSCM.fit: more than one of the class names must be nearest to images, and of "
                f"{m} only one is; give names of what the images show"
            )
        P = (cosines[:, is_kept] * kept * self.tau).softmax(1)
        self.register_buffer("P", unit_rows(P), persistent=False)

    def finish(self) -> None:
        """Drop the concepts."""
        del self.P

    def similarity(self, rows: Tensor) -> Tensor:
        """Give S of rows of the training set, (B, B)."""
        P = self.P[rows]
        return 2 * P @ P.T - 1

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Similarity of pairs, contrast, and quantisation."""
        self.require_views(batch)
        S = self.similarity(batch.index)
        u = torch.tanh(self.project(batch.views[0]))  # (B, K)
        v = F.normalize(u, dim=1)
        G = v @ v.T
        signs = torch.where(u > 0, 1.0, -1.0)
        return {
            "semantic": (G - S).square().mean(),
            "contrastive": self.alpha * self._contrast(G / self.gamma, self.s <= S),
            "quantisation": self.beta * (u - signs).square().sum(1).mean(),
        }

    def _contrast(self, logits: Tensor, is_near: Tensor) -> Tensor:
        """Give L_c of cosines over gamma, and of which pairs are positives, (B, B) both."""
        others = ((logits.exp() * ~is_near).sum(1, keepdim=True) + _TINY).log()
        loss: Tensor = -((logits - others) * is_near).sum() / is_near.sum().clamp(min=1)
        return loss
