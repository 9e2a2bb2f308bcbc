"""The progress display of a run: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from benchmarks.grid.cells import Cell
from benchmarks.runner.run_settings import Outcome
from results.store.leases import read_lease
from results.store.run_key import RunKey
from results.store.store import ResultStore

_PLAIN_EVERY = 10.0
"""Seconds between two plain lines on the same cell."""
_LOOK_EVERY = 2.0
"""Seconds between two looks at what cells of other processes are doing."""


def bars(console: Console) -> Progress:
    """Make the bars: counts and times keep their room, and a description is cut to what is left."""
    described = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=described),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
        expand=True,
    )


class Display:
    """Progress of a grid, on standard error: an overall bar, and a line for each running cell.

    Parameters
    ----------
    n_cells : int
        Cells to run.
    """

    def __init__(self, n_cells: int) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._bars = bars(self._console)
        self._n_cells = n_cells
        self._done = 0
        self._grid = self._bars.add_task("grid", total=n_cells)
        self._running: dict[RunKey, TaskID] = {}
        self._told: dict[RunKey, float] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def doing(self, key: RunKey, text: str) -> None:
        """Say what a running cell is doing."""
        with self._lock:
            line = f"{key}: {text}"
            now = time.monotonic()
            if key not in self._told:
                self._told[key] = now
                self._running[key] = self._bars.add_task(line, total=None)
            self._bars.update(self._running[key], description=line)
            if not self._live and now - self._told[key] >= _PLAIN_EVERY:
                self._told[key] = now
                self._line(line)

    def cell_done(self, outcome: Outcome) -> None:
        """Count a cell, with what came of it."""
        with self._lock:
            self._done += 1
            self._told.pop(outcome.key, None)
            if (task := self._running.pop(outcome.key, None)) is not None:
                self._bars.remove_task(task)
            self._bars.update(self._grid, completed=self._done)
            said = (
                "failed" if outcome.state == "failed" else outcome.note
            )  # the run's end tells why
            self._line(f"[{self._done}/{self._n_cells}] {outcome.key}: {said}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Watcher:
    """Shows what cells of other processes are doing, as their leases tell.

    Parameters
    ----------
    display : Display
    store : ResultStore
    cells : sequence of Cell
    """

    def __init__(self, display: Display, store: ResultStore, cells: Sequence[Cell]) -> None:
        self._display = display
        self._leases = {cell.key: store.lease_path(cell.address) for cell in cells}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            for key, path in self._leases.items():
                holder = read_lease(path) if path.is_file() else None
                if holder is not None and holder.doing:
                    self._display.doing(key, holder.doing)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
