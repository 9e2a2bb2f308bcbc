"""Unsupervised hashing methods, one paper a file.

The order of `METHODS` is the order of every table and of the colours in every figure.
"""

from methods.base import Batch, HashMethod, Recipe
from methods.cibhash import CIBHash
from methods.itq import ITQ
from methods.kl_hash import KLHash
from methods.lsh import LSH
from methods.nsh import NSH
from methods.wch import WCH

METHODS: dict[str, type[HashMethod]] = {
    "lsh": LSH,
    "itq": ITQ,
    "cibhash": CIBHash,
    "nsh": NSH,
    "wch": WCH,
    "kl_hash": KLHash,
}

__all__ = ["METHODS", "Batch", "HashMethod", "Recipe"]
