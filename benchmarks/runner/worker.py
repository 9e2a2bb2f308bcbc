"""Run grid cells in this process: lock each cell, train and score it, save the record.

A failure is saved too and does not stop the others.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import inspect
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.features.cache import FeatureCache
from benchmarks.grid.cells import Cell
from benchmarks.grid.find_method import describe
from benchmarks.grid.tasks import Task
from benchmarks.machine.environment import Environment, environment
from benchmarks.machine.memory import keep_freed_memory
from benchmarks.machine.time_limit import CellTimeout, time_limit
from benchmarks.runner.make_record import run_cells
from benchmarks.runner.run_settings import Outcome, RunSettings, State
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training.checkpoint import Checkpoint
from datasets.errors import one_line
from results.store.leases import Lease
from results.store.record import RunRecord
from results.store.store import ResultStore, StoreError
from results.store.wording import counted

_ONE_AT_A_TIME = threading.Lock()
"""Cells of one process take turns: they share torch's generator of random numbers."""

Tell = Callable[[str], None]


def run_leased(
    settings: RunSettings, cells: Sequence[Cell], tell: Tell = lambda doing: None
) -> list[Outcome]:
    """Run cells, unless they are stored or another process works on them.

    Parameters
    ----------
    settings : RunSettings
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
            lease = _lease(settings, cell)
            if isinstance(lease, Outcome):
                outcomes.append(lease)
            else:
                taken.append(_Taken(settings, cell, leases.enter_context(lease)))
        return [*outcomes, *_run_all(settings, taken, tell)]


def _lease(settings: RunSettings, cell: Cell) -> Lease | Outcome:
    """Take a cell, or say why not."""
    store = ResultStore(settings.out)
    try:
        lease = Lease.acquire(store.lease_path(cell.address), settings.stale)
    except OSError as error:
        return _outcome(cell, "failed", f"results folder {settings.out}: {error.strerror}")
    if lease is None:
        return _outcome(cell, "busy", "another runner works on it")
    if not settings.force and store.has(cell.address):
        with lease:  # to give it back
            return _outcome(cell, "stored", "stored by another runner")
    return lease


def _outcome(cell: Cell, state: State, note: str) -> Outcome:
    return Outcome(cell.key, cell.digest, state, note)


class _Taken:
    """A leased cell.

    A process that was stopped for a while, or whose machine slept, may find when it goes on that
    another runner took the lease over: then what that one makes of the cell counts, and nothing of
    this process is kept.
    """

    def __init__(self, settings: RunSettings, cell: Cell, lease: Lease) -> None:
        self.cell, self.lease = cell, lease
        self._store, self._force = ResultStore(settings.out), settings.force
        path = self._store.checkpoint_path(cell.address)
        self.checkpoint = Checkpoint(path, cell.digest, settings.checkpoint_every)

    def save(
        self,
        record: RunRecord,
        arrays: dict[str, np.ndarray],
        learnt: Mapping[str, np.ndarray] | None,
    ) -> Outcome:
        """Store the record and what was learnt, unless the cell is another runner's by now."""
        if (theirs := self._of_another_runner()) is not None:
            return theirs
        try:
            self._store.save(record, arrays, force=self._force)
        except StoreError as error:
            return self.fail(error)
        with contextlib.suppress(StoreError):  # without a model the record is as good
            if learnt is not None:
                self._store.keep_model(self.cell.address, learnt)
        self.checkpoint.clear()
        metric = self.cell.task.data.protocol.metric
        dead = int(record.metrics.get("codes.dead_bits", 0))
        warning = f"; warning: {counted(dead, 'dead bit')} of {record.bits}" if dead else ""
        return _outcome(self.cell, "done", f"{metric} {record.metrics[metric]:.4f}{warning}")

    def fail(self, error: Exception) -> Outcome:
        """Note the error, unless the cell is another runner's by now."""
        if (theirs := self._of_another_runner()) is not None:
            return theirs
        if not isinstance(error, CellTimeout):  # the next call tries anew, not from here
            self.checkpoint.clear()
        path = mark_failed(self._store, self.cell, error)
        kept = f"; the traceback is in {path}" if path else ""
        return _outcome(self.cell, "failed", f"{_said(self.cell, error)}{kept}")

    def _of_another_runner(self) -> Outcome | None:
        if not self._force and self._store.has(self.cell.address):
            return _outcome(self.cell, "stored", "stored by another runner")
        if self.lease.is_taken_over:
            return _outcome(self.cell, "busy", "another runner has taken it over")
        return None


def _run_all(settings: RunSettings, taken: Sequence[_Taken], tell: Tell) -> list[Outcome]:
    """Run leased cells together, and if that fails one by one."""
    if not taken:
        return []
    try:
        return _run(settings, taken, tell)
    except Exception as error:  # one failure is one cell; the others go on
        if len(taken) == 1:
            return [taken[0].fail(error)]
    return [outcome for one in taken for outcome in _run_all(settings, [one], tell)]


def mark_failed(store: ResultStore, cell: Cell, error: Exception) -> Path | None:
    """Keep the error, and return where; a disk that refuses it too is no second failure."""
    with contextlib.suppress(StoreError):
        trace, said = "".join(traceback.format_exception(error)), _said(cell, error)
        return store.mark_failed(cell.address, kind=cell.kind, error=said, traceback=trace)
    return None


def _said(cell: Cell, error: Exception) -> str:
    """Say an error in one line; with its kind and line if it came out of the method's own file."""
    file = inspect.getfile(cell.method.cls)
    own = any(frame.filename == file for frame in traceback.extract_tb(error.__traceback__))
    return describe(error, file) if own else one_line(error)


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


def _run(settings: RunSettings, taken: Sequence[_Taken], tell: Tell) -> list[Outcome]:
    cells = [one.cell for one in taken]
    task = cells[0].task
    n_images = task.data.protocol.n_train * len(cells)
    teller = _Teller([one.lease for one in taken], tell, n_images)
    env = _environment(settings)
    inputs = inputs_of(settings, task)
    inputs.cache.progress = teller.extraction
    learnt: dict[str, dict[str, np.ndarray]] = {}

    def on_trained(cell: Cell, found: dict[str, torch.Tensor]) -> None:
        if settings.keep_models:
            learnt[cell.digest] = {name: value.numpy() for name, value in found.items()}

    limit = None if settings.cell_timeout is None else settings.cell_timeout * len(cells)
    with time_limit(limit):
        checkpoints = [one.checkpoint for one in taken]
        told = teller.epoch, checkpoints, on_trained, settings.head_threads
        results = run_cells(cells, inputs, env, *told, asym=settings.asym)
    return [
        one.save(*result, learnt.get(one.cell.digest))
        for one, result in zip(taken, results, strict=True)
    ]


@lru_cache(maxsize=1)
def _environment(settings: RunSettings) -> Environment:
    """Set this process up, once a call."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    keep_freed_memory()
    atexit.register(gc.freeze)  # a last look at all objects takes seconds, and Dask waits for four
    return environment(
        settings.device, deterministic=settings.deterministic, command=settings.command
    )


@lru_cache(maxsize=1)  # cells of one task follow each other, so its features stay on the device
def inputs_of(settings: RunSettings, task: Task) -> TaskInputs:
    """Return what the cells of a task share in this process."""
    device = _environment(settings).device
    return TaskInputs(task, FeatureCache(settings.cache, device, say=_write_line), settings.needs)


def _write_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
