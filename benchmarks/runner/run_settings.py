"""Settings that every process of a run is given, and the outcome of a cell that it returns."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from benchmarks.grid.cells import Cell
from benchmarks.machine.environment import Environment
from benchmarks.machine.threads import best_threads, step_times, threads_of_a_job
from benchmarks.runner.task_inputs import Needs, needs_of
from results.store.leases import STALE
from results.store.run_key import RunKey

State = Literal["done", "stored", "busy", "failed"]


@dataclass(frozen=True)
class RunSettings:
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
        Of torch in a process that runs cells; None leaves them as they are.
    head_threads : int or None
        The same while a head is trained on frozen features.
    command : str
        What the user called.
    keep_models : bool
        Keep what cells learn beside their records.
    stack : bool
        Train the seeds of a cell together.
    asym : bool
        Rank by asymmetric distance too.
    needs : Needs
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
    head_threads: int | None = None
    command: str = ""
    keep_models: bool = False
    stack: bool = False
    asym: bool = False
    needs: Needs = frozenset()
    stale: float = STALE
    call: str = field(default_factory=lambda: secrets.token_hex(4))

    @classmethod
    def of(
        cls, options: argparse.Namespace, here: Environment, todo: Sequence[Cell]
    ) -> RunSettings:
        """Take from the flags of a call, and from the cells that it is to run."""
        on_cuda = here.device.type == "cuda"
        return cls(
            out=options.out.resolve(),
            cache=options.cache.resolve(),
            device=options.device,
            force=options.force,
            cell_timeout=options.cell_timeout,
            checkpoint_every=options.checkpoint_every,
            deterministic=options.deterministic,
            command=here.command,
            keep_models=options.keep_models != "none",
            stack=options.stack == "on" or (options.stack == "auto" and on_cuda),
            asym=options.asym,
            needs=needs_of(todo),
        )


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


def with_threads(
    settings: RunSettings, options: argparse.Namespace, todo: Sequence[Cell], device: torch.device
) -> tuple[RunSettings, str | None]:
    """Set the threads of each process, and say what was chosen and why.

    Only time hangs on them, so they are in no key. The measurement takes well under a second, and
    is made where a head is trained on a CPU of this machine.

    Parameters
    ----------
    settings : RunSettings
    options : argparse.Namespace
        Flags of the call.
    todo : sequence of Cell
        What is to run.
    device : torch.device
        Where.

    Returns
    -------
    RunSettings
    str or None
        A line for the user, None where nothing was chosen.
    """
    if options.threads is not None:
        n = options.threads
        return replace(settings, threads=n, head_threads=n), None
    heads = any(cell.method.is_trained and not cell.method.finetune for cell in todo)
    if not heads or device.type != "cpu" or options.scheduler:
        return settings, None
    jobs = options.jobs or 1
    most = torch.get_num_threads() if options.executor == "local" else threads_of_a_job(jobs)
    if most == 1:
        return replace(settings, head_threads=1), None
    times = step_times(most)
    chosen = best_threads(times)
    took = ", ".join(f"{one.wall * 1000:.2g} ms on {one.threads}" for one in times)
    line = f"threads: {chosen} to train a head (a step takes {took}), {most} for all else"
    return replace(settings, head_threads=chosen), f"{line}; --threads N sets both"
