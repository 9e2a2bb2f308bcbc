"""Render every table and figure again from the stored records: ``python -m benchmarks.report``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, Parser, fail
from methods import METHODS
from results.report import render
from results.store import ResultStore, StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        written = render(ResultStore(options.out), list(METHODS))
    except StoreError as error:
        return fail(error)
    sys.stdout.writelines(f"{path}\n" for path in written)
    return OK


if __name__ == "__main__":
    sys.exit(main())
