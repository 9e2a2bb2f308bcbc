"""What the runner shows while it works: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
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

from benchmarks.grid import RunKey

_PLAIN_EVERY = 10.0
"""Seconds between two plain lines on the same extraction or training."""


class Display:
    """Progress of a grid, on standard error.

    Parameters
    ----------
    n_cells : int
        Cells to run.
    """

    def __init__(self, n_cells: int) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )
        self._n_cells = n_cells
        self._done = 0
        self._grid = self._bars.add_task("grid", total=n_cells, note="cells")
        self._work: tuple[str, TaskID] | None = None
        self._told = 0.0
        self._started: tuple[float, int] = (0.0, 0)

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

    def extraction(self, what: str, done: int, total: int) -> None:
        """Report rows of an extraction; the rate counts this process's rows alone."""
        now = time.monotonic()
        if self._work is None or self._work[0] != what:
            self._started = (now, done)
        rows, seconds = done - self._started[1], now - self._started[0]
        rate = f"{rows / seconds:.0f} images/s" if rows and seconds else ""
        self._update(what, done, total, rate)

    def epoch(self, key: RunKey, epoch: int, epochs: int, losses: dict[str, float]) -> None:
        """Report an epoch of a training."""
        terms = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        self._update(f"{key.method} {key.bits} bits seed {key.seed}", epoch, epochs, terms)

    def cell_done(self, key: RunKey, note: str) -> None:
        """Count a cell, with what came of it."""
        self._done += 1
        if self._work is not None:
            self._bars.remove_task(self._work[1])
            self._work = None
        self._bars.update(self._grid, completed=self._done)
        self._line(f"[{self._done}/{self._n_cells}] {key}: {note}")

    def _update(self, what: str, done: int, total: int, note: str) -> None:
        if self._work is None or self._work[0] != what:
            if self._work is not None:
                self._bars.remove_task(self._work[1])
            self._work = (what, self._bars.add_task(what, total=total, note=note))
            self._told = time.monotonic()
        self._bars.update(self._work[1], completed=done, total=total, note=note)
        if not self._live and time.monotonic() - self._told >= _PLAIN_EVERY:
            self._told = time.monotonic()
            self._line(f"{what}: {done}/{total} {note}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
