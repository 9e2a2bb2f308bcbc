"""Compute every metric of every stored run again, from its codes.

Nothing is trained. A metric that came later than a run fills itself in this way.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command
from datasets.arguments import add_data_arguments, default_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if some records were left as they are."""
    parser = Parser("benchmarks.rescore", __doc__)
    add = parser.add_argument
    add("--out", type=Path, default=default_out(), metavar="DIR", help="default: %(default)s")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--no-report", action="store_true", help="write the records only")
    add("--datasets", nargs="+", default=[], metavar="KIND:PATH", help="records of your own data")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    from benchmarks.runner.rescore_records import USER_ERRORS, rescore_all  # they load torch

    try:
        left = rescore_all(options)
    except USER_ERRORS as error:
        return fail(error)
    return SOME_FAILED if left else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
