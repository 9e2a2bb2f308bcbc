"""The best and the worst queries of a run with what they found first, and the pictures of both.

Codes come from the arrays beside a record. Labels and thumbnails do not: whoever has the data set
at hand asks `rows_needed` which rows a report will show, and keeps those with `write_samples`.

>>> from pathlib import Path
>>> from results.analysis import build
>>> from results.store import ResultStore
>>> store = ResultStore(Path("nowhere"))
>>> rows_needed(View(build(store.scan()), store))
[]
"""

from results.gallery.row_samples import Samples, write_samples
from results.gallery.shown_queries import NeededRows, exhibits, rows_needed
from results.gallery.view import View

__all__ = ["NeededRows", "Samples", "View", "exhibits", "rows_needed", "write_samples"]
