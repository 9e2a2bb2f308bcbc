"""Every figure of a report by name, drawn from a view of its board.

>>> from pathlib import Path
>>> from results.analysis import build
>>> from results.gallery import View
>>> from results.store import ResultStore
>>> view = View(build(ResultStore(Path("nowhere")).scan()))
>>> list(FIGURES)[0], list(draw(view, "map_against_bits"))
('map_against_bits', [])
"""

from results.figures.by_name import FIGURES, Drawn, draw
from results.figures.style import save

__all__ = ["FIGURES", "Drawn", "draw", "save"]
