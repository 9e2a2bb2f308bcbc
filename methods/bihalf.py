"""BiHalf: bits of maximal entropy, by optimal transport to a fair coin.

Y. Li and J. van Gemert, "Deep unsupervised image hashing by maximizing bit entropy", AAAI 2021,
arXiv 2012.12334.

    b_ik = +1 if h_ik is among the floor(n/2) largest of bit k in the batch, else -1
    L    = mean_i ( cos(b_i, b_{i+m}) - cos(x_i, x_{i+m}) )^2,   m = n/2
    dL/dh := dL/db + gamma (h - b) / (n K)

x are the features, h = head(x). The second part of the gradient is that of gamma/2 times the mean
of (h - b)^2 with b held fixed, and is written so here: a term `transport` of its own, which the
printed loss does not count.

Codes of queries and database are the signs of h, as in the official code: nobody knows the other
half of a single query.

Departures:
- gamma is 6, as in all of the official scripts; the paper is reported to give 3.
- Features are centred on their training mean. Those of a network with ReLUs have positive cosines
  alone, which codes of half ones can only meet with correlated bits.
- The official features pass two dropout layers (0.5) that stay active in training, so the target
  cosine of a pair is noisy and differs from epoch to epoch; ours is that of the clean features.
- The official code cannot take a batch of odd size. Ours leaves its last image out of the pairs.
"""

from __future__ import annotations

from torch import Tensor, nn

from methods.base import Batch, CentredMethod, Recipe
from methods.functional import half_half
from methods.pairs import kept_similarity
from methods.space import RATES, Range, search_space


class BiHalf(CentredMethod):
    """Keep the cosine of random pairs, with every bit set for half of each batch.

    Parameters
    ----------
    gamma : float
        Weight of the pull of a score towards its bit.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    title = "BiHalf"
    paper = "Li and van Gemert, AAAI 2021, https://arxiv.org/abs/2012.12334"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=32,
        lr=1e-3,
        bank_size=1,
        source="batch: official code, github.com/liyunqianggyn/Deep-Unsupervised-Image-Hashing; "
        "Adam, its rate and 60 epochs are our own, not tuned",
    )
    published = Recipe(
        epochs=300,
        batch_size=32,
        optimizer="sgd",
        lr=1e-4,
        weight_decay=5e-4,
        bank_size=1,
        params={"centre": False},
        source="official code, script of CIFAR-10; its rate falls to a tenth every 120 epochs, and "
        "ours stays; its backbone is frozen, and the backbone's learning rate is our own",
    )
    space = search_space(
        lr=RATES,
        gamma=Range(0.6, 60.0, "our own: a decade around the official code's 6"),
    )

    def __init__(
        self, in_dim: int, n_bits: int, *, gamma: float = 6.0, centre: bool = True
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_at_least(0, gamma=gamma)
        self.gamma = gamma
        self.head = nn.Linear(in_dim, n_bits)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Similarity of pairs, and the transport of scores to their bits."""
        self.require_views(batch)
        x = batch.views[0] - self.mu
        h = self.head(x)  # (B, K)
        b = half_half(h)
        return {
            "similarity": kept_similarity(b, x),
            "transport": self.gamma / 2 * (h - b.detach()).square().mean(),
        }
