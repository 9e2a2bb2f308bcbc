"""CIBHash: contrastive learning read as an information bottleneck.

Z. Qiu, Q. Su, Z. Ou, J. Yu, C. Chen, "Unsupervised hashing with contrastive information
bottleneck", IJCAI 2021, arXiv 2105.06138.

    p = sigma(head(x)) in (0, 1)^K,   z = sign(p - 1/2), straight-through
    L = NT-Xent(z_1, z_2; tau) + beta/2 ( KL(p_1 || sg p_2) + KL(p_2 || sg p_1) )

KL is between products of Bernoulli distributions: summed over bits, averaged over the batch.

Departures:
- The paper samples codes from Bernoulli(p); its code takes the sign, and so do we.
- The official encoder leaves the two dropout layers (0.5) inside VGG-16's classifier active while
  it trains. Cached features have been through none. `dropout` (0 here) is an option at our input:
  one layer before the head, which is not the same as two inside the network.
- The paper validates on half of the test set and keeps the best epoch. We keep the last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.base import Batch, HashMethod, Recipe
from methods.functional import nt_xent, straight_through_sign
from methods.space import RATES, Range, search_space


class CIBHash(HashMethod):
    """Two views of an image should share a code, and no more than the code.

    Parameters
    ----------
    tau : float
        Temperature of the contrastive term.
    beta : float
        Weight of the KL term.
    hidden : int
        Width of the hidden layer.
    dropout : float
        Probability of dropping an input feature in training.
    """

    title = "CIBHash"
    paper = "Qiu et al., IJCAI 2021, https://arxiv.org/abs/2105.06138"
    n_views = 2
    stacks = True
    recipe = Recipe(
        epochs=60,
        epochs_at={16: 80},  # official code: at least 80 at 16 bits
        batch_size=64,
        lr=1e-3,
        augmentation="cibhash",
        source="official code, github.com/zexuanqiu/CIBHash; its backbone is frozen, and the "
        "backbone's learning rate is our own",
    )
    space = search_space(
        lr=RATES,
        tau=Range(0.1, 1.0, "our own: around the 0.2 to 0.4 of the official code's search"),
        beta=Range(1e-5, 5e-3, "the official code's search"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        tau: float = 0.3,
        beta: float = 0.001,
        hidden: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_dim, n_bits)
        self.require_above(0, tau=tau)
        self.require_at_least(0, beta=beta, dropout=dropout)
        self.require_at_least(1, hidden=hidden)
        if dropout >= 1:
            raise ValueError(f"CIBHash: dropout must be below 1, got {dropout}")
        self.tau, self.beta, self.dropout = tau, beta, dropout
        self.head = nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_bits))

    def project(self, x: Tensor) -> Tensor:
        """Logits of the bit probabilities, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x)
        return scores

    def noise(self, n: int, generator: torch.Generator) -> Tensor | None:
        """Draw which features of both views stay, as 0 or 1/(1 - dropout), (n, 2, D)."""
        if not self.dropout:
            return None
        stay = torch.rand(n, 2, self.in_dim, generator=generator, device=generator.device)
        return (stay >= self.dropout).float() / (1 - self.dropout)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrastive term and information bottleneck."""
        self.require_views(batch)
        x = batch.views if batch.noise is None else batch.views * batch.noise.transpose(0, 1)
        p = torch.sigmoid(self.project(x))  # (2, B, K)
        z_1, z_2 = straight_through_sign(p - 0.5)
        kl = _bernoulli_kl(p, p.flip(0).detach())  # the mean over both directions
        return {"contrastive": nt_xent(z_1, z_2, self.tau), "kl": self.beta * kl}


def _bernoulli_kl(p: Tensor, q: Tensor, eps: float = 1e-8) -> Tensor:
    """KL(p || q) of products of Bernoulli distributions over the last axis, mean over the others.

    The official code adds `eps` inside every logarithm, and so do we.
    """
    kl = p * ((p + eps).log() - (q + eps).log())
    kl = kl + (1 - p) * ((1 - p + eps).log() - (1 - q + eps).log())
    return kl.sum(-1).mean()
