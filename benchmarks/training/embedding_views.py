"""Views of features where there are no images: the augmentation `embedding`.

    x' = mu + m * (x + s e - mu),      m_j = 0 with probability P, else 1;    e_j ~ N(0, 1)

mu is the training mean. s is SIGMA times the root mean square of x - mu over rows and coordinates,
so that noise has the scale of the data. A coordinate that drops out becomes that of the mean, which
tells nothing. P is that of T. Gao, X. Yao and D. Chen, "SimCSE: simple contrastive learning of
sentence embeddings", EMNLP 2021, who drop units inside of the encoder; SIGMA is our own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.training.targets import Target
from benchmarks.training.training_sets import ViewBank

EMBEDDING = "embedding"
"""Name of the augmentation."""
P = 0.1
SIGMA = 0.1

_LEAST = 2.0**-25
"""Half of the smallest step of `torch.rand`: keeps normal numbers finite."""


class EmbeddingViews(ViewBank):
    """A training set whose views are its features under noise: `TrainingSet` over features.

    Parameters
    ----------
    features : Tensor, float16 or float32, shape (N, ...)
        Inputs of the training rows.
    device : torch.device, optional
        Where the views are made; that of the features where left out.
    target : Target, optional
        Where the method learns from more than its inputs.
    """

    def __init__(
        self, features: Tensor, device: torch.device | None = None, target: Target | None = None
    ) -> None:
        super().__init__(features, None, device, target)
        self._mu = self.mean()
        parts = self.features.split(8192)
        squares = sum(float((part - self._mu).double().square().sum()) for part in parts)
        self._s = SIGMA * math.sqrt(squares / self.features.numel())

    def draw(self, n: int, n_views: int, generator: torch.Generator) -> Tensor:
        """Draw a uniform number for each coordinate of V views, float32 (n, V, ...)."""
        shape = (n, n_views, *self.shape)
        return torch.rand(shape, generator=generator, device=generator.device)

    def views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Make the views that were drawn, see `TrainingSet.views`.

        Of a number u, u < P drops the coordinate; else (u - P) / (1 - P) is uniform again, and
        gives the noise by the inverse of the normal distribution.
        """
        axis = index.ndim - 1
        u = drawn.transpose(axis, axis + 1)  # (..., V, B, ...)
        v = ((u - P) / (1 - P)).clamp(_LEAST, 1 - _LEAST)
        noise = math.sqrt(2) * self._s * (2 * v - 1).erfinv()
        x = self.features[index].unsqueeze(axis)
        return torch.where(u < P, self._mu, x + noise)
