"""Rows that tables show beside the methods: what codes are worth at least, and at most.

They run as methods do and are never ranked. `random` and `float` are in every table; the others
are asked for, by name or as the group ``yardsticks``.
"""

from benchmarks.grid.yardsticks.base import Yardstick
from benchmarks.grid.yardsticks.floats import FloatRanking
from benchmarks.grid.yardsticks.product_quantisation import OPQ, PQ
from benchmarks.grid.yardsticks.rabitq import RaBitQ
from benchmarks.grid.yardsticks.random_codes import RandomCodes
from benchmarks.grid.yardsticks.scalar_quantisation import Int8
from benchmarks.grid.yardsticks.spherical import SphericalDistance

YARDSTICKS: dict[str, type[Yardstick]] = {
    "pq": PQ,
    "opq": OPQ,
    "rabitq": RaBitQ,
    "int8": Int8,
    "sph_shd": SphericalDistance,
    "random": RandomCodes,
    "float": FloatRanking,
}
IN_EVERY_TABLE = ("random", "float")
