"""Exit codes and one-line errors, shared by all commands of this package."""

from __future__ import annotations

import sys
from pathlib import Path

from datasets.arguments import BAD_ARGUMENTS as BAD_ARGUMENTS
from datasets.arguments import Parser as Parser

OK, SOME_FAILED, INTERRUPTED = 0, 1, 130


def fail(error: Exception | str) -> int:
    """Print an error meant for the user; returns the exit code."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    return BAD_ARGUMENTS


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
