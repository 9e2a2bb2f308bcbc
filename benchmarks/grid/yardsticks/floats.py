"""The yardstick `float`: the features themselves, without codes."""

from __future__ import annotations

from torch import Tensor

from benchmarks.grid.yardsticks.base import VectorYardstick


class FloatRanking(VectorYardstick):
    """The features themselves, ranked by cosine: what no code of them is likely to beat."""

    title = "float features"
    paper = "in every table"
    rule = "cosine"
    size = "no codes"
    has_lengths = False

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, in_dim)

    @classmethod
    def item_bytes(cls, in_dim: int, n_bits: int) -> int:
        """Four for each number."""
        return 4 * in_dim

    def project(self, x: Tensor) -> Tensor:
        """Return the features."""
        return x

    def items(self, x: Tensor) -> Tensor:
        """Return the features."""
        return x
