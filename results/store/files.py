"""Writing files so that nobody ever sees half of one, and removing what dead processes left."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import safetensors.numpy

SUFFIX = ".tmp"
_FORGOTTEN = 24 * 3600.0
"""Seconds after which a temporary file of another machine counts as left behind."""


def temporary(path: Path) -> Path:
    """Return a new name beside a file, which tells the machine and process that use it."""
    name = f".{path.name}@{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
    return path.with_name(name)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file under a temporary name in its folder, flush it to disk, rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = temporary(path)
    try:
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def tensor_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as a safetensors file, which takes rows without gaps alone."""
    packed = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    return safetensors.numpy.save(packed)


def remove_left_behind(*folders: Path) -> None:
    """Remove the temporary files of processes that have died, in some folders, not below them."""
    for path in chain.from_iterable(folder.glob(f".*{SUFFIX}") for folder in folders):
        with contextlib.suppress(OSError, ValueError):
            writer, pid, _ = path.name.rsplit("-", 2)
            died = writer.rpartition("@")[2] == socket.gethostname() and has_died(int(pid))
            if died or time.time() - path.stat().st_mtime > _FORGOTTEN:
                path.unlink()


def has_died(pid: int) -> bool:
    """Whether a process of this machine is no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it lives, under another user
        return False
    return False
