"""The command line: read the call, and hand it on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.command import INTERRUPTED, OK, SOME_FAILED, fail, run_command, wait_asleep
from benchmarks.grid.flags import make_parser, read_grids
from benchmarks.grid.kept_listing import kept_listing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name; those of the process where left out.
    """
    call = make_parser().parse_args(arguments)
    wait_asleep()
    if call.list:
        sys.stdout.write("\n".join(kept_listing(call.list, call.cache)) + "\n")
        return OK
    # The rest loads torch, which takes seconds: help and mistyped flags do not wait for it.
    from benchmarks.runner.run_grids import USER_ERRORS, run_grids

    try:
        grids = read_grids(arguments, call.preset)
        failed = run_grids(grids)
        unpublished = OK if grids[0].publish is None else _publish(grids[0])
        return unpublished or (SOME_FAILED if failed else OK)
    except USER_ERRORS as error:
        return fail(error)
    except ExceptionGroup as several:
        return fail(*several.exceptions, several.message)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where this one stopped\n")
        return INTERRUPTED


def _publish(options: argparse.Namespace) -> int:
    """Publish what was run; returns the exit code."""
    from benchmarks.publish.bundle import BundleError  # with them come pandas, scipy and pyarrow
    from benchmarks.publish.reference import publish_run

    try:
        publish_run(options)
    except BundleError as error:
        return fail(error)
    return OK


if __name__ == "__main__":
    code = run_command(main)
    if "torch" in sys.modules:  # else nothing was run
        from benchmarks.training.distributed.torchrun import leave

        leave(code)
    sys.exit(code)
