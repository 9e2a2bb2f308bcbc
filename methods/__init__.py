"""Unsupervised hashing methods, one paper a file.

The order of `METHODS` is the order of every table and of the colours in every figure.

>>> import torch
>>> lsh = METHODS["lsh"](in_dim=4, n_bits=8)
>>> lsh.encode(torch.ones(2, 4)).shape
torch.Size([2, 8])
"""

from methods.base import Batch, HashMethod, Recipe
from methods.bihalf import BiHalf
from methods.cibhash import CIBHash
from methods.cimon import CIMON
from methods.crovca import CroVCA
from methods.greedyhash import GreedyHash
from methods.itq import ITQ
from methods.kl_hash import KLHash, KLHashCaptions, KLHashHierarchy
from methods.lsh import LSH
from methods.nsh import NSH
from methods.sdc import SDC
from methods.ssdh import SSDH
from methods.wch import WCH

METHODS: dict[str, type[HashMethod]] = {
    "lsh": LSH,
    "itq": ITQ,
    "ssdh": SSDH,
    "greedyhash": GreedyHash,
    "bihalf": BiHalf,
    "cibhash": CIBHash,
    "cimon": CIMON,
    "nsh": NSH,
    "wch": WCH,
    "sdc": SDC,
    "kl_hash": KLHash,
    "kl_hash_captions": KLHashCaptions,
    "kl_hash_hierarchy": KLHashHierarchy,
    "crovca": CroVCA,
}

__all__ = ["METHODS", "Batch", "HashMethod", "Recipe"]
