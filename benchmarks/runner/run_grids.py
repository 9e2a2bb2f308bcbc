"""Plan grids, skip what is stored, run the rest, and report: what a call of the runner does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.grid.method_settings import GridError
from benchmarks.grid.planning import Plan, make_plan
from benchmarks.machine.environment import DeviceError, environment, place
from benchmarks.runner.end_report import end_report, leaderboard_of
from benchmarks.runner.executors import local, run_all, started
from benchmarks.runner.follower import follow
from benchmarks.runner.progress import Display, Watcher
from benchmarks.runner.prune_models import prune_models
from benchmarks.runner.run_settings import Outcome, RunSettings, with_threads
from benchmarks.training.distributed.rank_group import RankGroup
from benchmarks.training.distributed.torchrun import joined
from datasets.errors import DatasetError
from results.choices import FILES
from results.store.leftovers import tidy
from results.store.planned_grid import write_plan
from results.store.store import ResultStore, StoreError

USER_ERRORS = (DatasetError, GridError, DeviceError, StoreError)
"""Errors whose message is one line meant for the user."""


def run_grids(grids: Sequence[argparse.Namespace]) -> list[Outcome]:
    """Plan the grids, run what is missing, and report.

    Parameters
    ----------
    grids : sequence of argparse.Namespace
        Flags of each grid.

    Returns
    -------
    list of Outcome
        Cells that failed.

    Raises
    ------
    ExceptionGroup, and those of USER_ERRORS
        If anything that was named cannot be had.
    """
    options = grids[0]
    here = environment(options.device)
    store = ResultStore(options.out)
    store.check_writable()
    plan = make_plan(grids, store)
    leads = place().rank == 0
    if leads:
        scan = store.scan()
        sys.stderr.writelines(f"{line}\n" for line in scan.outdated)
        sys.stdout.writelines(f"{line}\n" for line in plan.lines(scan.records))
    if options.dry_run:
        return []
    make_cache(options.cache)
    settings = RunSettings.of(options, here, plan.todo)
    settings, threads = with_threads(settings, options, plan.todo, here.device)
    if leads and threads:
        sys.stdout.write(f"{threads}\n")
    sys.stdout.flush()  # a run takes hours, and its plan is read before
    with joined(options.device) as group:
        if not leads:
            follow(settings, plan.cells, group)
            return []
        write_plan(store, plan.addresses())
        failed = _run_cells(plan, store, options, settings, group)
    tidy(store)
    prune_models(store, options.keep_models)
    for outcome in failed:
        sys.stderr.write(f"failed: {outcome.key}: {outcome.note}\n")
    _report(plan, store, options)
    return failed


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
    """Render the report unless that is not wanted, and print the tables of the plan."""
    tables = {cell.key.table for cell in plan.cells}
    if options.no_report:
        sys.stdout.write(leaderboard_of(store, tables))
    else:
        tasks = dict.fromkeys(cell.task for cell in plan.cells)
        formats = FILES if options.publish is None else (*FILES, "svg")
        sys.stdout.write(end_report(store, [task.data for task in tasks], tables, formats))


def make_cache(folder: Path) -> None:
    """Make the folder of the features, or raise GridError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GridError(
            f"cache folder {folder}: {error.strerror}; choose another with --cache"
        ) from error
