"""Choose the settings of methods with equally many trials each, on training images alone.

Besides its own flags it takes those of ``benchmarks.run`` that say what is tuned and where it runs.
The trials of an earlier call count.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.command import INTERRUPTED, OK, SOME_FAILED, Parser, fail, run_command, wait_asleep
from benchmarks.grid.flags import read_grids
from datasets.errors import need

_NOT_HERE = (
    *("--preset", "--seeds", "--epochs", "--recipe", "--finetune", "--set", "--views", "--force"),
    *("--list", "--dry-run", "--no-report", "--keep-models", "--asym"),
)
"""Flags of ``benchmarks.run`` that would say nothing here, or what tuning has to say itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if trials failed.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name; those of the process where left out.
    """
    parser = Parser("benchmarks.tune", __doc__)
    parser.add_argument("--trials", type=int, default=24, metavar="N", help="of each method")
    parser.add_argument("--bits", type=int, default=32, metavar="K", help="length of the codes")
    call, rest = parser.parse_known_args(arguments)
    for flag in _NOT_HERE:
        if any(given == flag or given.startswith(f"{flag}=") for given in rest):
            parser.error(f"{flag} is of benchmarks.run alone; leave it out")
    wait_asleep()
    # The rest loads torch, which takes seconds: help and mistyped flags do not wait for it.
    from benchmarks.grid.errors import GridError, check_range
    from benchmarks.runner.run_grids import USER_ERRORS

    try:
        check_range("--trials", call.trials, 1, 10_000)
        (options,) = read_grids([*rest, "--bits", str(call.bits), "--seeds", "1"])
        need(GridError, "benchmarks.tune", "optuna")
        from benchmarks.tuning.run_tuning import tune

        return SOME_FAILED if tune(options, call.trials) else OK
    except USER_ERRORS as error:
        return fail(error)
    except ExceptionGroup as several:
        return fail(*several.exceptions, several.message)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where this one stopped\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(run_command(main))
