"""From records to a board: what a report shows, as plain data, and which differences hold.

`build` sets aside what newer records made obsolete and arranges the rest into sections, one a
table, with a mean over seeds in each entry. `compare` then tests which entries differ.

>>> from pathlib import Path
>>> from results.store import ResultStore
>>> board = build(ResultStore(Path("nowhere")).scan())
>>> len(board.sections), ", ".join(board.leaderboard.columns[6:])
(0, 'mean, std, n, ci_low, ci_high, interval, rank, kind')
"""

from results.analysis.arrange import build
from results.analysis.board import Board, Entry, Row, Section
from results.analysis.comparisons import compare
from results.analysis.frames import runs_frame
from results.analysis.per_query import query_aps
from results.analysis.statistics import Difference, difference

__all__ = [
    "Board",
    "Difference",
    "Entry",
    "Row",
    "Section",
    "build",
    "compare",
    "difference",
    "query_aps",
    "runs_frame",
]
