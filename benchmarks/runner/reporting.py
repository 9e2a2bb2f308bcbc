"""Read a results folder for its report, and say how far and where it is written."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from benchmarks.features.backbones import learnt_from
from benchmarks.grid.yardsticks import YARDSTICKS
from methods import METHODS
from methods.papers import bibtex
from results.analysis.board import About, Board
from results.report import load_board
from results.store.run_key import Table
from results.store.store import ResultStore


def read_board(store: ResultStore, tables: Collection[Table] | None = None) -> Board:
    """Read a results folder, with the methods in their order and the papers behind its rows.

    Parameters
    ----------
    store : ResultStore
    tables : collection of Table, optional
        Those to take; all where left out.
    """
    known = {**METHODS, **YARDSTICKS}
    about = {
        name: About(known[name].title, known[name].paper, entry)
        for name, entry in bibtex().items()
        if name in known
    }
    return load_board(store, list(METHODS), about, tables, learnt_from)


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
