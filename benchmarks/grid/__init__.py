"""What runs: flags, methods with their settings, and the cells of a grid with keys and digests.

>>> key = RunKey("digits", "300-1497", "pixels", "lsh", 16, 0)
>>> print(key)
digits/300-1497 lsh 16 bits seed 0
"""

from benchmarks.grid.cells import Cell, expand
from results.store.run_key import RunKey

__all__ = ["Cell", "RunKey", "expand"]
