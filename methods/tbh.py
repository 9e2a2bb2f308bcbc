"""TBH: twin bottlenecks, of which the binary one says who shares the continuous one.

Y. Shen, J. Qin, J. Chen, M. Yu, L. Liu, F. Zhu, F. Shen, L. Shao, "Auto-encoding twin-bottleneck
hashing", CVPR 2020, arXiv 2002.11930.

An auto-encoder of the features x of n images, with codes b in {0, 1}^K, continuous bottlenecks c
and one graph convolution whose graph is that of the codes:

    u = ReLU(W_1 x),   p = sigma(W_2 u),   b = 1[p > 1/2],   c = sigma(W_3 u)
    A_ij = ( 1 - Hamming(b_i, b_j) / K )^1.4,   D = diag(row sums of A)
    z = sigma( D^-1/2 A D^-1/2 (c W_4 + bias) ),   y = ReLU( W_6 ReLU(W_5 z) )
    L = 1/2 sum (y - x)^2,   over images and features
        - BCE(C_1(r_1), 1) - BCE(C_1(b), 0) - BCE(C_2(r_2), 1) - BCE(C_2(z), 0)

r_1 are random bits, r_2 numbers drawn evenly from (0, 1). The critics C, a layer each, minimise the
four entropies and the rest maximises them. So they are added here, and b and z meet the critics
with their gradient reversed: every parameter has the gradient that the two losses of the paper
give it, in one step. b passes its gradient to p. A test image needs no graph.

The Hamming distance is |b_i . (b_j - 1) + (b_i - 1) . b_j|, as in the authors' code, whose gradient
is 0 between equal codes and for an image with itself; without the absolute value gradients of the
encoder differ by a tenth.

As the error is a sum, it is a thousand times the entropies on wide features, which then hardly act
on the encoder. This is the authors' weighting and is kept.

Weights begin as Keras draws them, as in the authors' code. PyTorch's own are half as large here,
and z, a mean over the batch, would hardly differ between images.

Departures:
- Features are centred on their training mean, and then y has no last ReLU, which would allow none
  below the mean. Without centring, it is as above.
- The authors' evaluation compares with the last code that each training image had in training. Here
  all codes are those of the trained network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import Batch, CentredMethod, Recipe
from methods.functional import glorot, reversed_gradient, straight_through
from methods.space import RATES, Range, search_space

_POWER = 1.4
_TINY = 1e-8
_CLIP = 1e-7
"""How near to 0 and 1 a probability may come in a cross-entropy."""


class TBH(CentredMethod):
    """Reconstruct features from what images of near codes have in common.

    Parameters
    ----------
    hidden, width : int
        Width of the hidden layers, and of the continuous bottleneck.
    centre : bool
        Whether the mean of the training set is taken off the features.
    """

    head: nn.Sequential
    title = "TBH"
    paper = "Shen et al., CVPR 2020, https://arxiv.org/abs/2002.11930"
    stacks = True
    recipe = Recipe(
        epochs=60,
        batch_size=64,
        lr=3e-4,
        bank_size=1,
        source="our own, for a head on frozen features, not tuned",
    )
    published = Recipe(
        epochs=800,
        batch_size=400,
        lr=1e-4,
        bank_size=1,
        params={"centre": False},
        source="official code, github.com/ymcidence/TBH: 100,000 steps on CIFAR-10; "
        "it learns from stored features, and the backbone's learning rate is our own",
    )
    space = search_space(
        lr=RATES,
        width=Range(128, 1024, "our own: around the official code's 512"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        hidden: int = 1024,
        width: int = 512,
        centre: bool = True,
    ) -> None:
        super().__init__(in_dim, n_bits, centre=centre)
        self.require_at_least(1, hidden=hidden, width=width)
        self.width = width
        self.head = nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_bits))
        self.continuous = nn.Linear(hidden, width)
        self.graph = nn.Linear(width, width)
        self.decoder = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, in_dim),
            nn.Identity() if centre else nn.ReLU(),
        )
        self.binary_critic = nn.Linear(n_bits, 1)
        self.continuous_critic = nn.Linear(width, 1)
        glorot(self)

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw from (0, 1) what becomes random bits, and random bottlenecks, (n, K + width)."""
        size = n, self.n_bits + self.width
        return torch.rand(size, generator=generator, device=generator.device)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Reconstruction, and what the critics err."""
        self.require_views(batch)
        assert batch.noise is not None
        random_bits = (batch.noise[:, : self.n_bits] > 0.5).to(batch.noise)
        x = batch.views[0] - self.mu
        trunk, relu, binary = self.head.children()
        u = relu(trunk(x))
        h = binary(u)
        b = straight_through((h > 0).to(h), h.sigmoid())  # (B, K)
        z = (normalised_graph(b) @ self.graph(self.continuous(u).sigmoid())).sigmoid()  # (B, width)
        return {
            "reconstruction": (self.decoder(z) - x).square().sum() / 2,
            "binary": _error(self.binary_critic, random_bits, b),
            "continuous": _error(self.continuous_critic, batch.noise[:, self.n_bits :], z),
        }


def normalised_graph(b: Tensor) -> Tensor:
    """Give D^-1/2 A D^-1/2 of codes in {0, 1}, (B, K) -> (B, B).

    Examples
    --------
    >>> normalised_graph(torch.tensor([[0.0], [1.0], [1.0]]))
    tensor([[1.0000, 0.0000, 0.0000],
            [0.0000, 0.5000, 0.5000],
            [0.0000, 0.5000, 0.5000]])
    """
    distance = (b @ (b - 1).T + (b - 1) @ b.T).abs()
    A = (1 - distance / b.shape[1]).clamp(min=0).pow(_POWER)
    root = (A.sum(1) + _TINY).rsqrt()
    return root[:, None] * A * root


def _error(critic: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """Mean cross-entropy of a critic that is to tell drawn rows from made ones, over each half."""
    p, q = (critic(x).sigmoid().clamp(_CLIP, 1 - _CLIP) for x in (real, reversed_gradient(made)))
    return F.binary_cross_entropy(p, torch.ones_like(p)) + F.binary_cross_entropy(
        q, torch.zeros_like(q)
    )
