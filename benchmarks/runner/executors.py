"""Where the cells of a grid run: in this process, in processes beside it, or on a Dask cluster.

==========  ========================================================================================
``local``   one after the other, in this process
``loky``    ``--jobs N`` processes of this machine (joblib); its cores are divided among them
``dask``    joblib on dask.distributed: ``--scheduler tcp://host:8786``, or ``--jobs N`` here
==========  ========================================================================================

The store is what they share: a worker leases a cell, runs it and stores its record, and sends back
a line about it. So a worker that dies loses the cell it was on, and another one takes that up; a
cell that workers die of is found by running it alone.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import process_executor

from benchmarks.grid.cells import Cell, stacks
from benchmarks.grid.method_settings import GridError
from benchmarks.grid.no_exit import no_exit
from benchmarks.machine.threads import threads_of_a_job
from benchmarks.runner.run_settings import Outcome, RunSettings
from benchmarks.runner.worker import run_leased
from datasets.errors import need, one_line
from results.store.run_key import RunKey
from results.store.store import ResultStore, StoreError

if TYPE_CHECKING:
    from distributed import Client

MOST_CRASHES = 3
"""Times that workers may die on a cell, or on none, before it counts as failed."""
_WAIT = 1.0
"""Seconds between two looks at cells that other runners work on."""

Tell = Callable[[RunKey, str], None]
Stack = Sequence[Cell]
"""Cells that one worker runs together; usually one."""
Executor = Callable[[RunSettings, Sequence[Stack], Tell], Iterator[Outcome]]


def local(settings: RunSettings, todo: Sequence[Stack], tell: Tell) -> Iterator[Outcome]:
    """Run cells in this process."""
    for stack in todo:
        yield from run_leased(settings, stack, partial(tell, stack[0].key))


def in_processes(jobs: int) -> Executor:
    """Run cells in `jobs` processes of this machine."""

    def run(settings: RunSettings, todo: Sequence[Stack], tell: Tell) -> Iterator[Outcome]:
        threads = settings.threads or threads_of_a_job(jobs)
        with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=threads):
            yield from _parallel(replace(settings, threads=threads), todo)

    return run


@contextmanager
def on_dask(scheduler: str | None, jobs: int) -> Iterator[Executor]:
    """Run cells on a Dask cluster, or on a local one of `jobs` workers.

    Raises
    ------
    GridError
        If the extra `cluster` is not installed, or the scheduler does not answer.
    """
    need(GridError, "--executor dask", "distributed")
    from distributed import Client

    share = threads_of_a_job(jobs) if scheduler is None else None
    with _client(Client, scheduler, jobs) as client:

        def run(settings: RunSettings, todo: Sequence[Stack], tell: Tell) -> Iterator[Outcome]:
            with parallel_config("dask", client=client):
                yield from _parallel(replace(settings, threads=settings.threads or share), todo)

        yield run


@contextmanager
def started(name: str, jobs: int, scheduler: str | None) -> Iterator[Executor]:
    """Start what runs the cells: one of `benchmarks.grid.flags.EXECUTORS`.

    Raises
    ------
    GridError
        As of `on_dask`.
    """
    if name == "dask":
        with on_dask(scheduler, jobs) as executor:
            yield executor
    else:
        yield in_processes(jobs) if name == "loky" else local


def _client(kind: type[Client], scheduler: str | None, jobs: int) -> Any:
    if scheduler is None:
        # Features are mapped into memory, which Dask would count and then kill the worker for.
        return kind(n_workers=jobs, threads_per_worker=1, memory_limit=0, dashboard_address=None)
    try:
        return kind(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise GridError(
            f"--scheduler {scheduler}: no scheduler answers there; start one with `dask scheduler`"
        ) from error


_Letter = tuple[RunKey, str, bytes]
"""A cell that travels: its names, its digest, and itself."""


def _parallel(settings: RunSettings, todo: Sequence[Stack]) -> Iterator[Outcome]:
    parallel = Parallel(return_as="generator_unordered", batch_size=1)
    letters = (
        [(cell.key, cell.digest, bytes(ForkingPickler.dumps(cell))) for cell in stack]
        for stack in todo
    )
    outcomes: Iterator[list[Outcome]] = parallel(delayed(_open)(settings, each) for each in letters)
    return chain.from_iterable(outcomes)


def _open(settings: RunSettings, letters: Sequence[_Letter]) -> list[Outcome]:
    """Open cells where they arrive, and run them.

    What a worker does not find fails the cell and not the worker. A cell that comes out as another
    one would be stored under a name that is not its own.
    """
    # loky takes a worker that has grown by 300 MB for a leak and starts another one, which imports
    # and compiles anew. Features that are mapped into memory count, as they do for Dask.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    cells: list[Cell] = []
    failed: list[Outcome] = []
    for key, digest, letter in letters:
        try:
            with no_exit():
                cell: Cell = ForkingPickler.loads(letter)
            if replace(cell).digest != digest:
                raise GridError(
                    f"this worker ({socket.gethostname()}) has other code or data than the runner; "
                    "start it again, from the same checkout"
                )
            cells.append(cell)
        except Exception as error:  # one failure is one cell
            failed.append(Outcome(key, digest, "failed", one_line(error)))
    return [*failed, *run_leased(settings, cells)]


def run_all(
    executor: Executor,
    settings: RunSettings,
    cells: Sequence[Cell],
    tell: Tell,
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run cells until each is stored or has failed, whoever does it.

    Parameters
    ----------
    executor : callable
        `local`, or what `in_processes` or `on_dask` gives.
    settings : RunSettings
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
    store = ResultStore(settings.out)
    waiting = {cell.digest: cell for cell in cells}
    deaths: Counter[str] = Counter()  # of workers, by the cell that they were on; "" for none
    failed: list[Outcome] = []

    def settle(outcome: Outcome) -> None:
        del waiting[outcome.digest]
        failed.extend([outcome] if outcome.state == "failed" else [])
        done(outcome)

    while waiting:
        before = len(waiting)
        batch = _next(waiting, deaths)
        try:
            together = stacks(batch) if settings.stack else [[cell] for cell in batch]
            for outcome in executor(settings, together, tell):
                if outcome.state != "busy" and outcome.digest in waiting:
                    settle(outcome)
        except Exception as error:  # workers died; what they did is stored
            left = [cell for cell in batch if cell.digest in waiting]
            under_work = [c.digest for c in left if store.lease_path(c.address).is_file()]
            deaths.update([batch[0].digest] if len(batch) == 1 else under_work or [""])
            note = f"workers died {MOST_CRASHES} times, last: {type(error).__name__}: "
            for cell in list(waiting.values()):
                if max(deaths[cell.digest], deaths[""]) >= MOST_CRASHES:
                    settle(_give_up(store, cell, note + one_line(error), settings.force))
        if len(waiting) == before:
            time.sleep(_WAIT)
    return failed


def _next(waiting: dict[str, Cell], deaths: Counter[str]) -> list[Cell]:
    """Choose what to run: all cells that no worker has died on, then the others one by one."""
    together = [cell for digest, cell in waiting.items() if not deaths[digest]]
    if together:
        return together
    digest = next(iter(waiting))
    waiting[digest] = waiting.pop(digest)  # to the end of the queue
    return [waiting[digest]]


def _give_up(store: ResultStore, cell: Cell, note: str, force: bool) -> Outcome:
    """Count a cell as failed that workers die of, unless one of them stored it before it died."""
    if not force and store.has(cell.address):
        return Outcome(cell.key, cell.digest, "stored", "stored by a worker that died")
    with contextlib.suppress(StoreError):
        store.mark_failed(cell.address, kind=cell.kind, error=note)
    return Outcome(cell.key, cell.digest, "failed", note)
