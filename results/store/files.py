"""Writing files so that nobody ever sees half of one, and removing what dead processes left."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Mapping
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import safetensors.numpy

SUFFIX = ".tmp"
_FORGOTTEN = 24 * 3600.0
"""Seconds after which a temporary file of processes that cannot be asked counts as left behind."""


@cache
def process_space() -> str:
    """Where process numbers mean what they mean here: 12 hex digits for a machine's PID namespace.

    Two containers have one host name and one kernel, and each has a process 7 of its own; a machine
    that was started anew has other processes than before.
    """
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # where the system has no such files, the name has to do
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def temporary(path: Path) -> Path:
    """Return a name beside a file that no other process uses; it tells whose it is."""
    owner = f"{process_space()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.name}@{owner}{SUFFIX}")


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


def age(path: Path) -> float | None:
    """Seconds since a file was written, by the clock of its file system; None if there is none.

    A file is touched beside it, so that clocks of two machines are never compared. Less than 0 is a
    file from a clock that has been ahead.
    """
    try:
        written = path.stat().st_mtime
    except FileNotFoundError:
        return None
    probe = temporary(path.with_name("clock"))
    try:
        probe.touch()
        return probe.stat().st_mtime - written
    except OSError:  # a folder that may only be read, or a full disk: this machine's clock it is
        return time.time() - written
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def tensor_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as a safetensors file, which takes rows without gaps alone."""
    packed = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    return safetensors.numpy.save(packed)


def remove_left_behind(*folders: Path) -> None:
    """Remove the temporary files of processes that have died, in some folders, not below them."""
    for path in chain.from_iterable(folder.glob(f".*{SUFFIX}") for folder in folders):
        with contextlib.suppress(OSError, ValueError):
            writer, pid, _ = path.name.rsplit("-", 2)
            is_ours = writer.rpartition("@")[2] == process_space()
            if (is_ours and has_died(int(pid))) or abs(age(path) or 0.0) > _FORGOTTEN:
                path.unlink()


def has_died(pid: int) -> bool:
    """Whether a process of this `process_space` is no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it lives, under another user; or there is no such number
        return False
    return False
