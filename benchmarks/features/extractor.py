"""A frozen backbone, as fast as its device runs it.

On CUDA it computes in bfloat16, and a pass that is long enough to repay it is preceded by
measurements: which batch size gives most images a second, and whether `torch.compile` gives more.
On a CPU, features must not depend on what a clock said, so nothing is measured there: batches are
small, because what a layer of many pixels hands to the next one then stays in the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks.features.base import Backbone, Kind
from benchmarks.machine.memory import halving

T = TypeVar("T")

_Reader = Callable[[Tensor], tuple[Tensor, ...]]
"""From images to each kind of what a backbone gives."""

FIXED = {"cpu": 32, "cuda": 256}
"""Images a batch where nothing is measured. Rounding may differ with it, on a CPU too."""
_TRIED = (64, 128, 256, 512)
"""Images a batch, ascending; a block on disk holds no more."""
_CLEARLY = 1.03
"""How many times faster something must be to be preferred to what is smaller or simpler."""
_WORTH_MEASURING = 16_384
"""Images a pass from which on batch sizes are measured, which takes some 5,000."""
_REPAYS_COMPILING = 120.0
"""Seconds a pass from which on the half minute that compiling takes is made good."""


@dataclass(frozen=True)
class Pace:
    """What was measured of a backbone on a device.

    Attributes
    ----------
    batch : int
        Images a batch.
    rate : float
        Images a second, not compiled.
    compiling_pays : bool or None
        None where it was not tried.
    """

    batch: int
    rate: float
    compiling_pays: bool | None = None


_PACES: dict[object, Pace] = {}
"""Measured once a process, by backbone, size, kind and device."""


def precision(device: torch.device) -> str:
    """Name of the floats that a frozen backbone computes in."""
    return "bfloat16" if device.type == "cuda" else "float32"


def autocast(device: torch.device) -> torch.autocast:
    """Let a network compute in bfloat16 on CUDA, and in float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def may_measure(device: torch.device) -> bool:
    """Say whether clocks may have a say: not in strict mode, and not on a CPU."""
    return device.type == "cuda" and not torch.are_deterministic_algorithms_enabled()


class Extractor:
    """A backbone on its device.

    Parameters
    ----------
    backbone : Backbone
        Moved to the device; its frozen twin computes.
    kinds : sequence of "features" or "tokens"
        What it is to give: one of them, or both in this order.
    device : torch.device

    Attributes
    ----------
    batch : int
        Images that it takes at a time.
    """

    def __init__(self, backbone: Backbone, kinds: Sequence[Kind], device: torch.device) -> None:
        self._plain = _reader(backbone.to(device).frozen(), kinds)
        self._compiled = self._plain
        self._compiled_for = 0
        self.device = device
        self._setting = (backbone.digest, *kinds, device)
        self.batch = FIXED[device.type]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Each kind of images in [0, 1], float32, shape (B, 3, S, S) -> (B, ...)."""
        # Another number of images would be compiled anew.
        run = self._compiled if len(images) == self._compiled_for else self._plain
        with autocast(self.device):
            return [found.float() for found in run(images)]

    def halving(self, work: Callable[[int], T]) -> T:
        """Do some work in batches; in smaller ones once the device had no room for them."""

        def attempt(batch: int) -> T:
            done = work(batch)
            self.batch = batch
            return done

        return halving(attempt, self.batch)

    def tune(self, n: int, size: int) -> None:
        """Choose batch size and form for a pass of n images, `size` pixels high and wide."""
        if n < _WORTH_MEASURING or not may_measure(self.device):
            return
        setting = (*self._setting, size)
        pace = _PACES.get(setting) or self._fastest_batch(size)
        self.batch = pace.batch
        if pace.compiling_pays is not False and n / pace.rate > _REPAYS_COMPILING:
            pace = self._try_compiled(pace, size)
        _PACES[setting] = pace

    def _fastest_batch(self, size: int) -> Pace:
        best = Pace(_TRIED[0], 0.0, compiling_pays=False)  # stays where even that has no room
        for batch in _TRIED:
            try:
                rate = self._rate(self._plain, batch, size)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                break
            if rate > _CLEARLY * best.rate:
                best = Pace(batch, rate)
        return best

    def _try_compiled(self, pace: Pace, size: int) -> Pace:
        compiled = torch.compile(self._plain, dynamic=False)
        try:
            rate = self._rate(compiled, pace.batch, size)
        except Exception:  # a compiler may raise anything; the network runs without it
            rate = 0.0
        pays = rate > _CLEARLY * pace.rate
        if pays:
            self._compiled, self._compiled_for = compiled, pace.batch
        return replace(pace, compiling_pays=pays)

    def _rate(self, run: _Reader, batch: int, size: int) -> float:
        """Images a second: the best of three batches after two that warm up."""
        images = torch.rand(batch, 3, size, size, device=self.device)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            with torch.inference_mode(), autocast(self.device):
                run(images)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            seconds.append(time.perf_counter() - start)
        return batch / min(seconds[2:])


def _reader(backbone: Backbone, kinds: Sequence[Kind]) -> _Reader:
    if len(kinds) > 1:
        return backbone.both
    only: Callable[[Tensor], Tensor] = getattr(backbone, kinds[0])
    return lambda images: (only(images),)
