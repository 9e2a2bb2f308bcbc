"""Unsupervised hashing methods, one paper a file.

The order of `METHODS` is the order of every table and of the colours in every figure.

>>> import torch
>>> lsh = METHODS["lsh"](in_dim=4, n_bits=8)
>>> lsh.encode(torch.ones(2, 4)).shape
torch.Size([2, 8])
"""

from methods.agh import AGH, AGH2
from methods.base import Batch, HashMethod, Recipe
from methods.cibhash import CIBHash
from methods.dgh import DGH
from methods.imh import IMH
from methods.itq import ITQ
from methods.kl_hash import KLHash, KLHashCaptions, KLHashHierarchy
from methods.kmh import KMH
from methods.lsh import LSH
from methods.nsh import NSH
from methods.sgh import SGH
from methods.sph import SpH
from methods.wch import WCH

METHODS: dict[str, type[HashMethod]] = {
    "lsh": LSH,
    "agh": AGH,
    "agh2": AGH2,
    "itq": ITQ,
    "sph": SpH,
    "imh": IMH,
    "kmh": KMH,
    "dgh": DGH,
    "sgh": SGH,
    "cibhash": CIBHash,
    "nsh": NSH,
    "wch": WCH,
    "kl_hash": KLHash,
    "kl_hash_captions": KLHashCaptions,
    "kl_hash_hierarchy": KLHashHierarchy,
}

__all__ = ["METHODS", "Batch", "HashMethod", "Recipe"]
