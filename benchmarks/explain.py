"""List what two records differ in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, Parser, fail, run_command
from benchmarks.runner.compare_records import differences, read_record
from results.store.store import StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.explain", __doc__)
    parser.add_argument("records", nargs=2, type=Path, metavar="RECORD.json")
    options = parser.parse_args(arguments)
    try:
        one, other = (read_record(path) for path in options.records)
    except StoreError as error:
        return fail(error)
    lines = [f"{name}: {a} | {b}" for name, a, b in differences(one, other)]
    sys.stdout.write("\n".join(lines or ["no setting differs"]) + "\n")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
