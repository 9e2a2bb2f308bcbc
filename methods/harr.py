"""HARR: similarity by who wins where, a contrast that it weighs, and bits that are uncorrelated.

Z. Ma, S. Wang, X. Luo, Z. Gu, C. Chen, J. Li, X.-S. Hua, G. Lu, "HARR: learning discriminative and
high-quality hash codes for image retrieval", ACM Transactions on Multimedia Computing,
Communications, and Applications 2023.

Winner-take-all, once: w_ip is which of the first `window` features under permutation p is largest
in image i, and A_ij the share of the permutations in which w_ip = w_jp. theta is exceeded or met by
a `share` of all entries of A, the diagonal among them; M and m are the largest and the least of two
images. Training on three views, u_1, u_2, u_3 their tanh outputs, v = u_3 at unit length:

    S = 1[A >= theta],   G = v v^T / tau
    L_wta = - 1/#{S = 1} sum_{S_ij = 1} (A_ij - theta)/(M - theta)
              [ G_ij - log( sum_k (1 - S_ik) (theta - A_ik)/(theta - m) e^{G_ik} + 1e-5 ) ]
    L_bt  = mean_k (c_kk - 1)^2 + mean_{k != l} c_kl^2    c: cosines of columns of u_1 and of u_2
    L     = L_wta + lambda_bt L_bt - lambda_q mean_i cos(u_3i, sign u_3i)

Departures:
- A is made of the winners of a batch, a byte each; the official code keeps N x N x 512 of them.
- Above 4096 images theta, M and m are those of 4096 of them, drawn by the seed of the run.
- Features are centred on their training mean for the head. Winners are of the features as they are,
  as in the official code: a constant that all images have decides who wins.
- Views two and three are drawn by the official code as a weak crop and by RandAugment; all three
  are of one augmentation here.
- With --finetune, winners are those of the untrained backbone, as in the official code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.space import RATES, Range, search_space
from methods.statistics import some_rows

_MOST = 4096
"""Images whose pairs give the threshold and both extremes."""
_ROWS = 64
"""Images at a time that are compared with others."""
_TINY = 1e-5


class HARR(CentredMethod):
    """Contrast images that agree in winners with those that do not.

    Parameters
    ----------
    permutations, window : int
        Comparisons, and features in each of them.
    share : float
        Share of all pairs, an image with itself among them, that are similar, in (0, 1).
    tau : float
        Temperature.
    lambda_bt, lambda_q : float
        Weights of the correlation of bits, and of the quantisation.
    centre : bool
        Whether the mean of the training set is taken off the features of the head.
    """

    order: Tensor  # the first `window` features under each permutation, int64 (P, window)
    winners: Tensor  # while it trains: uint8 (N, P)
    span: Tensor  # theta, M, m, (3,)
    title = "HARR"
    paper = "Ma et al., ACM TOMM 2023, https://doi.org/10.1145/3627162"
    n_views = 3
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        augmentation="cibhash",
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=800,
        batch_size=64,
        optimizer="sgd",
        lr=1e-3,
        weight_decay=1e-5,
        backbone_lr=1e-5,
        augmentation="cibhash",
        params={"centre": False},
        source="official code, github.com/Zeyu77/HARR; the augmentation is CIBHash's, not theirs",
    )
    space = search_space(
        lr=RATES,
        share=Range(0.1, 0.6, "our own: around the official code's 0.3", log=False),
        tau=Range(0.03, 1.0, "our own: a decade around the official code's 0.1"),
        lambda_bt=Range(0.1, 10.0, "our own: a decade around the official code's 1"),
        lambda_q=Range(0.05, 5.0, "our own: a decade around the official code's 0.5"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        permutations: int = 512,
        window: int = 8,
        share: float = 0.3,
        tau: float = 0.1,
        lambda_bt: float = 1.0,
        lambda_q: float = 0.5,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, share=share, tau=tau)
        self.require_at_least(0, lambda_bt=lambda_bt, lambda_q=lambda_q)
        self.require_at_least(1, permutations=permutations, window=window)
        if share >= 1 or window > 255:
            raise ValueError(f"HARR: share must be < 1, window at most 255, got {share}, {window}")
        self.share, self.tau, self.lambda_bt, self.lambda_q = share, tau, lambda_bt, lambda_q
        self.head = nn.Linear(in_dim, n_bits)
        shuffled = torch.rand(permutations, in_dim).argsort(1)
        self.register_buffer("order", shuffled[:, :window].contiguous())

    @torch.no_grad()
    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, the winners, and what pairs are judged by."""
        super().prepare(data)
        X = data.features
        won = [x[:, self.order].argmax(2).to(torch.uint8) for x in X.split(_ROWS)]
        self.register_buffer("winners", torch.cat(won), persistent=False)
        some = some_rows(self.winners, _MOST, data.seed)
        self.register_buffer("span", self._span(some).to(self.mu), persistent=False)

    def _span(self, winners: Tensor) -> Tensor:
        """Give theta, M and m of winners (N, P)."""
        n, P = winners.shape
        counts = torch.zeros(P + 1, dtype=torch.int64, device=winners.device)
        of_values = self._of_values(winners)
        for rows in of_values.split(_ROWS * 8):
            counts += (rows @ of_values.T).long().flatten().bincount(minlength=P + 1)
        at_least = counts.flip(0).cumsum(0).flip(0)  # entries that agree so often or more
        theta = (at_least >= self.share * n * n).nonzero().max()
        counts[P] -= n  # an image with itself
        met = counts.nonzero().flatten() if n > 1 else theta[None]
        return torch.stack([theta, met.max(), met.min()]) / P

    def finish(self) -> None:
        """Drop the winners."""
        del self.winners, self.span

    def _of_values(self, winners: Tensor) -> Tensor:
        """Give 1 where a winner has a value, else 0, (B, P) -> (B, P window)."""
        values = torch.arange(self.order.shape[1], device=winners.device)
        return (winners[..., None] == values).to(self.mu).flatten(1)

    def agreement(self, rows: Tensor) -> Tensor:
        """Give A of rows of the training set, (B, B)."""
        w = self._of_values(self.winners[rows])
        return w @ w.T / len(self.order)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast by winners, correlation of bits between views, and quantisation."""
        self.require_views(batch)
        u = torch.tanh(self.project(batch.views))  # (3, B, K)
        signs = torch.where(u[2] > 0, 1.0, -1.0)
        quantisation = -F.cosine_similarity(u[2], signs, dim=1).mean()
        return {
            "contrastive": self._contrast(F.normalize(u[2], dim=1), self.agreement(batch.index)),
            "correlation": self.lambda_bt * decorrelation(u[0], u[1]),
            "quantisation": self.lambda_q * quantisation,
        }

    def _contrast(self, v: Tensor, A: Tensor) -> Tensor:
        """Give L_wta of unit vectors (B, K) whose winners agree so often, (B, B)."""
        theta, most, least = self.span
        S = (theta <= A).to(v)
        near = S * (A - theta) / (most - theta).clamp(min=_TINY)
        far = (1 - S) * (theta - A) / (theta - least).clamp(min=_TINY)
        G = v @ v.T / self.tau
        others = ((far * G.exp()).sum(1, keepdim=True) + _TINY).log()
        loss: Tensor = -(near * (G - others)).sum() / S.sum().clamp(min=1)
        return loss


def decorrelation(u_1: Tensor, u_2: Tensor) -> Tensor:
    """Squared gaps between the cosines of columns of two views and the identity matrix.

    Parameters
    ----------
    u_1, u_2 : Tensor, float32, shape (B, K)

    Returns
    -------
    Tensor, float32, scalar
        The mean over the diagonal and the mean over all else, added.

    Examples
    --------
    >>> decorrelation(torch.eye(2), torch.ones(2, 2)).round(decimals=2)
    tensor(0.5900)
    """
    cosines = F.normalize(u_1, dim=0).T @ F.normalize(u_2, dim=0)
    squares = (cosines - torch.eye(len(cosines), device=cosines.device)).square()
    k, same = len(squares), squares.diagonal().sum()
    return same / k + (squares.sum() - same) / max(1, k * (k - 1))
