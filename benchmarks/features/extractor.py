"""A frozen backbone on its device, and how many images it is given at a time.

On CUDA it computes in bfloat16, elsewhere in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks.features.base import Backbone, Kind
from benchmarks.machine.memory import halving

T = TypeVar("T")

BATCH = {"cpu": 32, "cuda": 256}
"""Images a batch, by type of device. On a CPU batches are small, because what a layer of many
pixels hands to the next one then stays in the cache. Rounding may differ with it."""


def precision(device: torch.device) -> str:
    """Name of the floats that a frozen backbone computes in."""
    return "bfloat16" if device.type == "cuda" else "float32"


def autocast(device: torch.device) -> torch.autocast:
    """Let a network compute in bfloat16 on CUDA, and in float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


class Extractor:
    """A frozen backbone on its device.

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
        self._run = _reader(backbone.to(device).frozen(), kinds)
        self.device = device
        self.batch = BATCH[device.type]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Each kind of images in [0, 1], float32, shape (B, 3, S, S) -> (B, ...)."""
        with autocast(self.device):
            return [found.float() for found in self._run(images)]

    def halving(self, work: Callable[[int], T]) -> T:
        """Do some work in batches; in smaller ones once the device had no room for them."""

        def attempt(batch: int) -> T:
            done = work(batch)
            self.batch = batch
            return done

        return halving(attempt, self.batch)


def _reader(backbone: Backbone, kinds: Sequence[Kind]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return what gives each of the kinds of some images."""
    if len(kinds) > 1:
        return backbone.both
    only: Callable[[Tensor], Tensor] = getattr(backbone, kinds[0])
    return lambda images: (only(images),)
