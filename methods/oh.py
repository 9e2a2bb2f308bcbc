"""OH: an image is hashed by how it looks beside all others.

J. Yu and others, "Hashing one with all", ACM Multimedia 2023.

An encoder e gives a code b, and a latent vector c of unit length; T is the temperature:

    t = ReLU(W x),   b = 1[ sigma(B t) > 1/2 ],   c = unit(C t)
    w(b, c; Q) = unit( unit( softmax_j( sim(b, Qb_j) / T ) Qc ) + c/2 )      overview of an image
    q = w(e(x_1); Q),   k = w(e_m(x_2); Q)      e_m a momentum copy of e, through which no gradient
    L = CE( [q . k, q Qp^T] / T, the first ) + CE( q q_2^T / T, the diagonal ),
    q_2 = w(e(x_2); Q'), without a gradient

sim is the share of equal bits. Q = (Qb, Qc, Qp) are queues of codes, latent vectors and overviews
of the momentum copy, the newest first; Q' are those after the batch's own have come in. b passes
its gradient to sigma.

The order of a step is that of the official code: the copy moves, q, k and the first term are of
the old queues, the queues take in the batch, and the second term is of the new ones, in which an
image meets its own latent vector. Queues begin as normal noise, that of codes too, of which sim is
the same bilinear form. They and the copy exist only during training. Weights
begin as Keras draws them.

Departures:
- Features are centred on their training mean.
- Queues hold 1024 images, or an eighth of a smaller training set, and layers are a quarter as wide
  as the official code's, which has 4096, 2048 and 1024: a training set of thousands would fit into
  its queues, where an image would meet its own older overview among those of others, and a step
  would cost ten times as much.
- The momentum copy is one of the head. With --finetune both views pass one backbone, where the
  official code keeps a copy of its ResNet-50 too.
- The official code gives raw pixels to its network and jitters colours in one order for the whole
  run; views are the augmentation's here.
- It reports the best epoch on the test set, and drops queries without a hit. We keep the last.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, CentredMethod, Recipe, TrainingSet
from methods.functional import follow, glorot, push, straight_through
from methods.space import RATES, Choice, Range, search_space

_FEWEST = 64
"""Images that a queue holds however small the training set is."""


class OH(CentredMethod):
    """Contrast overviews, in which a code decides what an image takes from all others.

    Parameters
    ----------
    temperature : float
        T, of the choice among other images and of both contrasts.
    momentum : float
        Of the copy of the head, in [0, 1].
    queue : int
        Images in the queues, at most.
    hidden, width : int
        Width of the hidden layer, and of latent vectors.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    seed: Tensor
    key: nn.ModuleList  # while it trains: momentum copies of head and latent
    codes: Tensor  # and the queues, (M, K), (M, width), (M, width)
    latents: Tensor
    overviews: Tensor
    head: nn.Sequential
    title = "OH"
    paper = "Yu et al., ACM MM 2023, https://doi.org/10.1145/3581783.3611977"
    n_views = 2
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=1e-3,
        augmentation="cibhash",
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=1,
        batch_size=50,
        lr=1e-5,
        backbone_lr=1e-5,
        augmentation="cibhash",
        params={"centre": False, "queue": 4096, "hidden": 2048, "width": 1024},
        source="official code, github.com/RosieYuu/OH: 1000 steps, which pass 50,000 images once; "
        "the augmentation is CIBHash's, not theirs",
    )
    space = search_space(
        lr=RATES,
        temperature=Range(0.05, 1.0, "our own: around the official code's 0.2"),
        momentum=Choice((0.9, 0.99, 0.999), "our own: up to the official code's 0.999"),
        queue=Choice((512, 1024, 4096), "our own: up to the official code's 4096"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        temperature: float = 0.2,
        momentum: float = 0.999,
        queue: int = 1024,
        hidden: int = 512,
        width: int = 256,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_above(0, temperature=temperature)
        self.require_at_least(0, momentum=momentum)
        self.require_at_least(1, queue=queue, hidden=hidden, width=width)
        if momentum > 1:
            raise ValueError(f"OH: momentum must be at most 1, got {momentum}")
        self.temperature, self.momentum, self.queue = temperature, momentum, queue
        self.head = nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_bits))
        self.latent = nn.Linear(hidden, width)
        glorot(self)
        self.register_buffer("seed", torch.randint(2**31, ()))  # of what queues begin with

    def prepare(self, data: TrainingSet) -> None:
        """Take the mean, copy the head, and fill the queues with noise."""
        super().prepare(data)
        self.key = nn.ModuleList([deepcopy(self.head), deepcopy(self.latent)])
        self.key.requires_grad_(False)
        g = torch.Generator().manual_seed(int(self.seed))
        width = self.latent.out_features
        length = min(self.queue, max(_FEWEST, len(data) // 8))
        for name, size in ("codes", self.n_bits), ("latents", width), ("overviews", width):
            noise = torch.randn(length, size, generator=g).to(self.mu)
            self.register_buffer(name, noise, persistent=False)

    def finish(self) -> None:
        """Drop the copy and the queues."""
        del self.key, self.codes, self.latents, self.overviews

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast with the queue, and within the batch."""
        self.require_views(batch)
        follow(self.key, nn.ModuleList([self.head, self.latent]), self.momentum)
        x_1, x_2 = batch.views - self.mu
        signs, latents = 2 * self.codes.T - 1, self.latents.clone()  # both queues change below
        q = self._overview(*_encode(self.head, self.latent, x_1), signs, latents)
        with torch.no_grad():
            b, c = _encode(self.key[0], self.key[1], x_2)
            k = self._overview(b, c, signs, latents)
        one = (q * k).sum(1, keepdim=True)
        logits = torch.cat([one, q @ self.overviews.T.clone()], 1) / self.temperature  # (B, 1 + M)
        for queue, rows in (self.codes, b), (self.latents, c), (self.overviews, k):
            push(queue, rows)
        with torch.no_grad():
            signs = 2 * self.codes.T - 1
            q_2 = self._overview(*_encode(self.head, self.latent, x_2), signs, self.latents)
        itself = torch.arange(len(q), device=q.device)
        return {
            "queue": F.cross_entropy(logits, torch.zeros_like(itself)),
            "batch": F.cross_entropy(q @ q_2.T / self.temperature, itself),
        }

    def _overview(self, b: Tensor, c: Tensor, signs: Tensor, latents: Tensor) -> Tensor:
        """Give w(b, c; Q), (B, width), of a queue's codes in {-1, +1}, (K, M), and its latents."""
        equal = ((2 * b - 1) @ signs / self.n_bits + 1) / 2  # (B, M)
        others = F.normalize((equal / self.temperature).softmax(1) @ latents, dim=1)
        return F.normalize(others + c / 2, dim=1)


def _encode(head: nn.Module, latent: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Give codes in {0, 1}, (B, K), and latent vectors of unit length, (B, width)."""
    trunk, relu, binary = head.children()
    t = relu(trunk(x))
    h = binary(t)
    return straight_through((h > 0).to(h), h.sigmoid()), F.normalize(latent(t), dim=1)
