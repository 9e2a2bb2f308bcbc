"""Records of finished runs, and everything drawn from them: tables, figures and a page.

The way is one way: `store` keeps and reads records, `analysis` arranges them into a board and tests
what differs, `tables`, `gallery`, `figures` and `page` turn the board into text and pictures, and
`report` writes those. Nothing here trains or scores, so a report needs neither torch nor the data.

>>> from pathlib import Path
>>> from results.report import load_board
>>> from results.store import ResultStore
>>> load_board(ResultStore(Path("nowhere")))
Traceback (most recent call last):
...
results.store.store.StoreError: no records under nowhere/runs; run a grid first, \
or name the folder that holds them with --out
"""

__all__ = ["analysis", "figures", "gallery", "page", "report", "store", "tables"]
