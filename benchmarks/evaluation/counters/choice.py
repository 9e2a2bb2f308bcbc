"""The counter for each kind of device; all agree to the digit."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation.counters.any_device import (
    add_up_numpy,
    count_torch,
    gain_torch,
)
from benchmarks.evaluation.counters.cpu import Counts, count_numba
from benchmarks.evaluation.counters.cpu_gains import gain_numba
from benchmarks.evaluation.packing import Array, PackedBits
from datasets.errors import is_here

MAX_BITS = 2**15 - 1  # a distance has to fit 16 bits


def resolve(device: str | torch.device) -> torch.device:
    """Return the device that is meant; "auto" is CUDA where present."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


class Backend(NamedTuple):
    """The two counters of one device, with the arguments of `count_numba` and `gain_numba`."""

    counts: Callable[[PackedBits, PackedBits, PackedBits, PackedBits], Counts]
    gains: Callable[[PackedBits, PackedBits, Array, Array, Array], NDArray[np.float64]]


def backend(device: str | torch.device = "auto") -> Backend:
    """Return the counters for a device.

    Parameters
    ----------
    device : str or torch.device
        "cpu" is the numba kernel where numba is installed, CUDA the Triton kernel where Triton is,
        and anything else the torch path; "auto" is CUDA where present.
    """
    device = resolve(device)
    if device.type == "cpu" and is_here("numba"):
        return Backend(count_numba, gain_numba)
    counts = count_torch
    if device.type == "cuda" and find_spec("triton"):
        from benchmarks.evaluation.counters.cuda import count_triton as counts
    return Backend(partial(counts, device=device), partial(gain_torch, device=device))


AddUp = Callable[[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]], None]


def adder() -> AddUp:
    """Return what adds up tables by the bytes of codes, see `add_up_numpy`, on the CPU."""
    if not is_here("numba"):
        return add_up_numpy
    from benchmarks.evaluation.counters.cpu_sums_kernel import add_up

    compiled: AddUp = add_up
    return compiled
