"""What runs: flags, methods with their settings, and the cells of a grid with keys and digests.

What is imported from here is loaded when it is asked for: flags are read without torch.

>>> from benchmarks.grid import RunKey
>>> key = RunKey("digits", "300-1497", "pixels", "lsh", 16, 0)
>>> print(key)
digits/300-1497 lsh 16 bits seed 0
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.grid.cells import Cell, RunKey, expand

__all__ = ["Cell", "RunKey", "expand"]


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("benchmarks.grid.cells"), name)
