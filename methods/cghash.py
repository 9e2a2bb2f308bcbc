"""CGHash: clusters of codes that a coin helps to draw, told how many classes there are.

Z. Song, Q. Su, J. Chen, "Unsupervised hashing with contrastive learning by exploiting similarity
knowledge and hidden structure of data", ACM Multimedia 2023.

One of the most similar images is drawn as the neighbour of each; a prime marks what is its:

    z = sign( sigma(head(x)) - u ),  u uniform;   p = softmax(W z + b) over the classes
    L_con = - mean_i log p_i . p'_i                                     a neighbour is of my class
    L_ent = sum_c pbar_c log pbar_c,   pbar = mean_i p_i                all classes occur
    L_shp = - mean_i sum_c p_ic log p_ic                                an image has one class
    L_ctr = - mean_i log pos_i / (pos_i + neg_i),   s(a, b) = a . b / (K tau)
        pos_i = rho e^s(z_i, z'_i) + (1 - rho) e^s(z'_i, g_i)
        neg_i = rho sum_{j != i} e^s(z_i, z_j) + (1 - rho) e^s(z_i, g_i)
        g_i   = mean of z_j over the others in the batch with the same argmax as i; 0 without any
    L     = L_con + alpha L_ent + beta L_shp + eta L_ctr

z passes its gradient to sigma - u. The classifier exists only during training.

Information: the number of classes; tables say so and rank it apart.

Departures:
- Trap: the official code sets thresholds at the median of each bit over the queries, and over the
  database, so that a code depends on the other queries. Ours are medians over the training images.
- Its second stage, which trains the classifier on images that it is sure of, is left out.
- Features are centred on their training mean. With --finetune, neighbours are those of the
  untrained backbone, and the medians those of the trained one.
- The second part of neg parts an image from the mean of its class; so it is in the official code.
- It reports the best epoch on the test set. We keep the last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.functional import straight_through
from methods.pairs import most_similar, unit_rows
from methods.space import RATES, Range, search_space

_TINY = 1e-8


class CGHash(CentredMethod):
    """Codes from which a classifier without labels tells as many classes as there are.

    Parameters
    ----------
    alpha, beta, eta : float
        Weights of L_ent, L_shp and L_ctr.
    tau, rho : float
        Temperature of the contrast, and share of the images in it beside their classes, in [0, 1].
    neighbours : int
        Most similar images, of which one is drawn.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    seed: Tensor
    medians: Tensor  # of scores, (K,)
    near: Tensor  # while it trains: the most similar images, int64 (N, k)
    title = "CGHash"
    paper = "Song et al., ACM MM 2023, https://github.com/KARLSZP/CGHash"
    n_views = 2
    supervision = "n_classes"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=256,
        lr=1e-3,
        weight_decay=1e-4,
        augmentation="cibhash",
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=200,
        batch_size=1024,
        lr=1e-3,
        weight_decay=1e-4,
        backbone_lr=1e-3,
        augmentation="cibhash",
        params={"centre": False},
        source="official code, github.com/KARLSZP/CGHash, first stage on CIFAR-10, from a "
        "checkpoint of SimCLR; the augmentation is CIBHash's, not theirs",
    )
    space = search_space(
        lr=RATES,
        alpha=Range(1.0, 20.0, "our own: around the official code's 5"),
        beta=Range(0.1, 10.0, "our own: a decade around the official code's 1"),
        eta=Range(0.01, 1.0, "our own: a decade around the official code's 0.1"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        alpha: float = 5.0,
        beta: float = 1.0,
        eta: float = 0.1,
        tau: float = 1.0,
        rho: float = 0.5,
        neighbours: int = 20,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_at_least(0, alpha=alpha, beta=beta, eta=eta, rho=rho)
        self.require_above(0, tau=tau)
        self.require_at_least(1, neighbours=neighbours)
        if rho > 1:
            raise ValueError(f"CGHash: rho must be at most 1, got {rho}")
        self.alpha, self.beta, self.eta = alpha, beta, eta
        self.tau, self.rho, self.neighbours = tau, rho, neighbours
        self.head = nn.Sequential(nn.Linear(in_dim, 512), nn.ReLU(), nn.Linear(512, n_bits))
        self.register_buffer("seed", torch.randint(2**31, ()))  # of the classifier
        self.register_buffer("medians", torch.zeros(n_bits))

    def project(self, x: Tensor) -> Tensor:
        """Scores beyond their medians, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x - self.mu) - self.medians
        return scores

    @torch.no_grad()
    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, find the most similar images, and begin a classifier."""
        super().prepare(data)
        self._data = data
        k = min(self.neighbours, max(1, len(data) - 1))
        near = most_similar(unit_rows(data.features, self.mu), k)[1]
        self.register_buffer("near", near, persistent=False)
        self.classifier = nn.Linear(self.n_bits, int(data.target_value())).to(self.mu)
        g = torch.Generator().manual_seed(int(self.seed))
        for weights in self.classifier.parameters():  # as torch begins a linear layer
            drawn = torch.rand(weights.shape, generator=g) * 2 - 1
            weights.copy_(drawn / self.n_bits**0.5)

    @torch.no_grad()
    def finish(self) -> None:
        """Take the medians, and drop the classifier and the neighbours."""
        self.medians.copy_(self.project(self._data.features).median(0).values)
        del self._data, self.near, self.classifier

    def viewed(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a neighbour of each image for the second view, (2, B)."""
        near = self.near[index]
        drawn = torch.randint(
            near.shape[1], (len(index), 1), generator=generator, device=near.device
        )
        return torch.stack([index, near.gather(1, drawn)[:, 0]])

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the thresholds u of both views, in [0, 1), (n, 2, K)."""
        return torch.rand(n, 2, self.n_bits, generator=generator, device=generator.device)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Consistency of neighbours, spread and sharpness of classes, and contrast of codes."""
        self.require_views(batch)
        assert batch.noise is not None, "drawn by noise()"
        above = self.project(batch.views).sigmoid() - batch.noise.transpose(0, 1)  # (2, B, K)
        z = straight_through(torch.where(above > 0, 1.0, -1.0), above)
        logits = self.classifier(z)  # (2, B, C)
        p, log_p = logits.softmax(2), logits[0].log_softmax(1)
        mean = p[0].mean(0)
        return {
            "consistency": -(p[0] * p[1]).sum(1).clamp(min=_TINY).log().mean(),
            "entropy": self.alpha * (mean * mean.clamp(min=_TINY).log()).sum(),
            "sharpness": -self.beta * (p[0] * log_p).sum(1).mean(),
            "contrastive": self.eta * self._contrast(z[0], z[1], logits[0].argmax(1)),
        }

    def _contrast(self, z: Tensor, others: Tensor, classes: Tensor) -> Tensor:
        """Give L_ctr of codes and those of their neighbours, (B, K), and their classes (B,)."""
        itself = torch.eye(len(z), device=z.device)
        mates = (classes[:, None] == classes).to(z) - itself
        g = mates @ z / mates.sum(1, keepdim=True).clamp(min=1)
        scale = z.shape[1] * self.tau
        apart = ((z @ z.T / scale).exp() * (1 - itself)).sum(1)
        beside, own, prototype = (
            ((a * b).sum(1) / scale).exp() for a, b in ((z, others), (others, g), (z, g))
        )
        pos = self.rho * beside + (1 - self.rho) * own
        neg = self.rho * apart + (1 - self.rho) * prototype
        loss: Tensor = -(pos / (pos + neg)).log().mean()
        return loss
