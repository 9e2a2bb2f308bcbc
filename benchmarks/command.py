"""Exit codes and one-line errors, shared by all commands of this package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.arguments import BAD_ARGUMENTS as BAD_ARGUMENTS
from datasets.arguments import Parser as Parser

if TYPE_CHECKING:
    from results.analysis.board import Board
    from results.store.store import ResultStore

OK, SOME_FAILED, INTERRUPTED = 0, 1, 130


def fail(error: Exception | str) -> int:
    """Print an error meant for the user; returns the exit code."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    return BAD_ARGUMENTS


def read_board(store: ResultStore) -> Board:
    """Read a results folder, with the methods in their order and what the page says of them."""
    from methods import METHODS  # torch takes seconds to import
    from results.report import load_board

    about = {name: (method.__name__, method.paper) for name, method in METHODS.items()}
    return load_board(store, list(METHODS), about)


def say(text: str) -> None:
    """Show what is going on, on one line of standard error that the next text replaces."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<78.78}")
        sys.stderr.flush()


def report_written(folder: Path) -> str:
    """Clear the line of `say`; returns where a reader finds the report in a results folder."""
    say("")
    sys.stderr.write("\r" if sys.stderr.isatty() else "")
    return f"report: {folder / 'report/index.html'} and {folder / 'report/leaderboard.csv'}"
