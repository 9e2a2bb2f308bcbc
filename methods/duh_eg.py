"""DUH-EG: deep unsupervised hashing with guidance by nouns.

Q. Song and others, "Deep unsupervised hashing via external guidance", ICML 2025.

Texts t_j are nouns at large, embedded in the space of the features x, by CLIP say; all at unit
length:

    g_i  = unit( sum_j softmax_j( x_i . t_j / T ) t_j ),   M_ij = 1[ g_i . g_j > s ]
    u, u' = tanh(head(.)) of two views,   v = tanh(guide(g)), a head with weights of its own
    F(a, b) = - mean_i log sum_j M_ij softmax_j( cos(a_i, b_j) / tau )
    L       = F(u, v) + F(u', v) + F(u, u')

The second head takes part in training alone.

Information: a bank of nouns, which the classes of a data set are likely to be among, but not told
to be. Tables say so and rank it apart.

Departures:
- Trap: the official evaluation takes no sign; it ranks by the inner products of real values. Ours
  ranks by Hamming distances of codes as for every method.
- The bank is the user's: the official one clusters nouns of WordNet by draws without a seed.
- The official code computes guidance in half precision.
- s and T belong to CLIP ViT-B/16. With --finetune, guidance is that of the untrained backbone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, HashMethod, Recipe, TrainingSet
from methods.functional import BatchNorm
from methods.pairs import unit_rows

_ROWS = 1024
"""Images at a time that are compared with all nouns."""


class DUHEG(HashMethod):
    """Let two views of an image agree with what nouns make of it.

    Parameters
    ----------
    T : float
        Temperature of the choice among nouns.
    s : float
        Similarity of guidance above which images are each other's positives, below 1.
    tau : float
        Temperature of the contrast.
    hidden : int
        Width of the hidden layer.
    """

    g: Tensor  # while it trains: guidance of every image, (N, D)
    title = "DUH-EG"
    paper = "Song et al., ICML 2025, https://github.com/XLearning-SCU/2025-ICML-DUHEG"
    n_views = 2
    supervision = "nouns"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=256,
        lr=1e-3,
        augmentation="cibhash",
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=60,
        batch_size=512,
        lr=1e-4,
        backbone_lr=1e-5,
        schedule="cosine",
        augmentation="cibhash",
        bank_size=2,
        source="official code, github.com/XLearning-SCU/2025-ICML-DUHEG, which has ten epochs of "
        "warm-up and a frozen backbone; the augmentation is CIBHash's, not theirs",
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        T: float = 0.004,
        s: float = 0.97,
        tau: float = 0.8,
        hidden: int = 512,
    ) -> None:
        super().__init__(in_dim, n_bits)
        self.require_above(0, T=T, tau=tau)
        self.require_at_least(1, hidden=hidden)
        if s >= 1:
            raise ValueError(f"DUHEG: s must be below 1, got {s}")
        self.T, self.s, self.tau = T, s, tau
        self.head, self.guide = (
            nn.Sequential(
                nn.Linear(in_dim, hidden, bias=False),  # normalisation would take a bias off
                BatchNorm(hidden),
                nn.ReLU(),
                nn.Linear(hidden, n_bits),
            )
            for _ in range(2)
        )

    def project(self, x: Tensor) -> Tensor:
        """Scores before tanh, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x)
        return scores

    @torch.no_grad()
    def prepare(self, data: TrainingSet) -> None:
        """Find what nouns make of every image."""
        nouns = unit_rows(data.target_value())
        parts = [
            (x @ nouns.T / self.T).softmax(1) @ nouns for x in unit_rows(data.features).split(_ROWS)
        ]
        self.register_buffer("g", unit_rows(torch.cat(parts)), persistent=False)

    def finish(self) -> None:
        """Drop the guidance."""
        del self.g

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast of both views with the guidance, and of one with the other."""
        self.require_views(batch)
        g = self.g[batch.index]
        M = (g @ g.T > self.s).to(g)
        M = M + torch.diag(1 - M.diagonal())  # an image is its own positive, whatever is rounded
        first, second = (F.normalize(torch.tanh(self.project(x)), dim=1) for x in batch.views)
        guide = F.normalize(torch.tanh(self.guide(g)), dim=1)
        return {
            "guidance": self._contrast(first, guide, M) + self._contrast(second, guide, M),
            "views": self._contrast(first, second, M),
        }

    def _contrast(self, a: Tensor, b: Tensor, M: Tensor) -> Tensor:
        """Give F(a, b) of rows at unit length, (B, K), with positives (B, B)."""
        p = (a @ b.T / self.tau).softmax(1)
        loss: Tensor = -(p * M).sum(1).log().mean()
        return loss
