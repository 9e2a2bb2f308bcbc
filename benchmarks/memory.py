"""Memory that was freed, kept for what comes next."""

from __future__ import annotations

import ctypes

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
