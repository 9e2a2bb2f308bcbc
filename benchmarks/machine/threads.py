"""Threads of torch on a CPU: how many of them a training step gains from.

A small head computes for microseconds between two points at which its threads meet, so it often
gains nothing from a second one, and on a machine whose cores are taken it waits for a thread that
does not run. A training gets more threads only where a step was measured to gain from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from joblib import cpu_count

ENOUGH = 0.8
"""Share of the seconds on fewer threads that a step may take for more of them to be worth it."""
_SECONDS = 0.06
"""For which steps are timed on each number of threads."""
_IN_DIM, _N_BITS, _ROWS = 1280, 64, 256
"""Sizes of the timed step: features of a small network, a common code length, two views."""


class StepTime(NamedTuple):
    """Seconds of one training step on a number of threads, on the clock and of the CPU."""

    threads: int
    wall: float
    cpu: float


def threads_of_a_job(jobs: int) -> int:
    """Divide the cores that this process may use among `jobs` processes."""
    return max(1, int(cpu_count()) // jobs)


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Let torch compute on `n` threads for a while; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if n is None else n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def step_times(most: int) -> list[StepTime]:
    """Time a training step of a small head on 1, 2, 4, ... threads, and on `most`.

    Takes well under a second, and draws no random number that anything else sees.
    """
    counts = [n for n in (1 << i for i in range(most.bit_length())) if n < most]
    step = _step()
    return [_timed(step, n) for n in [*counts, most]]


def best_threads(times: Sequence[StepTime]) -> int:
    """Return the number of threads that training steps are to have.

    More threads have to take `ENOUGH` of the seconds of the best fewer ones; and while they take
    more CPU seconds than the clock shows, the cores are there: threads that share a core do not
    gain from each other.

    Parameters
    ----------
    times : sequence of StepTime
        By rising number of threads.

    Examples
    --------
    >>> best_threads([StepTime(1, 2.0, 2.0), StepTime(2, 1.2, 2.4), StepTime(4, 1.1, 4.4)])
    2
    >>> best_threads([StepTime(1, 4.0, 2.0), StepTime(2, 2.4, 2.4)])  # one core for two threads
    1
    """
    best = times[0]
    for one in times[1:]:
        if one.wall <= ENOUGH * best.wall and one.cpu / one.wall >= ENOUGH * one.threads:
            best = one
    return best.threads


def _step() -> Callable[[], None]:
    """Build a step as trained methods take it: two views, a linear head, a contrastive loss."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(_N_BITS, _IN_DIM, generator=generator).div_(_IN_DIM).requires_grad_()
    views = torch.randn(_ROWS, _IN_DIM, generator=generator)
    optimizer = torch.optim.Adam([weight])

    def step() -> None:
        scores = torch.nn.functional.normalize(torch.tanh(views @ weight.T))
        loss = torch.logsumexp(scores @ scores.T / 0.3, dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _timed(step: Callable[[], None], n: int) -> StepTime:
    with threads(n):
        step()  # starts the threads
        wall, cpu, steps = time.perf_counter(), time.process_time(), 0
        while steps == 0 or time.perf_counter() - wall < _SECONDS:
            step()
            steps += 1
        return StepTime(
            n, (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps
        )
