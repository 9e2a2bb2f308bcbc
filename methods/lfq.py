"""LFQ and BSQ: an auto-encoder with a binary bottleneck that needs no look-up.

L. Yu and others, "Language model beats diffusion: tokenizer is key to visual generation",
ICLR 2024, arXiv 2310.05737 (LFQ); Y. Zhao, Y. Xiong, P. Kraehenbuehl, "Image and video tokenization
with binary spherical quantization", arXiv 2406.07548 (BSQ). Tokenisers, not hashing papers: they
stand here as the modern baseline among binary auto-encoders.

    v = E(x), of unit length for BSQ;   q = a sign(v), straight-through;   a = 1, for BSQ 1/sqrt(K)
    p_k = sigma(4 r a v_k)              chance of bit k in softmax_c(2 r v . c) over all codes c
    L = mean (G(q) - x)^2 / mean x^2 + w_e ( mean_i sum_k H(p_ik) - gamma H(codes) )
        + w_c mean (v - sg q)^2

The softmax over 2^K codes is a product over bits, so the first entropy is a sum over bits, exactly.
The entropy of the mean of the batch's distributions, H(codes), is not. It is the sum over groups of
g successive bits of the entropy of their 2^g values: BSQ's upper bound with g = 1, and exact with
g = K. The gradient of the error goes through q to v.

Our own: E and G are a hidden layer each, on features centred on their training mean; the error is
that of features, as a share of their variance, so that its weight is the same on any backbone. The
released library (PyPI, vector-quantize-pytorch) has r = 100, for tokens of a network that learns
with it; r = 1 here, with which bits of usual scores are neither sure nor even.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, CentredMethod, Recipe
from methods.functional import straight_through
from methods.space import RATES, Range, search_space

_TINY = 1e-6


class LFQ(CentredMethod):
    """Reconstruct features from signs that are sure for each image and even over all.

    Parameters
    ----------
    spherical : bool
        Whether the scores of an image have unit length: BSQ.
    r : float
        Inverse temperature.
    w_e, gamma, w_c : float
        Weights of the entropies, of that over the batch among them, and of the commitment.
    group : int
        Bits whose joint entropy over the batch is counted, up to 12.
    hidden : int
        Width of both hidden layers.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    title = "LFQ"
    paper = "Yu et al., ICLR 2024, https://arxiv.org/abs/2310.05737"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        bank_size=1,
        source="our own, for a head on frozen features, not tuned",
    )
    space = search_space(
        lr=RATES,
        w_e=Range(0.01, 1.0, "our own: a decade around our 0.1"),
        gamma=Range(0.1, 10.0, "our own: a decade around our 1"),
        w_c=Range(0.025, 2.5, "our own: a decade around our 0.25"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        spherical: bool = False,
        r: float = 1.0,
        w_e: float = 0.1,
        gamma: float = 1.0,
        w_c: float = 0.25,
        group: int = 1,
        hidden: int = 1024,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, r=r)
        self.require_at_least(0, w_e=w_e, gamma=gamma, w_c=w_c)
        self.require_at_least(1, group=group, hidden=hidden)
        if group > 12:
            raise ValueError(f"LFQ: group must be at most 12, got {group}")
        self.spherical, self.r, self.group = spherical, r, group
        self.w_e, self.gamma, self.w_c = w_e, gamma, w_c
        self.head = nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_bits))
        self.decoder = nn.Sequential(
            nn.Linear(n_bits, hidden), nn.ReLU(), nn.Linear(hidden, in_dim)
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Reconstruction, entropies, and commitment."""
        self.require_views(batch)
        x = batch.views[0] - self.mu
        q, terms = self.quantise(self.head(x))
        error = (self.decoder(q) - x).square().mean() / x.square().mean().clamp(min=_TINY)
        return {"reconstruction": error, **terms}

    def quantise(self, h: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Give q of scores, (B, K) both, and the terms that the bottleneck adds to the loss."""
        v, a = (F.normalize(h, dim=1), self.n_bits**-0.5) if self.spherical else (h, 1.0)
        q = torch.where(v > 0, a, -a).to(v)
        p = (4 * self.r * a * v).sigmoid()
        sure = entropy(torch.stack([p, 1 - p])).sum(1).mean()
        spread = code_entropy(p, self.group)
        return straight_through(q, v), {
            "entropy": self.w_e * (sure - self.gamma * spread),
            "commitment": self.w_c * (v - q).square().mean(),
        }


def entropy(p: Tensor) -> Tensor:
    """Entropy in nats of distributions along the first axis."""
    nats: Tensor = torch.special.entr(p.clamp(min=torch.finfo(p.dtype).tiny)).sum(0)
    return nats


def code_entropy(p: Tensor, group: int) -> Tensor:
    """Entropy of the mean distribution of codes over a batch, group by group of bits, in nats.

    Parameters
    ----------
    p : Tensor, float32, shape (B, K)
        Chance that a bit is set.
    group : int
        Bits in a group; the last one may have fewer, and is filled with bits that are always set.

    Returns
    -------
    Tensor, float32, scalar

    Examples
    --------
    Two bits that are always equal have the entropy of one.

    >>> p = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    >>> (code_entropy(p, 1) / code_entropy(p, 2)).round()
    tensor(2.)
    """
    groups = F.pad(p, (0, -p.shape[1] % group), value=1.0).unflatten(1, (-1, group))  # (B, G, g)
    joint = torch.ones_like(groups[:, :, :1])
    for bit in groups.split(1, dim=2):
        joint = torch.cat([joint * bit, joint * (1 - bit)], 2)  # (B, G, 2^g)
    return entropy(joint.mean(0).flatten())
