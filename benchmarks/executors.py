"""Where the cells of a grid run: in this process, in processes beside it, or on a Dask cluster.

==========  ========================================================================================
``local``   one after the other, in this process
``loky``    ``--jobs N`` processes of this machine (joblib); its cores are divided among them
``dask``    joblib on dask.distributed: ``--scheduler tcp://host:8786``, or ``--jobs N`` here
==========  ========================================================================================

The store is what they share: a worker leases a cell, runs it and stores its record, and sends back
a line about it. So a worker that dies loses the cell it was on, and another one takes that up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed, parallel_config

from benchmarks.grid import Cell, RunKey
from benchmarks.specs import GridError
from benchmarks.work import Bench, Outcome, work

if TYPE_CHECKING:
    from distributed import Client

EXECUTORS = ("local", "loky", "dask")

MOST_CRASHES = 3
"""Times that workers may die before the cells that are left count as failed."""
_WAIT = 1.0
"""Seconds between two looks at cells that other runners work on."""

Tell = Callable[[RunKey, str], None]
Executor = Callable[[Bench, Sequence[Cell], Tell], Iterator[Outcome]]


def local(bench: Bench, cells: Sequence[Cell], tell: Tell) -> Iterator[Outcome]:
    """Run cells in this process."""
    for cell in cells:
        yield work(bench, cell, partial(tell, cell.key))


def in_processes(jobs: int) -> Executor:
    """Run cells in `jobs` processes of this machine."""
    threads = max(1, (os.cpu_count() or 1) // jobs)

    def run(bench: Bench, cells: Sequence[Cell], tell: Tell) -> Iterator[Outcome]:
        with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=threads):
            yield from _parallel(replace(bench, threads=threads), cells)

    return run


@contextmanager
def on_dask(scheduler: str | None, jobs: int) -> Iterator[Executor]:
    """Run cells on a Dask cluster, or on a local one of `jobs` workers.

    Raises
    ------
    GridError
        If the extra `cluster` is not installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise GridError(
            "--executor dask: needs dask.distributed; pip install 'hashbench[cluster]'"
        ) from error
    threads = max(1, (os.cpu_count() or 1) // jobs) if scheduler is None else None
    with _client(Client, scheduler, jobs) as client:

        def run(bench: Bench, cells: Sequence[Cell], tell: Tell) -> Iterator[Outcome]:
            with parallel_config("dask", client=client):
                yield from _parallel(replace(bench, threads=threads), cells)

        yield run


def _client(kind: type[Client], scheduler: str | None, jobs: int) -> Any:
    if scheduler is None:
        return kind(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
    try:
        return kind(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise GridError(
            f"--scheduler {scheduler}: no scheduler answers there; start one with `dask scheduler`"
        ) from error


def _parallel(bench: Bench, cells: Sequence[Cell]) -> Iterator[Outcome]:
    parallel = Parallel(return_as="generator_unordered", batch_size=1)
    outcomes: Iterator[Outcome] = parallel(delayed(work)(bench, cell) for cell in cells)
    return outcomes


def run_all(
    executor: Executor,
    bench: Bench,
    cells: Sequence[Cell],
    tell: Tell,
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run cells until each is stored or has failed, whoever does it.

    Parameters
    ----------
    executor : callable
        `local`, or what `in_processes` or `on_dask` gives.
    bench : Bench
    cells : sequence of Cell
    tell : callable
        Told what a cell is doing, where this process knows.
    done : callable
        Told each outcome.

    Returns
    -------
    list of Outcome
        Of the cells that failed.
    """
    waiting = {cell.digest: cell for cell in cells}
    failed: list[Outcome] = []
    crashes = 0
    while waiting:
        before = len(waiting)
        try:
            for outcome in executor(bench, list(waiting.values()), tell):
                if outcome.state == "busy" or outcome.digest not in waiting:
                    continue
                del waiting[outcome.digest]
                failed += [outcome] if outcome.state == "failed" else []
                done(outcome)
        except Exception as error:  # workers died; what they did is stored
            crashes += 1
            if crashes >= MOST_CRASHES:
                note = f"workers died {crashes} times, last: {type(error).__name__}: {error}"
                for cell in waiting.values():
                    failed.append(Outcome(cell.key, cell.digest, "failed", note))
                    done(failed[-1])
                return failed
        if len(waiting) == before:
            time.sleep(_WAIT)
    return failed
