"""Cells in one process: lease them, run them, store them; whatever goes wrong is kept with them."""

from __future__ import annotations

import atexit
import contextlib
import gc
import math
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from benchmarks.features.cache import FeatureCache
from benchmarks.grid.cells import Cell, RunKey, seed_of
from benchmarks.grid.method_settings import GridError
from benchmarks.grid.tasks import Suite
from benchmarks.machine.environment import Environment, environment
from benchmarks.machine.memory import keep_freed_memory
from benchmarks.machine.time_limit import CellTimeout, time_limit
from benchmarks.runner.fit_and_encode import Stopwatch, train_and_encode
from benchmarks.runner.make_record import run_cells
from benchmarks.runner.task_inputs import SuiteInputs, Wants
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.distributed.rank_group import Crew
from benchmarks.training.trainer import Trainer
from datasets.errors import one_line
from results.store.leases import STALE, Lease
from results.store.store import ResultStore, StoreError

_ONE_AT_A_TIME = threading.Lock()
"""Cells of one process take turns: they share torch's generator of random numbers."""

State = Literal["done", "stored", "busy", "failed"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What every process needs to run cells; small, so that it can be sent.

    Attributes
    ----------
    out : Path
        Folder of the results.
    cache : Path
        Folder of the features.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<i>"``.
    force : bool
        Replace stored cells.
    cell_timeout : float or None
        Seconds that a cell may take.
    checkpoint_every : float
        Seconds between two checkpoints of a training, at the least.
    deterministic : bool
        Ask torch for its strict mode.
    threads : int or None
        Of torch in this process; None leaves them as they are.
    command : str
        What the user called.
    stack : bool
        Train the seeds of a cell together.
    wants : Wants
        What the cells of this call will ask for of images.
    stale : float
        Seconds after which the lease of a runner that shows no sign of life is taken over.
    call : str
        Tells this call from all others: what failed in one is tried again in the next, also by a
        worker that outlives them.
    """

    out: Path
    cache: Path
    device: str = "cpu"
    force: bool = False
    cell_timeout: float | None = None
    checkpoint_every: float = 60.0
    deterministic: bool = False
    threads: int | None = None
    command: str = ""
    stack: bool = False
    wants: Wants = frozenset()
    stale: float = STALE
    call: str = field(default_factory=lambda: secrets.token_hex(4))


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes
    ----------
    key : RunKey
    digest : str
        Which cell.
    state : "done", "stored" (by another runner), "busy" (another works on it) or "failed"
    note : str
        The metric, or the error.
    """

    key: RunKey
    digest: str
    state: State
    note: str


def work(bench: Bench, cells: Sequence[Cell], tell: Tell = lambda doing: None) -> list[Outcome]:
    """Run cells, unless they are stored or another process works on them.

    Parameters
    ----------
    bench : Bench
    cells : sequence of Cell
        One, or several that differ in their seed alone: they are trained together, and one by one
        where that fails.
    tell : callable
        Told in a few words what is being done.

    Returns
    -------
    list of Outcome
        One for each cell. Never an exception: one failure is one cell.
    """
    with _ONE_AT_A_TIME, contextlib.ExitStack() as leases:
        taken: list[_Taken] = []
        outcomes: list[Outcome] = []
        for cell in cells:
            lease = _lease(bench, cell)
            if isinstance(lease, Outcome):
                outcomes.append(lease)
            else:
                taken.append(_Taken(bench, cell, leases.enter_context(lease)))
        return [*outcomes, *_run_all(bench, taken, tell)]


def _lease(bench: Bench, cell: Cell) -> Lease | Outcome:
    """Take a cell, or say why not."""
    store = ResultStore(bench.out)
    try:
        lease = Lease.acquire(store.lease_path(**cell.place), bench.stale)
    except OSError as error:
        return _outcome(cell, "failed", f"results folder {bench.out}: {error.strerror}")
    if lease is None:
        return _outcome(cell, "busy", "another runner works on it")
    if not bench.force and store.has(**cell.place):
        with lease:  # to give it back
            return _outcome(cell, "stored", "stored by another runner")
    return lease


def _outcome(cell: Cell, state: State, note: str) -> Outcome:
    return Outcome(cell.key, cell.digest, state, note)


class _Taken:
    """A leased cell."""

    def __init__(self, bench: Bench, cell: Cell, lease: Lease) -> None:
        self.cell, self.lease = cell, lease
        self.store = ResultStore(bench.out)
        path = self.store.checkpoint_path(**cell.place)
        self.checkpoint = Checkpoint(path, cell.digest, bench.checkpoint_every)

    def fail(self, error: Exception) -> Outcome:
        note = one_line(error)
        if not isinstance(error, CellTimeout):  # the next call tries anew, not from here
            self.checkpoint.clear()
        _mark_failed(self.store, self.cell, error)
        return _outcome(self.cell, "failed", note)


def _run_all(bench: Bench, taken: Sequence[_Taken], tell: Tell) -> Iterator[Outcome]:
    """Run leased cells together, and if that fails one by one."""
    if not taken:
        return
    try:
        yield from _run(bench, taken, tell)
    except Exception as error:  # one failure is one cell; the others go on
        if len(taken) == 1:
            yield taken[0].fail(error)
            return
        for one in taken:
            yield from _run_all(bench, [one], tell)


def follow(bench: Bench, cells: Sequence[Cell], crew: Crew) -> None:
    """Train along with rank 0, cell by cell, until it says that there are no more.

    Parameters
    ----------
    bench : Bench
    cells : sequence of Cell
        Of the whole grid: rank 0 chooses.
    crew : Crew
        Of which this process is not rank 0.
    """
    store = ResultStore(bench.out)
    known = {cell.digest: cell for cell in cells}
    for digest in crew.orders():
        if digest not in known:
            raise GridError(
                f"rank {crew.rank} has other code or data than rank 0; start all ranks from the "
                "same checkout"
            )
        cell = known[digest]
        inputs = _inputs(bench, cell.suite)
        checkpoint = Checkpoint(store.checkpoint_path(**cell.place), digest, math.inf)
        recipe, seed = cell.method.recipe, seed_of(cell.key)
        trainer = Trainer(recipe, seed, checkpoint=checkpoint, matmul=cell.matmul)
        try:
            train_and_encode([cell], inputs, Stopwatch(), [trainer])
        except Exception as error:  # rank 0 notes it too, unless it cannot be told
            if crew.parted:
                checkpoint.clear()
                _mark_failed(store, cell, error)
            crew.stop_if_parted()


def _mark_failed(store: ResultStore, cell: Cell, error: Exception) -> None:
    """Keep the error; a disk that refuses it too is no second failure."""
    with contextlib.suppress(StoreError):
        trace = "".join(traceback.format_exception(error))
        store.mark_failed(**cell.place, kind=cell.kind, error=one_line(error), traceback=trace)


class _Teller:
    """Says what cells are doing to their leases and to whoever watches."""

    def __init__(self, leases: Sequence[Lease], tell: Tell, n_train: int) -> None:
        self._leases, self._tell, self._n_train = leases, tell, n_train
        self._start: tuple[str, float, int] = ("", 0.0, 0)

    def extraction(self, what: str, done: int, total: int) -> None:
        rate = self._rate(what, done)
        left = f", {rate:.0f} images/s, {(total - done) / rate:.0f} s left" if rate else ""
        self._say(f"{what}: {done:,}/{total:,}{left}")

    def epoch(self, epoch: int, epochs: int, losses: dict[str, float]) -> None:
        terms = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        rate = self._rate("epoch", epoch) * self._n_train
        speed = f", {rate:,.0f} images/s" if rate else ""
        self._say(f"epoch {epoch}/{epochs} {terms}{speed}")

    def _rate(self, what: str, done: int) -> float:
        """How many of something are done a second, since it was first told; 0 at first."""
        now = time.monotonic()
        if self._start[0] != what:
            self._start = (what, now, done)
        seconds = now - self._start[1]
        return (done - self._start[2]) / seconds if seconds else 0.0

    def _say(self, doing: str) -> None:
        for lease in self._leases:
            lease.tell(doing)
        self._tell(doing)


def _run(bench: Bench, taken: Sequence[_Taken], tell: Tell) -> list[Outcome]:
    cells = [one.cell for one in taken]
    suite = cells[0].suite
    n_images = suite.data.protocol.n_train * len(cells)
    teller = _Teller([one.lease for one in taken], tell, n_images)
    env = _environment(bench)
    inputs = _inputs(bench, suite)
    inputs.cache.progress = teller.extraction
    metric = f"mAP@{suite.data.protocol.cutoff}"
    outcomes = []
    limit = None if bench.cell_timeout is None else bench.cell_timeout * len(cells)
    with time_limit(limit):
        checkpoints = [one.checkpoint for one in taken]
        results = run_cells(cells, inputs, env, teller.epoch, checkpoints)
        for one, (record, arrays) in zip(taken, results, strict=True):
            one.store.save(record, arrays, force=bench.force)
            one.checkpoint.clear()
            outcomes.append(_outcome(one.cell, "done", f"{metric} {record.metrics[metric]:.4f}"))
    return outcomes


@lru_cache(maxsize=1)
def _environment(bench: Bench) -> Environment:
    """Set this process up, once a call."""
    if bench.threads is not None:
        torch.set_num_threads(bench.threads)
    keep_freed_memory()
    atexit.register(gc.freeze)  # a last look at all objects takes seconds, and Dask waits for four
    return environment(bench.device, deterministic=bench.deterministic, command=bench.command)


@lru_cache(maxsize=1)  # cells of one suite follow each other, so its features stay on the device
def _inputs(bench: Bench, suite: Suite) -> SuiteInputs:
    return SuiteInputs(suite, FeatureCache(bench.cache, _environment(bench).device), bench.wants)
