"""Tune methods on the data sets of a call, and write what was chosen."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from benchmarks.contract import fault_of
from benchmarks.contract.declarations import tuned_settings_stay_within_the_limits
from benchmarks.grid.cells import Cell
from benchmarks.grid.method_settings import GridError
from benchmarks.grid.planning import check_cells, expand_grids
from benchmarks.grid.tasks import Task
from benchmarks.machine.environment import environment
from benchmarks.runner.executors import Executor, local, run_all, started
from benchmarks.runner.progress import Display, Watcher
from benchmarks.runner.run_grids import make_cache
from benchmarks.runner.run_settings import RunSettings, with_threads
from benchmarks.tuning.report import write_outcome
from benchmarks.tuning.search import Search, Trial
from datasets import full_name
from datasets.protocols.protocol import TUNE
from datasets.sources import split_truth
from results.store.store import ResultStore, StoreError
from results.store.wording import counted

FOLDER = "tuning"
"""Of the trials, below the folder of results: they stand in no table of a report."""


def tune(options: argparse.Namespace, n_trials: int) -> int:
    """Tune the methods of a call on each of its data sets.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of one grid of ``benchmarks.run``, with one code length and one seed.
    n_trials : int
        Of each method.

    Returns
    -------
    int
        Trials that failed.

    Raises
    ------
    GridError, DatasetError, BackboneError, DeviceError, StoreError
        If anything that was named cannot be had, or a space reaches what its method refuses.
    """
    options = argparse.Namespace(**vars(options) | {"out": options.out / FOLDER})
    options.datasets = [tuned_by(name) for name in options.datasets]
    options.keep_models = "none"
    here = environment(options.device)
    store = ResultStore(options.out)
    store.check_writable()
    cells, skipped = expand_grids([options])
    cells = [cell for cell in cells if cell.kind != "yardstick"]
    check_cells(cells)
    _check_spaces(cells)
    sys.stdout.writelines(f"skipped: {reason}\n" for reason in skipped)
    make_cache(options.cache)
    settings = RunSettings.of(options, here, cells)
    settings, threads = with_threads(settings, options, cells, here.device)
    sys.stdout.writelines(f"{line}\n" for line in [threads] if line)
    failed = 0
    with started(options.executor, options.jobs or 1, options.scheduler) as executor:
        for task in dict.fromkeys(cell.task for cell in cells):
            searches = [Search(cell, n_trials) for cell in cells if cell.task is task]
            sys.stdout.writelines(_plan(task, searches))
            sys.stdout.flush()
            _run(searches, executor, settings)
            failed += sum(t.score is None for search in searches for t in search.trials)
            sys.stdout.write(write_outcome(options.out, searches, finished=True))
    return failed


def tuned_by(name: str) -> str:
    """Name the protocol by which settings are chosen for another.

    Examples
    --------
    >>> tuned_by("digits"), tuned_by("cifar10/1k-5k+knn10-l2")
    ('digits/300-1497+tune', 'cifar10/1k-5k+tune+knn10-l2')
    """
    named = full_name(name)
    plain, _ = split_truth(named)
    return plain.removesuffix(TUNE) + TUNE + named[len(plain) :]


def _check_spaces(cells: Sequence[Cell]) -> None:
    """Refuse a space that goes beyond what its method takes, before anything runs."""
    for name, cls in {cell.method.name: cell.method.cls for cell in cells}.items():
        fault = fault_of(tuned_settings_stay_within_the_limits, cls)
        if fault is not None:
            raise GridError(f"--methods {name}: {fault}")


def _plan(task: Task, searches: Sequence[Search]) -> list[str]:
    """Describe to the user what will be tried."""
    protocol = task.data.protocol
    tried = [search for search in searches if search.space]
    fixed = ", ".join(search.start.method.name for search in searches if not search.space)
    n = tried[0].n_trials if tried else 1
    lines = [f"{protocol.label} on {task.label}: {protocol.sizes}"]
    trials = f"{counted(len(tried), 'method')}, {counted(n, 'trial')} each"
    lines += [f"{trials}, the first with their own settings"]
    lines += [f"nothing to tune, so one trial each: {fixed}"] if fixed else []
    return [f"{line}\n" for line in lines]


def _run(searches: Sequence[Search], executor: Executor, settings: RunSettings) -> None:
    """Run rounds of trials, the methods beside each other, until all have had theirs."""
    store = ResultStore(settings.out)
    while any(asked := [search.ask() for search in searches]):
        cells = {t.cell.digest: t.cell for trials in asked for t in trials if t.cell is not None}
        failed = {failure.digest for failure in store.failures()}
        todo = [c for c in cells.values() if c.digest not in failed and not store.has(c.address)]
        if todo:
            _run_cells(todo, executor, settings, store)
        reasons = {failure.digest: failure.error for failure in store.failures()}
        for search, trials in zip(searches, asked, strict=True):
            search.tell([_outcome(trial, store, reasons) for trial in trials])
        write_outcome(settings.out, searches)


def _run_cells(
    todo: Sequence[Cell], executor: Executor, settings: RunSettings, store: ResultStore
) -> None:
    with Display(len(todo)) as display:
        watcher: AbstractContextManager[object] = nullcontext()
        if executor is not local:
            watcher = Watcher(display, store, todo)
        with watcher:
            run_all(executor, settings, todo, display.doing, display.cell_done)


def _outcome(trial: Trial, store: ResultStore, reasons: dict[str, str]) -> Trial:
    """Read what came of a trial."""
    if trial.cell is None:
        return trial
    try:
        return trial.of_record(store.read(store.locate(trial.cell.address)))
    except StoreError as error:
        return replace(trial, reason=reasons.get(trial.cell.digest, str(error)))
