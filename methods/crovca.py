"""CroVCA: cross-view code alignment.

I. Moummad, K. Zaher, H. Goeau, A. Joly, "Image hashing via cross-view code alignment in the age of
foundation models", CVPR workshops 2026, arXiv 2510.27584.

v_a are the scores of view a of n images, normalised over the batch, and t_a = 1[v_a > 0]:

    alignment = mean of BCE(sigma(v_a), t_b) over images, bits and ordered pairs of views a != b
    R(v)      = 1/2 log det( I + K/(n eps) U^T U ),   U the rows of v at unit length
    L         = alignment - lambda (K + n)/(K n) mean_a R(v_a)

The coding rate R is large where codes fill the space, and keeps all bits from being one. Each view
is normalised by itself. A bit of a query is set where its score is above the running mean.

Departures:
- The head is the official code's small one; its large one has two hidden layers twice as wide.
- The layer before the normalisation has no bias, which this would take off again.
- Features are centred on their training mean. Of uncentred ones with a large common part, units of
  the hidden layer are on for every image, and are then no more than linear.
- AdamW's decay of weights by 1e-2 is left out: an L2 penalty of that size inside Adam is another,
  stronger thing.
- The official code's default leaves the backbone frozen in the first of five epochs alone, and then
  trains all of it at the head's rate, though the paper probes a frozen one or adapts it by LoRA.
- Its views are also solarised, a tenth of them; CIBHash's, used here, are nearest to the rest.
- The official evaluation compares real-valued queries with codes. Here both are codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, CentredMethod, Recipe
from methods.functional import BatchNorm
from methods.space import RATES, Range, search_space


class CroVCA(CentredMethod):
    """Let the scores of each view predict the code of the other, and codes fill the space.

    Parameters
    ----------
    lambda_r : float
        Weight of the coding rate.
    eps : float
        Distortion up to which the coding rate counts.
    hidden : int
        Width of the hidden layer; 0 makes it that of the features.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    title = "CroVCA"
    paper = "Moummad et al., CVPR workshops 2026, https://arxiv.org/abs/2510.27584"
    n_views = 2
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=256,
        lr=1e-3,
        schedule="cosine",
        augmentation="cibhash",
        source="batch, rate and schedule: official code, github.com/ilyassmoummad/"
        "cross-view-code-alignment, which trains 5 epochs on larger sets; epochs our own, not "
        "tuned; a training set below 5,000 images gets fewer steps than the paper's",
    )
    published = Recipe(
        epochs=5,
        batch_size=256,
        lr=1e-3,
        schedule="cosine",
        augmentation="cibhash",
        params={"centre": False},
        source="official code, without its decay of weights; the backbone's learning rate is our "
        "own, for the paper adapts it by LoRA or not at all",
    )
    space = search_space(
        lr=RATES,
        lambda_r=Range(0.01, 1.0, "our own: a decade around 0.1"),
        eps=Range(5e-3, 0.5, "our own: a decade around 0.05"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        lambda_r: float = 0.1,
        eps: float = 0.05,
        hidden: int = 0,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_at_least(0, lambda_r=lambda_r, hidden=hidden)
        self.require_above(0, eps=eps)
        self.lambda_r, self.eps = lambda_r, eps
        hidden = hidden or in_dim
        first, last = nn.Linear(in_dim, hidden), nn.Linear(hidden, n_bits, bias=False)
        for layer in (first, last):
            nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(first.bias)
        self.head = nn.Sequential(first, nn.ReLU(), last, BatchNorm(n_bits))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Alignment of the views, and coding rate."""
        self.require_views(batch)
        v = torch.stack([self.project(x) for x in batch.views])  # (V, B, K)
        n, k = v.shape[1:]
        rate = coding_rate(v, self.eps).mean() * (k + n) / (k * n)
        return {"alignment": cross_view_alignment(v), "coding_rate": -self.lambda_r * rate}


def cross_view_alignment(v: Tensor) -> Tensor:
    """Mean binary cross-entropy of each view's scores against the codes of each other view.

    Parameters
    ----------
    v : Tensor, float32, shape (V, B, K)
        Scores; their codes carry no gradient.

    Returns
    -------
    Tensor, float32, scalar
    """
    t = (v > 0).to(v.dtype)
    others = (t.sum(0) - t) / max(1, len(v) - 1)  # mean code of the other views
    return (F.softplus(v) - v * others).mean()


def coding_rate(v: Tensor, eps: float) -> Tensor:
    """Nats for the directions of vectors up to a distortion: 1/2 log det(I + K/(n eps) U^T U).

    Parameters
    ----------
    v : Tensor, float32, shape (V, n, K)
    eps : float

    Returns
    -------
    Tensor, float32, shape (V,)

    References
    ----------
    Yu, Chan, You, Song, Ma, "Learning diverse and discriminative representations via the principle
    of maximal coding rate reduction", NeurIPS 2020, Eq. (1).

    Examples
    --------
    >>> coding_rate(torch.eye(2)[None], 1.0).exp().round()
    tensor([2.])
    """
    U = F.normalize(v, dim=-1)
    n, k = v.shape[-2:]
    matrix = torch.eye(k, device=v.device) + k / (n * eps) * (U.mT @ U)
    root: Tensor = torch.linalg.cholesky_ex(matrix)[0]
    return root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
