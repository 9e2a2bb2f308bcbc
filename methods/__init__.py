"""Unsupervised hashing methods, one paper a file.

The order of `METHODS` is the order of every table and of the colours in every figure.
"""

from methods.base import Batch, HashMethod, Recipe
from methods.cibhash import CIBHash
from methods.itq import ITQ
from methods.lsh import LSH

METHODS: dict[str, type[HashMethod]] = {
    "lsh": LSH,
    "itq": ITQ,
    "cibhash": CIBHash,
}

__all__ = ["METHODS", "Batch", "HashMethod", "Recipe"]
