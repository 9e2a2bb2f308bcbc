"""Measure what each stage of a cell takes: seconds on the clock, and of the CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch


@dataclass
class Stopwatch:
    """Seconds by stage.

    Attributes
    ----------
    seconds : dict
        On the clock, the work of the device included.
    cpu : dict
        Of the CPU, over all threads of this process: what another process takes of a core is left
        out.
    device : torch.device
        Whose work a stage waits for.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        self._wait()
        start, cpu = time.perf_counter(), time.process_time()
        yield
        self._wait()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        self.cpu[stage] = self.cpu.get(stage, 0.0) + time.process_time() - cpu

    def share(self, stages: tuple[str, ...], n: int) -> None:
        """Divide some stages by `n`, that they were measured for together."""
        for taken in (self.seconds, self.cpu):
            for stage in stages:
                taken[stage] /= n

    def copy(self) -> Stopwatch:
        """Return a watch that goes on from here for itself."""
        return replace(self, seconds=dict(self.seconds), cpu=dict(self.cpu))

    def _wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
