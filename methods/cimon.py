"""CIMON: comprehensive similarity mining and consistency learning.

X. Luo, D. Wu, Z. Ma, C. Chen, M. Deng, J. Ma, Z. Jin, J. Huang, X.-S. Hua, "CIMON: towards
high-quality hash codes", IJCAI 2021, arXiv 2010.07804.

Pseudo-labels, once, of each of two augmented views a of every training image; d_ij are the cosine
distances of its features, m their mode, s_l and s_r their spreads below and above it:

    S_ij  = +1 where d_ij <= t, else -1
    W'_ij = ( Phi((t-m)/s_l) - Phi((d_ij-m)/s_l) ) / Phi((t-m)/s_l)            where d_ij <= t
            ( Phi((d_ij-m)/s_r) - Phi((t-m)/s_r) ) / ( 1 - Phi((t-m)/s_r) )    where d_ij > t
    W_ij  = W'_ij where i and j share a spectral cluster just if S_ij = +1, else 0

Training, with two new views of the batch, u_1 and u_2 their tanh outputs:

    E(u, a) = 1/n^2 sum_ij W^a_ij ( u_i . u_j / K - S^a_ij )^2
    L       = E(u_1, 1) + E(u_1, 2) + E(u_2, 1) + E(u_2, 2) + eta NT-Xent(u_1, u_2; tau)

Departures:
- t is 0.1 in the official code, which is a distance of VGG-16's features: on those of another
  network it may be below all pairs. Here it is the quantile that makes a `share` of the pairs
  similar; `t` sets it instead.
- Labels of pairs are made from the features of a batch when they are needed, and a spectral
  cluster is kept for each image, so that nothing is of size N x N. The clusters come from
  `spectral_clusters`, which keeps an image's affinity to itself and, above 1000 images, uses
  landmarks; the official code hands a full matrix to scikit-learn.
- Distances up to 2 have bins, where the official code's end at 1: centred features are so far.
- Features are centred on their training mean, which spreads distances and affinities of those of a
  network with ReLUs. With --finetune, mean and labels are those of the untrained backbone, the
  labels as in the official code.
- The official code draws both views, for labels as in training, by its strong recipe, though the
  paper has one weak view: it is followed here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.functional import nt_xent
from methods.pairs import pair_distances, unit_rows, views_of_all
from methods.space import RATES, Range, search_space
from methods.spectral import spectral_clusters

_TINY = 1e-12


class CIMON(CentredMethod):
    """Match pseudo-labels of pairs by how sure they are, in codes that two views share.

    Parameters
    ----------
    share : float
        Share of the pairs of training images that are called similar, in (0, 1).
    t : float
        Cosine distance up to which a pair is called similar; 0 takes it from `share`.
    n_clusters : int
        Spectral clusters; at most as many as images.
    eta, tau : float
        Weight and temperature of the contrastive term.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    seed: Tensor
    unit: Tensor  # while it trains: features of the label views at unit length, (2, N, D)
    clusters: Tensor  # int64 (2, N)
    scale: Tensor  # t, m, s_l, s_r of both views, (2, 4)
    title = "CIMON"
    paper = "Luo et al., IJCAI 2021, https://arxiv.org/abs/2010.07804"
    n_views = 2
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        augmentation="cibhash",
        source="our own, for a head on frozen features, not tuned; augmentation of CIBHash, whose "
        "views keep more of the image",
    )
    published = Recipe(
        epochs=150,
        batch_size=24,
        optimizer="sgd",
        lr=1e-3,
        weight_decay=1e-5,
        backbone_lr=1e-3,
        augmentation="wch",
        params={"t": 0.1, "centre": False},
        source="official code, github.com/luoxiao12/CIMON, for CIFAR-10; the augmentation is "
        "WCH's, which has its probabilities and strengths",
    )
    space = search_space(
        lr=RATES,
        share=Range(0.01, 0.2, "our own: around our 0.05"),
        n_clusters=Range(10, 200, "our own: around the official code's 70"),
        eta=Range(0.03, 3.0, "our own: a decade around the official code's 0.3"),
        tau=Range(0.1, 1.0, "our own: around the official code's 0.5"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        share: float = 0.05,
        t: float = 0.0,
        n_clusters: int = 70,
        eta: float = 0.3,
        tau: float = 0.5,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, share=share, tau=tau)
        self.require_at_least(0, t=t, eta=eta)
        self.require_at_least(1, n_clusters=n_clusters)
        if share >= 1:
            raise ValueError(f"CIMON: share must be below 1, got {share}")
        self.share, self.t, self.n_clusters, self.eta, self.tau = share, t, n_clusters, eta, tau
        self.head = nn.Linear(in_dim, n_bits)
        self.register_buffer("seed", torch.randint(2**31, ()))  # of the label views and clusters

    @torch.no_grad()
    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, draw the label views, and find what their pairs are judged by."""
        super().prepare(data)
        seed = int(self.seed)
        unit, clusters, scale = [], [], []
        for x in views_of_all(data, self.n_views, seed, self.mu.device):
            of_pairs = pair_distances(x - self.mu, False, 0.0)
            t = self.t or of_pairs.quantile(self.share)
            unit.append(unit_rows(x, self.mu))
            clusters.append(spectral_clusters(unit[-1], self.n_clusters, seed))
            scale.append([t, of_pairs.mode, of_pairs.left, of_pairs.right])
        self.register_buffer("unit", torch.stack(unit), persistent=False)
        self.register_buffer("clusters", torch.stack(clusters), persistent=False)
        self.register_buffer("scale", torch.tensor(scale).to(self.mu), persistent=False)

    def finish(self) -> None:
        """Drop the labels."""
        del self.unit, self.clusters, self.scale

    def labels(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Give S and W of rows of the training set, one matrix a label view, (2, B, B) each."""
        x, cluster = self.unit[:, rows], self.clusters[:, rows]  # (2, B, D), (2, B)
        d = (1 - x @ x.mT).clamp(min=0)
        t, m, left, right = self.scale.mT[..., None, None]  # (2, 1, 1) each
        is_near = d <= t
        same = cluster[:, :, None] == cluster[:, None]
        W = torch.where(is_near, _tail(d, t, m, left), _tail(-d, -t, -m, right))
        return torch.where(is_near, 1.0, -1.0), W.clamp(0, 1) * (same == is_near)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Semantic consistency of both views with both labels, and contrast of the views."""
        self.require_views(batch)
        S, W = self.labels(batch.index)
        u = torch.tanh(self.project(batch.views))  # (2, B, K)
        H = u @ u.mT / u.shape[-1]  # (2, B, B)
        errors = W * (H[:, None] - S).square()  # (2, 2, B, B): codes of a view, labels of a view
        return {
            "semantic": errors.mean((2, 3)).sum(),
            "contrastive": self.eta * nt_xent(u[0], u[1], self.tau),
        }


def _tail(d: Tensor, t: Tensor, m: Tensor, spread: Tensor) -> Tensor:
    """Share of the Gaussian's mass up to t that lies between d and t, for d <= t."""
    whole, part = ((x - m) / spread.clamp(min=_TINY) for x in (t, d))
    whole, part = torch.special.ndtr(whole), torch.special.ndtr(part)
    between: Tensor = (whole - part) / whole.clamp(min=_TINY)
    return between
