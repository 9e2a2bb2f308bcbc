"""The report at the end of a run: rendered, or as it is where nothing has changed since the last.

A call that finds every cell stored would else import pandas, scipy and matplotlib to write the same
files again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from benchmarks.grid.code_stamps import Stamp, code_stamps, stamps, state
from datasets.base import RetrievalDataset
from results.choices import FILES
from results.store.planned_grid import FILE as PLAN
from results.store.run_key import Table
from results.store.store import ResultStore

_KEPT = Path("report/rendered.json")
"""What the last call said, and the state of what it showed and wrote."""


def end_report(
    store: ResultStore,
    data: Sequence[RetrievalDataset],
    tables: Collection[Table],
    formats: Sequence[str] = FILES,
) -> str:
    """Write the report where it is out of date; returns the leaderboard and where the report lies.

    Parameters
    ----------
    store : ResultStore
    data : sequence of RetrievalDataset
        That the call has loaded; the gallery shows images of them.
    tables : collection of Table
        Of the call: the leaderboard is theirs, the report that of the folder.
    formats : sequence of str
        Of the figures, see `results.choices.FORMATS`.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    path = store.root / _KEPT
    # Before the store is read: others may add to it.
    shown = [*_shown(store), (repr((sorted(tables), formats)), 0, 0)]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_bytes())
        if kept["state"] == state([*shown, *_written(store)]):
            return str(kept["text"])
    from benchmarks.runner.reporting import read_board, report_written, say
    from benchmarks.runner.samples import keep_samples, known
    from results.report import Options, render_board
    from results.tables.leaderboard import leaderboard_plain

    board = read_board(store)
    keep_samples(store, board, known(data))
    render_board(board, store, Options(formats=tuple(formats)), say)
    text = f"{leaderboard_plain(board, tables)}\n{report_written(store.root)}\n"
    with contextlib.suppress(OSError):
        path.write_text(json.dumps({"state": state([*shown, *_written(store)]), "text": text}))
    return text


def leaderboard_of(store: ResultStore, tables: Collection[Table]) -> str:
    """Return the leaderboard of some tables, without a report."""
    from benchmarks.runner.reporting import read_board
    from results.tables.leaderboard import leaderboard_plain

    return f"{leaderboard_plain(read_board(store, tables), tables)}\n"


def _shown(store: ResultStore) -> Iterator[Stamp]:
    """Stamp what a report shows and the code that shows it."""
    yield from code_stamps()
    with contextlib.suppress(OSError, ValueError):
        # It is written at every call, so its time says nothing.
        yield (store.root / PLAN).read_text(encoding="utf-8"), 0, 0
    yield from _files(store.runs)


def _written(store: ResultStore) -> Iterator[Stamp]:
    """Stamp what writing a report leaves."""
    for stamp in (*_files(store.root / "samples"), *_files(store.root / "report")):
        if not stamp[0].endswith(_KEPT.name):
            yield stamp


def _files(folder: Path) -> Iterator[Stamp]:
    return stamps(path for path in sorted(folder.rglob("*")) if path.is_file())
