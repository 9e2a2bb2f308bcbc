"""Choose the threads of a call: by its flags, and for trainings of heads by a measurement."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks.grid.cells import Cell
from benchmarks.machine.threads import best_threads, step_times
from benchmarks.runner.executors import threads_of_a_job
from benchmarks.runner.run_settings import RunSettings


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
