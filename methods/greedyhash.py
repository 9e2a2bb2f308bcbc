"""GreedyHash, its unsupervised form: the sign itself in the network, and a greedy gradient.

S. Su, C. Zhang, K. Han, Y. Tian, "Greedy hash: towards fast optimization for accurate hash coding
in CNN", NeurIPS 2018.

    b = sign(h),  dL/dh := dL/db                                          h = head(x)
    L = mean_i ( cos(b_i, b_{i+m}) - cos(x_i, x_{i+m}) )^2 + alpha mean_ik | |h_ik| - 1 |^3

x are the features, i runs over the first half of the batch and m = n/2.

The trap: features of a network with ReLUs, uncentred, have cosines that are all high and nearly
equal. Equal codes for all images then satisfy the loss, and training goes there: mAP falls to that
of random codes. So features are centred on their training mean here; `centre=False`, as
published, shows the collapse.

Departures:
- The official features pass two dropout layers (0.5) that stay active in training; ours are clean.
- The official script keeps the best epoch on the test queries. We keep the last.
- The official code cannot take a batch of odd size. Ours leaves its last image out of the pairs.
"""

from __future__ import annotations

from torch import Tensor, nn

from methods.base import Batch, CentredMethod, Recipe
from methods.functional import straight_through_sign
from methods.pairs import kept_similarity
from methods.space import RATES, Range, search_space


class GreedyHash(CentredMethod):
    """Keep the cosine of random pairs in the signs of the scores.

    Parameters
    ----------
    alpha : float
        Weight of the cube that holds scores at -1 and +1.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    title = "GreedyHash"
    paper = (
        "Su et al., NeurIPS 2018, https://papers.nips.cc/paper/2018/hash/"
        "13f3cf8c531952d72e5847c4183e6910-Abstract.html"
    )
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=32,
        lr=1e-3,
        bank_size=1,
        source="epochs and batch: official code, github.com/ssppp/GreedyHash, which trains 300 "
        "epochs at 16 bits; Adam and its rate are our own, not tuned",
    )
    published = Recipe(
        epochs=60,
        epochs_at={16: 300},
        batch_size=32,
        optimizer="sgd",
        lr=1e-4,
        weight_decay=5e-4,
        bank_size=1,
        params={"centre": False},
        source="official code, unsupervised script of CIFAR-10; its backbone is frozen, and the "
        "backbone's learning rate is our own",
    )
    space = search_space(
        lr=RATES,
        alpha=Range(0.01, 1.0, "our own: a decade around the official code's 0.1"),
    )

    def __init__(
        self, in_dim: int, n_bits: int, *, alpha: float = 0.1, centre: bool = True
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_at_least(0, alpha=alpha)
        self.alpha = alpha
        self.head = nn.Linear(in_dim, n_bits)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Similarity of pairs, and quantisation."""
        self.require_views(batch)
        x = batch.views[0] - self.mu
        h = self.head(x)  # (B, K)
        return {
            "similarity": kept_similarity(straight_through_sign(h), x),
            "quantisation": self.alpha * (h.abs() - 1).abs().pow(3).mean(),
        }
