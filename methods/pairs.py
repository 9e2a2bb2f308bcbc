"""What losses over pairs of images share: pairs of a batch, and of a whole training set.

Nothing here is of size N x N: all pairs are met a block at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.base import TrainingSet
from methods.statistics import once

_PAIRS = 2**23
"""Pairs at a time: 32 MiB of float32, and twice that in float64."""
_IMAGES = 256
"""Images at a time whose views are made; they may have to pass a backbone."""
_FINE = 10
"""Parts of a bin, between which a quantile is found."""
_BIN = 0.01


@dataclass(frozen=True)
class PairDistances:
    """Distribution of the cosine distances of all N^2 ordered pairs, an image with itself too.

    Half a Gaussian that is fitted to one side of the mode and its mirror image has the mode as its
    mean and the root mean square deviation from it as its spread.

    Attributes
    ----------
    mode : float
        Lower edge of the fullest of 200 bins of width 0.01.
    left, right : float
        Root mean square deviation from the mode of the distances up to it, and above it; 0 where
        there are none.
    shares : Tensor, float64, shape (2002,)
        Share of the pairs of two images up to the lower edge of the first bin, to the upper edge of
        each of 2000 parts of the bins, and to the largest distance.
    """

    mode: float
    left: float
    right: float
    shares: Tensor

    def quantile(self, share: float) -> float:
        """Distance below which that share of the pairs of two images lies, to about 1e-4."""
        above = int(torch.searchsorted(self.shares, share).clamp(max=len(self.shares) - 1))
        if above == 0:
            return 0.0
        below, upto = self.shares[above - 1 : above + 1].tolist()
        part = (share - below) / (upto - below) if upto > below else 1.0
        return (above - 1 + min(max(part, 0.0), 1.0)) * _BIN / _FINE

    def share_up_to(self, distance: float) -> float:
        """Share of the pairs of two images that are no farther apart, to a part of a bin."""
        part = round(distance * _FINE / _BIN)
        return float(self.shares[min(max(part, 0), len(self.shares) - 1)]) if part >= 0 else 0.0


@once
@torch.no_grad()
def pair_distances(X: Tensor, centre: bool, first: float) -> PairDistances:
    """Find the mode and the two spreads of all cosine distances, in one pass over blocks of pairs.

    Parameters
    ----------
    X : Tensor, float32, shape (N, D)
    centre : bool
        Whether the mean is taken off X before.
    first : float
        Lower edge of the first bin. A distance of exactly 0, of an image with itself, is in no bin
        where it is 0, and in the first bin where it is below 0.

    Examples
    --------
    >>> found = pair_distances(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), False, 0.0)
    >>> round(found.mode, 2), round(found.quantile(0.5), 2)
    (0.29, 0.29)
    """
    U = unit_rows(X, X.mean(0) if centre else None)
    n, size = len(U), max(1, _PAIRS // len(U))
    sums = torch.zeros(3, 202 * _FINE, dtype=torch.float64, device=U.device)
    for start in range(0, n, size):
        rows = U[start : start + size]
        d = (1 - rows @ U[start:].T).clamp_(min=0)  # (R, N - start): the others are known by now
        d.diagonal().zero_()  # an image is at 0 from itself, whatever is rounded
        sums += 2 * _sums_by_bin(d, first)
        sums -= _sums_by_bin(d[:, : len(rows)], first)  # pairs within the block were met twice
    bins = 2 * 100 * _FINE
    sums = sums[:, : bins + 2]
    counts = sums[0]
    edge = int(counts[1 : bins + 1].view(-1, _FINE).sum(1).argmax())
    mode = first + _BIN * edge
    squares = sums[2] - 2 * mode * sums[1] + mode**2 * counts  # of deviations from the mode
    sides = slice(0, 1 + edge * _FINE), slice(1 + edge * _FINE, None)
    left, right = (
        float((squares[side].sum() / counts[side].sum().clamp(min=1)).clamp(min=0).sqrt())
        for side in sides
    )
    apart = (counts.cumsum(0) - n).clamp(min=0) / max(1, n * (n - 1))
    return PairDistances(mode, left, right, apart)


def _sums_by_bin(d: Tensor, first: float) -> Tensor:
    """Count distances and sum them and their squares, bin by bin, float64 (3, bins)."""
    place = ((d - first) * (_FINE / _BIN)).ceil_().clamp_(0, 200 * _FINE + 1).long().flatten()
    exact = d.double().flatten()
    powers = torch.ones_like(exact), exact, exact.square()
    return torch.stack([place.bincount(power, minlength=202 * _FINE) for power in powers])


def unit_rows(X: Tensor, mu: Tensor | None = None) -> Tensor:
    """Rows of X (N, D) at unit length, after `mu` (D,) is taken off, float32."""
    return F.normalize(X if mu is None else X - mu, dim=-1)


@torch.no_grad()
def most_similar(U: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k rows of U (N, D) that are most similar to each, itself left out.

    Parameters
    ----------
    U : Tensor, float32, shape (N, D)
        At unit length.
    k : int
        From 1 to N - 1; a single row is its own.

    Returns
    -------
    Tensor, float32, shape (N, k)
        Cosines, the largest first.
    Tensor, int64, shape (N, k)

    Examples
    --------
    >>> U = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> most_similar(U, 1)[1].flatten().tolist()
    [2, 2, 1]
    """
    found, size = [], max(1, _PAIRS // len(U))
    for start in range(0, len(U), size):
        C = U[start : start + size] @ U.T
        C[:, start:].fill_diagonal_(-torch.inf)
        found.append(C.topk(k, 1))
    return torch.cat([some.values for some in found]), torch.cat([some.indices for some in found])


@torch.no_grad()
def views_of_all(data: TrainingSet, n_views: int, seed: int, device: torch.device) -> Tensor:
    """Draw so many views of every training image, once and for all, float32 (V, N, ...).

    Parameters
    ----------
    data : TrainingSet
        Its backbone is in the state of now, where one is trained too.
    n_views : int
    seed : int
        Of the draws.
    device : torch.device
        That of the method.
    """
    generator = data.generator(seed)
    drawn = data.draw(len(data), n_views, generator)
    rows = torch.arange(len(data), device=device).split(_IMAGES)
    return torch.cat([data.views(some, drawn[some.to(drawn.device)]) for some in rows], 1)


def pair_cosines(x: Tensor) -> Tensor:
    """Cosines of row i and row i + B/2, for each row of the first half; an odd last row is left.

    Parameters
    ----------
    x : Tensor, float32, shape (B, D)
        In a random order, so that these are random pairs.

    Returns
    -------
    Tensor, float32, shape (B // 2,)

    Examples
    --------
    >>> pair_cosines(torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 0.0], [4.0, 0.0]]))
    tensor([1., 0.])
    """
    m = len(x) // 2
    return F.cosine_similarity(x[:m], x[m : 2 * m], dim=1)


def kept_similarity(b: Tensor, x: Tensor) -> Tensor:
    """Mean squared gap between the cosines of codes and of features, over pairs of images.

    Parameters
    ----------
    b : Tensor, float32, shape (B, K)
        Codes, or what stands for them.
    x : Tensor, float32, shape (B, D)
        Features of the same images.

    Returns
    -------
    Tensor, float32, scalar
        0 for a single image, which makes no pair.

    References
    ----------
    Su, Zhang, Han, Tian, "Greedy hash", NeurIPS 2018, section 3.4; Li and van Gemert, AAAI 2021,
    Eq. (9).
    """
    gaps = pair_cosines(b) - pair_cosines(x)
    return gaps.square().sum() / max(1, len(gaps))
