"""Render every table and figure again from the stored records: ``python -m benchmarks.report``.

It needs nothing but the records, also while a grid is running: what is missing is said.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, Parser, fail
from methods import METHODS
from results.benchopt_export import write_benchopt
from results.columns import COLUMNS
from results.report import load_board, render_board
from results.store import ResultStore, StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser(prog="python -m benchmarks.report", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("results"), metavar="DIR")
    add("--columns", nargs="+", choices=COLUMNS, default=[], help="what the tables show besides")
    add("--benchopt", type=Path, metavar="FILE.parquet", help="also for the viewer of benchopt")
    options = parser.parse_args(arguments)
    try:
        store = ResultStore(options.out)
        board = load_board(store, list(METHODS))
        written = render_board(board, store.root / "report", options.columns)
        if options.benchopt:
            write_benchopt(board, options.benchopt)
            written.append(options.benchopt)
    except StoreError as error:
        return fail(error)
    sys.stdout.writelines(f"{path}\n" for path in written)
    sys.stdout.writelines(f"{note}\n" for note in board.notes)
    return OK


if __name__ == "__main__":
    sys.exit(main())
