"""The health of a set of codes, without labels: how well they use their bits and buckets.

A method can score well with half of its bits dead or copied; these numbers show it. Everything but
the buckets follows from how often bit i is set, a_i, and how often bits i and j are, n_ij.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.evaluation.packing import PackedBits

DEAD = 0.01
"""Share of codes that may differ from all others in a bit that counts as dead."""
_ROWS = 2**16  # codes multiplied at a time; their counts are exact in float32


@dataclass(frozen=True, eq=False)
class CodeHealth:
    """What `code_health` finds.

    Attributes
    ----------
    activation : ndarray, float64, shape (K,)
        Share of codes in which the bit is set.
    entropy : ndarray, float64, shape (K,)
        Of the bit, in bits: 1 where it is set in half of the codes, 0 where it is constant.
    correlation : float
        Mean over pairs of different bits of the absolute Pearson correlation, in [0, 1]. A constant
        bit has none; it tells as little as a copy of another bit, and counts 1 with each. With one
        bit there are no pairs: 0 if it varies, 1 if it is constant.
    n_distinct : int
        Different codes, that is, buckets of a hash table in use.
    largest_bucket : int
        Items in the fullest of these.
    """

    activation: NDArray[np.float64]
    entropy: NDArray[np.float64]
    correlation: float
    n_distinct: int
    largest_bucket: int

    @property
    def n_dead(self) -> int:
        """Count the bits that have one value in 99 % of the codes or more: they say nothing."""
        rounding = 1e-12
        return int((np.abs(self.activation - 0.5) >= 0.5 - DEAD - rounding).sum())

    def metrics(self) -> dict[str, float]:
        """Return the scalars of a record; the dot in their names sets them apart from scores.

        ``bits.activation`` and ``bits.entropy`` are means over bits.
        """
        return {
            "bits.activation": float(self.activation.mean()),
            "bits.entropy": float(self.entropy.mean()),
            "bits.correlation": self.correlation,
            "codes.dead_bits": float(self.n_dead),
            "codes.distinct": float(self.n_distinct),
            "codes.largest_bucket": float(self.largest_bucket),
        }

    def curve(self) -> dict[str, list[float]]:
        """Return the values of each bit, for a record's ``curves["bits"]``."""
        return {
            "bit": [float(k) for k in range(len(self.activation))],
            "activation": self.activation.tolist(),
            "entropy": self.entropy.tolist(),
        }


def code_health(codes: PackedBits | Tensor | NDArray[np.bool_]) -> CodeHealth:
    """Measure how well codes use their bits and buckets; exact, in O(M K^2) time.

    Parameters
    ----------
    codes : PackedBits, or Tensor or ndarray of bool, shape (M, K)
        On any device; measured on the CPU, in about M (K / 8 + 24) bytes and O(K^2) beside them.

    Returns
    -------
    CodeHealth

    Raises
    ------
    ValueError
        If `codes` is neither packed nor bool, or has no row or no column.

    Examples
    --------
    >>> health = code_health(np.array([[1, 1], [0, 0], [1, 1], [0, 0]], dtype=bool))
    >>> health.activation, health.correlation, health.n_distinct, health.largest_bucket
    (array([0.5, 0.5]), 1.0, 2, 2)
    """
    kind = np.bool_ if isinstance(codes, PackedBits) else codes.dtype
    if kind not in (torch.bool, np.bool_) or len(codes.shape) != 2 or 0 in codes.shape:
        raise ValueError(
            "code_health: expected a bool matrix with at least one code and one bit, got"
            f" {kind} of shape {tuple(codes.shape)}; threshold scores first."
        )
    packed = PackedBits.of(codes)
    together = _set_together(packed)
    activation = np.diagonal(together) / len(packed)
    n_distinct, largest = _buckets(packed)
    return CodeHealth(
        activation=activation,
        entropy=_entropy(activation),
        correlation=_mean_correlation(together, len(packed)),
        n_distinct=n_distinct,
        largest_bucket=largest,
    )


def _set_together(codes: PackedBits) -> NDArray[np.int64]:
    """Count the codes in which both bits of a pair are set, (K, K)."""
    together = np.zeros((codes.width, codes.width), np.int64)
    for start in range(0, len(codes), _ROWS):
        piece = codes[start : start + _ROWS].unpack().astype(np.float32)
        together += (piece.T @ piece).astype(np.int64)
    return together


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.stack([p, 1 - p])
    logs = np.log2(sides, out=np.zeros_like(sides), where=sides > 0)
    entropy: NDArray[np.float64] = -(sides * logs).sum(0) + 0.0  # + 0.0: no negative zero
    return entropy


def _mean_correlation(together: NDArray[np.int64], n: int) -> float:
    """Mean |n n_ij - a_i a_j| / sqrt(a_i (n - a_i) a_j (n - a_j)) over i != j."""
    a = np.diagonal(together)
    spread = np.sqrt((a * (n - a)).astype(np.float64))
    if len(a) == 1:
        return float(spread[0] == 0)
    covariance = np.abs(n * together - np.outer(a, a)).astype(np.float64)
    below = np.outer(spread, spread)
    correlation = np.divide(covariance, below, out=np.ones_like(below), where=below > 0)
    pairs = ~np.eye(len(a), dtype=bool)
    return float(np.minimum(correlation[pairs], 1.0).mean())


def _buckets(codes: PackedBits) -> tuple[int, int]:
    """Return how many different codes there are, and how often the commonest occurs."""
    words = codes.words(np.uint16)
    order = np.lexsort(words.T)
    is_new = np.zeros(len(words), bool)  # differs from the code before it
    is_new[0] = True
    for word in words.T:
        in_order = word[order]
        is_new[1:] |= in_order[1:] != in_order[:-1]
    sizes = np.diff(np.flatnonzero(is_new), append=len(words))
    return len(sizes), int(sizes.max())
