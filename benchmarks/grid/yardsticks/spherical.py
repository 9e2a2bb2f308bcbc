"""SpH-SHD: the codes of spherical hashing, ranked by the distance that its paper made for them.

J.-P. Heo, Y. Lee, J. He, S.-F. Chang, S.-E. Yoon, "Spherical hashing: binary code embedding with
hyperspheres", PAMI 2015 (CVPR 2012 for the short form).

    d(b, b') = |b xor b'| / |b and b'|        the spherical Hamming distance

Spheres that hold both points bound their distance, so they count beside those that hold one. With
J = |b and b'| / |b or b'|, Jaccard's index, d = 1 / J - 1: the smallest d is the largest J. Items
that share no sphere with a query, for which the paper divides by 0, come last and tie, also where
neither is in any.

Draws are those of the row's own seed: at one seed, other spheres than those of the row `sph`.
"""

from __future__ import annotations

from torch import Tensor

from benchmarks.grid.yardsticks.base import VectorYardstick
from methods.sph import SpH


class SphericalDistance(SpH, VectorYardstick):
    """Spherical hashing by the spherical Hamming distance."""

    title = "SpH-SHD"
    paper = "Heo et al., PAMI 2015, https://doi.org/10.1109/TPAMI.2015.2408363"
    rule = "jaccard"
    size = "K bits"

    @classmethod
    def item_bytes(cls, in_dim: int, n_bits: int) -> int:
        """Those of the code."""
        return -(-n_bits // 8)

    def project(self, x: Tensor) -> Tensor:
        """Give the code of each point as 0 and 1, float32, (N, D) -> (N, K)."""
        return (super().project(x) > 0).to(self.radii.dtype)

    def items(self, x: Tensor) -> Tensor:
        """Give the same: an item is kept as its code."""
        return self.project(x)
