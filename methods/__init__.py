"""Unsupervised hashing methods, one paper a file.

The order of `METHODS` is the order of every table and of the colours in every figure. What is
imported from here is loaded when it is asked for, for torch takes seconds.

>>> import torch
>>> from methods import METHODS
>>> lsh = METHODS["lsh"](in_dim=4, n_bits=8)
>>> lsh.encode(torch.ones(2, 4)).shape
torch.Size([2, 8])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from methods.base import Batch, HashMethod, Recipe
    from methods.table import METHODS

__all__ = ["METHODS", "Batch", "HashMethod", "Recipe"]


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "methods.table" if name == "METHODS" else "methods.base"
    return getattr(import_module(home), name)
