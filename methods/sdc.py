"""SDC: similarity distribution calibration.

K. W. Ng, X. Zhu, J. T. Hoe, C. S. Chan, T. Zhang, Y.-Z. Song, T. Xiang, "Unsupervised hashing with
similarity distribution calibration", BMVC 2023, arXiv 2302.07669.

With m = n/2 pairs (i, i+m) of the batch, pi their order by rising cosine of the features, and q_r
the quantile at (2r-1)/(2m) of 2 Beta(beta, beta) - 1:

    calibration  = 1/m sum_r | cos(v_pi(r), v_pi(r)+m) - q_r |
    quantisation = mean_i ( 1 - cos(v_i, sg sign v_i) )
    L            = calibration + quantisation

v are the scores, which batch normalisation ends. Cosines of codes so get a distribution that fills
the whole range, in the order of those of the features, whatever range these have.

The official code has a second configuration, `contrastive`: two views, pairs within each,
q_r no lower than 0, and NT-Xent(v_1, v_2; tau) on the real-valued scores beside.

Departures:
- Features are not centred: their cosines act by their order, and normalisation centres the scores.
- The official code removes the dropout of VGG-16 and keeps the best epoch on the test queries. We
  keep the last.
- The layer before the normalisation has no bias, which this would take off again.
- A quantile is found to 1e-8 by summation; the official code asks a library of statistics.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, HashMethod, Recipe, TrainingSet
from methods.functional import BatchNorm, nt_xent
from methods.pairs import pair_cosines
from methods.space import RATES, Range, search_space

_STEPS = 2**16
"""Steps of the sum in which a quantile is looked up."""


class SDC(HashMethod):
    """Give the cosines of codes a distribution of their own, in the order of the features'.

    Parameters
    ----------
    beta : float
        Both parameters of the Beta distribution, at least 1/2; larger ones make it narrower.
    contrastive : bool
        Whether it is the second configuration, which learns from two views; they need an
        augmentation: ``--set sdc.contrastive=true sdc.augmentation=cibhash sdc.bank_size=10``.
    tau : float
        Temperature of the contrastive term.
    hidden : int
        Width of the hidden layer; 0 makes it that of the features.

    Raises
    ------
    ValueError
        By `fit`, if it is contrastive and the training set has one view of an image.
    """

    title = "SDC"
    paper = "Ng et al., BMVC 2023, https://arxiv.org/abs/2302.07669"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        weight_decay=1e-5,
        bank_size=1,
        source="batch and weight decay: official code, github.com/kamwoh/sdc, which trains 100 "
        "epochs at 1e-4; rate and epochs are our own, not tuned",
    )
    published = Recipe(
        epochs=100,
        batch_size=64,
        lr=1e-4,
        weight_decay=1e-5,
        bank_size=1,
        source="official code, github.com/kamwoh/sdc; its rate falls to a tenth at epoch 80, and "
        "ours stays; its backbone is frozen, and the backbone's learning rate is our own",
    )
    space = search_space(lr=RATES, beta=Range(0.5, 20.0, "our own: around the official code's 5"))

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        beta: float = 5.0,
        contrastive: bool = False,
        tau: float = 0.3,
        hidden: int = 0,
    ) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(0.5, beta=beta)
        self.require_above(0, tau=tau)
        self.require_at_least(0, hidden=hidden)
        self.beta, self.contrastive, self.tau = beta, contrastive, tau
        if contrastive:
            self.n_views = 2  # type: ignore[misc]  # of this object alone
        hidden = hidden or in_dim
        self.head = nn.Sequential(
            nn.Linear(in_dim, hidden),
            nn.GELU(),
            nn.Linear(hidden, n_bits, bias=False),
            BatchNorm(n_bits),
        )

    def project(self, x: Tensor) -> Tensor:
        """Normalised scores, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x)
        return scores

    def prepare(self, data: TrainingSet) -> None:
        """Check that there are two views to contrast, where that is asked for."""
        row = torch.zeros(1, dtype=torch.int64, device=next(self.state()).device)
        n_views = len(data.views(row, data.draw(1, self.n_views, data.generator(0))))
        if n_views < self.n_views:
            raise ValueError(
                f"SDC.fit: contrastive=True learns from 2 views of each image, and got {n_views}; "
                "--set sdc.augmentation=cibhash and sdc.bank_size=10"
            )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Calibration and quantisation, and contrast where there are two views."""
        self.require_views(batch)
        v = self.head(batch.views.flatten(0, 1))  # (V B, K), normalised together
        views = v.view(*batch.views.shape[:2], -1)  # (V, B, K)
        found = torch.cat([pair_cosines(x) for x in views])
        order = torch.cat([pair_cosines(x) for x in batch.views]).detach().argsort()
        q = beta_quantiles(len(order), self.beta, v.device)
        gaps = found[order] - (q.relu() if self.contrastive else q)
        terms = {
            "calibration": gaps.abs().sum() / max(1, len(gaps)),
            "quantisation": (1 - F.cosine_similarity(v, v.detach().sign())).mean(),
        }
        if self.contrastive:
            terms["contrastive"] = nt_xent(views[0], views[1], self.tau)
        return terms


@lru_cache(maxsize=64)
def beta_quantiles(m: int, beta: float, device: torch.device) -> Tensor:
    """Quantiles of 2 Beta(beta, beta) - 1 at (2r-1)/(2m), r = 1..m, float32 (m,).

    As the negative cosine of an angle between 0 and pi, whose density is the sine to the power of
    2 beta - 1.

    Examples
    --------
    >>> beta_quantiles(2, 1.0, torch.device("cpu"))
    tensor([-0.5000,  0.5000])
    """
    angle = torch.linspace(0, torch.pi, _STEPS + 1, dtype=torch.float64)
    mass = torch.cumulative_trapezoid(angle.sin().clamp(min=0) ** (2 * beta - 1), angle)
    mass = F.pad(mass / mass[-1], (1, 0))
    p = (torch.arange(m, dtype=torch.float64) + 0.5) / m
    upper = torch.searchsorted(mass, p)
    below = mass[upper - 1]
    part = (p - below) / (mass[upper] - below)
    found = -torch.cos(angle[upper - 1] + part * angle[1])
    return found.float().to(device)
