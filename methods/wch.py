"""WCH: weighted contrastive hashing.

J. Yu, H. Qiu, D. Chen, H. Zhang, "Weighted contrastive hashing", ACCV 2022, arXiv 2209.14099.

Patch tokens x1, x2 of two views of every image; A[p, q] = cos(x1[p], x2[q]) within an image.

    x1' = softmax_p(A^T) x1,   x2' = softmax_q(A) x2                 mutual attention
    g_ij = mean_p max_q cos(x1'_i[p], x2'_j[q])                      patch similarity of two images
    S_ij = softmax_j(g_ij / tau_w),   w_ij = S_ij / S_jj             w_ii = 1; rows do not sum to 1
    l_ij = h1_i . h2_j / (K tau)
    L_con = -(1/n) sum_ij w_ij log softmax_j(l_ij)
    L_reg = mean_k (mean_i h1_ik)^2 - mean_ik h1_ik^2
    L     = L_con + L_reg,     h = sign(tanh(head(pooled x'))), straight-through

L_reg balances each bit over the batch; its second part is -1 in value, and its gradient drives tanh
outward. Codes of queries and database come from the mean of the plain tokens, without attention,
as in the official code: training and test see different pooled vectors.

Departures:
- The paper trains a ViT-B/16 from its tokens up; so does `published`. On a frozen backbone, whose
  tokens cannot adapt, `recipe` departs further:
- Tokens are centred on the mean token of the training set. Tokens of a network with ReLUs are all
  alike in their mean, and the cosines of uncentred ones hardly differ.
- Each image's weights are scaled to sum to 1, and tau_w is 0.05 (0.2 in the code, for tokens that
  learn along). On frozen tokens the unscaled weights of the other images outweigh an image's own
  eight to one, and the contrast vanishes.
- Views keep half of the image or more, as CIBHash's do. The paper's crops go down to a fifth, and
  what a frozen backbone sees in those differs too much between two views.
- The head learns at 3e-4: at 1e-3 and batches of 32, 95 % of the outputs saturate within 8 epochs.
  All four compared at 32 bits by retrieval among training images.
- The official code starts its head from Kaiming's uniform weights by fan-out and N(0, 1) biases:
  `official_init`, which `published` sets. Elsewhere the head starts as torch's layers do.
- The official network trains with dropout of 0.1 inside its ViT; ours computes in evaluation mode,
  so that views differ by augmentation alone. It starts from weights of ImageNet-21k and scales its
  inputs by ImageNet's mean and deviation; ours scales them as the chosen weights were trained.

Weights come from how patches of two images match, so an image needs two tokens or more: one token
(a CNN at 32 pixels) is refused.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.functional import straight_through_sign
from methods.space import RATES, Range, search_space

_CHUNK = 2**24
"""Products of patch pairs at a time: 64 MiB of float32, and as much once they are cosines."""


class WCH(CentredMethod):
    """Contrast codes of two views, softened by how alike the patches of two images are.

    Parameters
    ----------
    tau_w : float
        Temperature of the weights.
    tau : float
        Temperature of the contrastive logits.
    normalise : bool
        Whether each image's weights are scaled to sum to 1, as an option of the port in
        kamwoh/sdc has it.
    centre : bool
        Whether the mean token of the training set is taken off every token.
    hidden : int
        Width of the hidden layer.
    official_init : bool
        Whether the head starts as in the official code.

    Raises
    ------
    ValueError
        By `fit`, if the training set has no tokens, or one an image.
    """

    title = "WCH"
    paper = "Yu et al., ACCV 2022, https://arxiv.org/abs/2209.14099"
    consumes = "tokens"
    n_views = 2
    stacks = True
    recipe = Recipe(
        epochs=20,
        batch_size=32,
        lr=3e-4,
        augmentation="cibhash",
        source="batch: official code, github.com/RosieYuu/WCH, which trains the whole network; the "
        "rest our own, for a head on frozen tokens",
    )
    published = Recipe(
        epochs=50,
        batch_size=32,
        lr=1e-5,
        backbone_lr=1e-5,
        schedule="cosine",
        augmentation="wch",
        params={
            "tau_w": 0.2,
            "tau": 0.3,
            "normalise": False,
            "centre": False,
            "official_init": True,
        },
        source="official code, github.com/RosieYuu/WCH",
    )
    space = search_space(
        lr=RATES,
        tau_w=Range(0.02, 0.5, "our own: around our 0.05 and the official code's 0.2"),
        tau=Range(0.1, 1.0, "our own: around the official code's 0.3"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        tau_w: float = 0.05,
        tau: float = 0.3,
        normalise: bool = True,
        centre: bool = True,
        hidden: int = 1024,
        official_init: bool = False,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, tau_w=tau_w, tau=tau)
        self.require_at_least(1, hidden=hidden)
        self.tau_w, self.tau, self.normalise = tau_w, tau, normalise
        self.norm = nn.LayerNorm(in_dim, eps=1e-6)
        self.head = nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_bits))
        if official_init:
            for layer in self.head:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_uniform_(layer.weight, mode="fan_out")
                    nn.init.normal_(layer.bias)

    def prepare(self, data: TrainingSet) -> None:
        """Check that images have tokens to match, and take the mean of the training set."""
        if len(data.shape) != 2 or data.shape[0] < 2:
            raise ValueError(
                "WCH.fit: needs two tokens an image or more, shape (T, D), got inputs of shape "
                f"{tuple(data.shape)}; take a backbone or --input-size that gives tokens"
            )
        super().prepare(data)

    def project(self, x: Tensor) -> Tensor:
        """Scores of the pooled tokens, (N, T, D) -> (N, K)."""
        return self._scores(x.mean(1) - self.mu)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted contrast and the regulariser."""
        self.require_views(batch)
        x_1, x_2 = mutual_attention(*(batch.views - self.mu))  # (B, T, D) each
        w = patch_weights(x_1, x_2, self.tau_w)
        if self.normalise:
            w = w / w.sum(1, keepdim=True)
        pooled = torch.stack([x_1.mean(1), x_2.mean(1)])  # (2, B, D)
        h_1, h_2 = straight_through_sign(torch.tanh(self._scores(pooled)))
        return {
            "contrastive": weighted_contrastive(h_1, h_2, w, self.tau),
            "regulariser": balance(h_1),
        }

    def _scores(self, pooled: Tensor) -> Tensor:
        scores: Tensor = self.head(self.norm(pooled))
        return scores


