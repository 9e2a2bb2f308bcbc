"""Run a stored cell again and compare."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command, wait_asleep
from datasets.arguments import add_data_arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if anything came out otherwise."""
    parser = Parser("benchmarks.repro", __doc__)
    add = parser.add_argument
    add("record", type=Path, metavar="RECORD.json")
    add("--dataset", metavar="NAME/PROTOCOL", help="default: the record's; your own: KIND:PATH")
    add("--method", metavar="FILE.py:CLASS", help="where the record is of a method from outside")
    add("--backbone", metavar="timm:MODEL=FILE", help="where its weights are a file")
    add("--texts", type=Path, metavar="FILE", help="where it learnt from texts")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--deterministic", action="store_true", help="torch's strict mode")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    wait_asleep()
    from benchmarks.runner.repeat_record import USER_ERRORS, repeat  # they load torch

    try:
        settings, changes = repeat(options)
    except USER_ERRORS as error:
        return fail(error)
    lines = [*settings, *(changes or ["every number and code is the same"])]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return SOME_FAILED if changes else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
