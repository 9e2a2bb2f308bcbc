"""The command line: plan the grid, skip what is stored, run the rest, render the report.

``python -m benchmarks.run --methods all``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.command import INTERRUPTED, OK, SOME_FAILED, fail, read_board, report_written, say
from benchmarks.grid.flags import make_parser, read_grids
from benchmarks.grid.listing import listing
from benchmarks.grid.method_settings import GridError
from benchmarks.grid.planning import Plan, make_plan
from benchmarks.machine.environment import DeviceError, environment, place
from benchmarks.runner.executors import local, run_all, started
from benchmarks.runner.follower import follow
from benchmarks.runner.progress import Display, Watcher
from benchmarks.runner.run_settings import Outcome, RunSettings
from benchmarks.samples import keep_samples, known
from benchmarks.training.distributed.rank_group import RankGroup
from benchmarks.training.distributed.torchrun import joined, leave
from datasets.errors import DatasetError
from results.report import render_board
from results.store.leftovers import tidy
from results.store.planned_grid import write_plan
from results.store.store import ResultStore, StoreError
from results.tables.leaderboard import leaderboard_plain

_USER_ERRORS = (DatasetError, GridError, DeviceError, StoreError)
"""Errors whose message is one line meant for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name; those of the process where left out.
    """
    call = make_parser().parse_args(arguments)
    if call.list:
        print("\n".join(listing(call.list)))
        return OK
    try:
        return _run(read_grids(arguments, call.preset))
    except _USER_ERRORS as error:
        return fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where this one stopped\n")
        return INTERRUPTED


def _run(grids: Sequence[argparse.Namespace]) -> int:
    """Plan the grids, run what is missing, and report."""
    options = grids[0]
    here = environment(options.device)
    store = ResultStore(options.out)
    store.check_writable()
    plan = make_plan(grids, store)
    leads = place().rank == 0
    if leads:
        scan = store.scan()
        sys.stderr.writelines(f"{line}\n" for line in scan.outdated)
        print("\n".join(plan.lines(scan.records)))
    if options.dry_run:
        return OK
    _make_cache(options.cache)
    settings = RunSettings.of(options, here, plan.todo)
    with joined(options.device) as group:
        if not leads:
            follow(settings, plan.cells, group)
            return OK
        write_plan(store, plan.addresses())
        failed = _run_cells(plan, store, options, settings, group)
    tidy(store)
    for outcome in failed:
        sys.stderr.write(f"failed: {outcome.key}: {outcome.note}\n")
    _report(plan, store, options)
    return SOME_FAILED if failed else OK


def _run_cells(
    plan: Plan,
    store: ResultStore,
    options: argparse.Namespace,
    settings: RunSettings,
    group: RankGroup,
) -> list[Outcome]:
    """Run cells where the flags say, and show how far they are; returns what failed."""

    def done(outcome: Outcome) -> None:
        display.cell_done(outcome)
        group.stop_if_out_of_step()

    todo = plan.todo
    if group.size > 1:  # a cell that fails on one of them may end them all
        failed_before = {failure.digest for failure in store.failures()}
        todo = sorted(todo, key=lambda cell: cell.digest in failed_before)
    with (
        started(options.executor, options.jobs or 1, options.scheduler) as executor,
        Display(len(todo)) as display,
        Watcher(display, store, todo) if executor is not local else nullcontext(),
    ):
        return run_all(executor, settings, todo, display.doing, done)


def _report(plan: Plan, store: ResultStore, options: argparse.Namespace) -> None:
    """Print the leaderboard, and render the report unless that is not wanted."""
    board = read_board(store)
    print(leaderboard_plain(board))
    if not options.no_report:
        tasks = dict.fromkeys(cell.task for cell in plan.cells)
        keep_samples(store, board, known([task.data for task in tasks]))
        render_board(board, store, say=say)
        print(report_written(store.root))


def _make_cache(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GridError(
            f"cache folder {folder}: {error.strerror}; choose another with --cache"
        ) from error


if __name__ == "__main__":
    leave(main())