def mutual_attention(tokens_1: Tensor, tokens_2: Tensor) -> tuple[Tensor, Tensor]:
    """Arrange the content of each view at the positions of the other.

    Parameters
    ----------
    tokens_1, tokens_2 : Tensor, float32, shape (B, T, D)
        Two views of the same images.

    Returns
    -------
    tuple of Tensor, float32, shape (B, T, D)
        View 1 at the positions of view 2, and view 2 at those of view 1.
    """
    A = tokens_1 @ tokens_2.mT / (_lengths(tokens_1) * _lengths(tokens_2).mT)  # (B, T, T)
    return A.mT.softmax(-1) @ tokens_1, A.softmax(-1) @ tokens_2


def patch_weights(tokens_1: Tensor, tokens_2: Tensor, temperature: float) -> Tensor:
    """Weight of image j for image i from the similarity of their patches.

    The cosines of all pairs of patches are computed for a few images j at a time, and again in the
    backward pass, so that memory stays bounded.

    Parameters
    ----------
    tokens_1, tokens_2 : Tensor, float32, shape (B, T, D)
        Attended tokens.
    temperature : float

    Returns
    -------
    Tensor, float32, shape (B, B)
        1 on the diagonal.
    """
    b, t, _ = tokens_1.shape
    columns = tokens_2.split(max(1, _CHUNK // (b * t * t)))
    if tokens_1.requires_grad or tokens_2.requires_grad:
        parts = [checkpoint(_best_matches, tokens_1, x, use_reentrant=False) for x in columns]
    else:
        parts = [_best_matches(tokens_1, x) for x in columns]
    S = (torch.cat(parts).T / temperature).softmax(1)  # (B, B)
    return S / S.diagonal()  # column j by S_jj, as in the official code


def _best_matches(x_1: Tensor, x_2: Tensor) -> Tensor:
    """Mean over the patches of i of the best cosine with a patch of j, (B, T, D) -> (J, B)."""
    products = x_2.flatten(0, 1) @ x_1.flatten(0, 1).T  # (J T, B T): one product of matrices
    scaled = products / _lengths(x_2).flatten(0, 1)
    best = scaled.view(*x_2.shape[:2], -1).amax(1)  # (J, B T)
    return (best / _lengths(x_1).flatten()).view(len(best), *x_1.shape[:2]).mean(-1)


def _lengths(x: Tensor) -> Tensor:
    """Lengths of vectors, (..., D) -> (..., 1), never 0.

    Inner products are divided by them where those are fewer numbers than the vectors.
    """
    lengths: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return lengths.clamp_min(1e-12)


def weighted_contrastive(
    codes_1: Tensor, codes_2: Tensor, weights: Tensor, temperature: float
) -> Tensor:
    """Cross-entropy between weights and the code similarities of two views.

    Parameters
    ----------
    codes_1, codes_2 : Tensor, float32, shape (B, K)
        Codes in {-1, +1}.
    weights : Tensor, float32, shape (B, B)
    temperature : float

    Returns
    -------
    Tensor, float32, scalar
    """
    logits = codes_1 @ codes_2.T / (codes_1.shape[1] * temperature)
    return -(weights * logits.log_softmax(1)).sum(1).mean()


def balance(codes: Tensor) -> Tensor:
    """Squared mean of each bit over the batch, less the mean square of the codes."""
    return codes.mean(0).square().mean() - codes.square().mean()
