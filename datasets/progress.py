"""One line of progress on standard error: what is done, how fast, and how long the rest takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


Progress = Callable[[str, int, int], None]
"""Told what is computed, how many rows are done, and how many there are."""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody: the progress of a pass that nobody watches."""


class ProgressLine:
    """Tell how far a pass over many rows is: over and over on one line of a terminal.

    Parameters
    ----------
    stream : text stream, optional
        Standard error where left out.

    Examples
    --------
    >>> line = ProgressLine(sys.stdout)
    >>> line("images checked", 0, 20)
    >>> line("images checked", 20, 20)
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._what = ""
        self._start = (0.0, 0)
        self._told = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Report rows done, see `datasets.progress.Progress`."""
        now = time.monotonic()
        if what != self._what or done < self._start[1]:
            self._what, self._start, self._told = what, (now, done), now
        live = self._stream.isatty()
        over = live and done == total
        if not over and now - self._told < (0.2 if live else EVERY):
            return
        self._told = now
        rows, seconds = done - self._start[1], now - self._start[0]
        text = f"{what}: {done:,}/{total:,}"
        if rows and seconds:
            left = round((total - done) * seconds / rows)
            text += f", {rows / seconds:.0f} images/s, {left // 60}:{left % 60:02} left"
        self._stream.write(f"\r\033[K{text}" + "\n" * over if live else f"{text}\n")
        self._stream.flush()
