"""HashSIM: structural and intrinsic similarity.

X. Luo, Z. Ma, W. Cheng, M. Deng, "Improve deep unsupervised hashing via structural and intrinsic
similarity learning", IEEE Signal Processing Letters 2022.

Two augmented views a of every training image are drawn once, and give targets of pairs; in training
two new views of n images give u_1 and u_2, their tanh outputs (n, K):

    S^a_ij = 2 cos(x^a_i, x^a_j) - 1
    L      = NT-Xent(columns of u_1, columns of u_2; tau)
             + mean_ij ( u_1i . u_1j / K - S^1_ij )^2 + mean_ij ( u_2i . u_2j / K - S^2_ij )^2

The first term is the intrinsic one: a bit is to be told in one view by what it is in the other, and
no two bits are to be alike. The third term uses the labels of the second view, not of the first.

Departures:
- Targets of pairs are made from the features of a batch; the official code keeps N x N matrices.
- The official code calls its squared error a log-cosine loss; it is the squared error here too.
- Features are centred on their training mean, and the target is then cos itself. Of features that
  share a large mean most cosines are near 1, and 2 cos - 1 asks for bits that are constant; of
  centred ones it is about -1 for most pairs, which no more than two codes can meet. Without
  centring it is as above.
- With --finetune, targets are those of the untrained backbone, as in the official code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.functional import nt_xent
from methods.pairs import unit_rows, views_of_all
from methods.space import RATES, Range, search_space


class HashSIM(CentredMethod):
    """Keep the cosines of pairs, in bits that two views share and no two bits say twice.

    Parameters
    ----------
    tau : float
        Temperature of the contrast of bits.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    seed: Tensor
    unit: Tensor  # while it trains: features of the label views at unit length, (2, N, D)
    title = "HashSIM"
    paper = (
        "Luo et al., IEEE Signal Processing Letters 2022, https://github.com/FrankloveCQ/HashSIM"
    )
    n_views = 2
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        augmentation="cibhash",
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=1800,
        batch_size=24,
        optimizer="sgd",
        lr=1e-3,
        weight_decay=1e-5,
        backbone_lr=1e-3,
        augmentation="wch",
        params={"centre": False},
        source="official code, github.com/FrankloveCQ/HashSIM; the augmentation is that of CIMON, "
        "by the same authors, as WCH has it",
    )
    space = search_space(lr=RATES, tau=Range(0.1, 10.0, "our own: a decade around our 1"))

    def __init__(self, in_dim: int, n_bits: int, *, tau: float = 1.0, centre: bool = True) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, tau=tau)
        self.tau = tau
        self.head = nn.Linear(in_dim, n_bits)
        self.register_buffer("seed", torch.randint(2**31, ()))  # of the label views

    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, and draw the label views."""
        super().prepare(data)
        views = views_of_all(data, self.n_views, int(self.seed), self.mu.device)
        self.register_buffer("unit", unit_rows(views, self.mu), persistent=False)

    def finish(self) -> None:
        """Drop the label views."""
        del self.unit

    def targets(self, rows: Tensor) -> Tensor:
        """Give S of rows of the training set, a matrix a label view, (2, B, B)."""
        x = self.unit[:, rows]
        cosines = x @ x.mT
        return cosines if self.centre else 2 * cosines - 1

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Similarity of pairs in both views, and contrast of bits between them."""
        self.require_views(batch)
        S = self.targets(batch.index)
        u = torch.tanh(self.project(batch.views))  # (2, B, K)
        errors = (u @ u.mT / u.shape[-1] - S).square()
        return {
            "structure": errors.mean((1, 2)).sum(),
            "contrastive": nt_xent(u[0].T, u[1].T, self.tau),
        }
