"""Lists of ``benchmarks.run --list``, kept until the code that makes them changes.

Whoever asks what there is waits for nothing: methods and data sets are known by their classes, and
importing those loads torch, which takes seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import HOME

_PACKAGES = ("benchmarks", "datasets", "methods")
"""Whose code and presets make the lists."""


def kept_listing(what: str, cache: Path) -> list[str]:
    """Lines of `benchmarks.grid.listing.listing`, from the cache where it has them.

    Parameters
    ----------
    what : str
        One of `benchmarks.grid.flags.LISTS`.
    cache : Path
        Folder of the cache; where it cannot be written, the list is made anew each time.
    """
    path = cache / "lists" / f"{what}.txt"
    digest = _digest()
    with contextlib.suppress(OSError, ValueError):
        kept, *lines = path.read_text(encoding="utf-8").splitlines()
        if kept == digest:
            return lines
    from benchmarks.grid.listing import listing  # it loads torch

    lines = listing(what)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text("\n".join([digest, *lines]) + "\n", encoding="utf-8")
        part.replace(path)
    return lines


def _digest() -> str:
    """Tell this code, and the packages that are installed beside it, from any other."""
    seen = [sys.version, *map(repr, _stamps())]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def _stamps() -> Iterator[tuple[str, int, int]]:
    """Yield path, time and size of each file of the code, and of the folders of packages.

    A folder of packages changes when one that offers methods or data sets comes or goes.
    """
    files = (path for package in _PACKAGES for path in sorted((HOME / package).rglob("*")))
    kept = (path for path in files if path.suffix in (".py", ".toml"))
    for path in (*kept, *map(Path, sys.path)):
        with contextlib.suppress(OSError):
            state = path.stat()
            yield str(path), state.st_mtime_ns, state.st_size
