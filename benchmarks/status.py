"""Say how far the grid of a results folder is."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.command import OK, Parser, fail, run_command
from datasets.arguments import default_out
from datasets.errors import call_of
from results.store.planned_grid import STATES, Standing, standings
from results.store.store import ResultStore, StoreError
from results.store.wording import counted

_MOST = 20
"""Lines of one kind that are shown."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.status", __doc__)
    parser.add_argument(
        "--out", type=Path, default=default_out(), metavar="DIR", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        store = ResultStore(options.out)
        scan = store.scan()
        sys.stderr.writelines(f"{line}\n" for line in scan.outdated)
        found = standings(store, scan)
    except StoreError as error:
        return fail(error)
    if not found:
        return fail(
            f"{options.out}: no grid was planned there; start one with {call_of('benchmarks.run')}"
        )
    sys.stdout.write("\n".join(_lines(found)) + "\n")
    return OK


def _lines(found: Sequence[Standing]) -> Iterator[str]:
    counts: Counter[str] = Counter(standing.state for standing in found)
    states = ", ".join(f"{counts[state]} {state}" for state in STATES)
    yield f"{counted(len(found), 'cell')}: {states}"
    for state in STATES[1:]:
        these = [standing for standing in found if standing.state == state]
        for standing in these[:_MOST]:
            yield f"{state:<8} {standing.cell}{_note(standing)}"
        if len(these) > _MOST:
            yield f"{state:<8} and {len(these) - _MOST} more"


def _note(standing: Standing) -> str:
    holder = standing.holder
    if holder is None:
        return f": {standing.note}" if standing.note else ""
    minutes = max(0.0, time.time() - holder.since) / 60  # its clock may be ahead of this one
    doing = f" {standing.note}" if standing.note else ""
    return f":{doing} ({holder.host} pid {holder.pid}, {minutes:.0f} min)"


if __name__ == "__main__":
    sys.exit(run_command(main))
