"""Memory: freed blocks kept for the next batch; smaller parts where a device has no room."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

_KEPT = 512 * 2**20
"""Freed bytes that the process may hold back."""
_OWN_MAPPING = 256 * 2**20
"""Bytes from which on a block of memory is given back to the system the moment that it is freed."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep half a gibibyte of what it frees, where its C library is glibc.

    A batch of activations is freed before the next one is computed. By default glibc gives that
    memory back to the system, which hands it out again page by page, each with an interruption: up
    to half of the time of a small network.

    Returns
    -------
    bool
        Whether the library took the setting; others have allocators of their own.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function, no such library
        return False
    trim, own = mallopt(_M_TRIM_THRESHOLD, _KEPT), mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING)
    return bool(trim and own)


def halving(work: Callable[[int], T], size: int) -> T:
    """Do some work in chunks of `size`, and in chunks of half of it where the device has no room.

    Parameters
    ----------
    work : callable
        Given the chunk size, does all of the work.
    size : int
        Rows or numbers a chunk, at first.

    Raises
    ------
    torch.OutOfMemoryError
        If even a chunk of one has no room.
    """
    while True:
        try:
            return work(size)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size = (size + 1) // 2
        torch.cuda.empty_cache()
