"""Check a method against the contract.

One line a check: ok, or what failed and the way out. It takes whatever ``--methods`` takes, runs
the code it is given, and needs no data: inputs are small stand-ins.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command

if TYPE_CHECKING:
    from methods.base import HashMethod


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, 1 where a check failed, or 2 where a method cannot be had."""
    parser = Parser("methods.check", __doc__)
    parser.add_argument("methods", nargs="+", metavar="METHOD", help="FILE.py:CLASS, say")
    options = parser.parse_args(arguments)

    from benchmarks.grid.find_method import OutsideError, find_method  # loads torch

    try:
        found = {text: find_method(text) for text in options.methods}
    except OutsideError as error:
        return fail(error)
    failed = 0
    for text, (name, cls) in found.items():
        sys.stdout.write(f"{text}, called {name} in tables\n")
        failed += _check(cls)
    return SOME_FAILED if failed else OK


def _check(cls: type[HashMethod]) -> int:
    """Print a line for each check; returns how many failed."""
    import torch

    from benchmarks.contract import ON_CUDA, checks_of, fault_of, title

    checks = checks_of(cls) + (ON_CUDA if torch.cuda.is_available() else ())
    failed = 0
    for check in checks:
        fault = fault_of(check, cls)
        failed += fault is not None
        line = f"ok      {title(check)}" if fault is None else f"FAILED  {title(check)}: {fault}"
        sys.stdout.write(f"{line}\n")
    of = f"{len(checks)} checks"
    sys.stdout.write(f"{failed} of {of} failed\n" if failed else f"{of} passed\n")
    return failed


if __name__ == "__main__":
    sys.exit(run_command(main))
