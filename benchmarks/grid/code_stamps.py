"""Tell the code of the suite, and what is installed beside it, from what they were before.

What a call made from code and files alone can be kept, and shown again while their times and sizes
are the same. That costs a look at each file and no import.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import HOME

_PACKAGES = ("benchmarks", "datasets", "methods", "results")
_CODE = (".py", ".toml", ".bib", ".csv", ".jinja", ".css", ".js")
_OUTPUT = ("runs", "samples", "report")
"""Folders in `results` that hold no code."""

Stamp = tuple[str, int, int]
"""Path, time of the last change in nanoseconds, and size in bytes."""


def code_stamps() -> Iterator[Stamp]:
    """Stamp each file of the code, and each folder of packages.

    Such a folder changes when a package that offers methods or data sets comes or goes.
    """
    parts = (part for package in _PACKAGES for part in sorted((HOME / package).glob("*")))
    code = (part for part in parts if part.name not in _OUTPUT)
    files = (path for part in code for path in (part, *sorted(part.rglob("*"))))
    yield from stamps(path for path in files if path.suffix in _CODE)
    yield from stamps(map(Path, sys.path))


def stamps(paths: Iterable[Path]) -> Iterator[Stamp]:
    """Stamp what is there of some files and folders."""
    for path in paths:
        with contextlib.suppress(OSError):
            state = path.stat()
            yield str(path), state.st_mtime_ns, state.st_size


def state(of: Iterable[Stamp]) -> str:
    """Return a digest of stamps and of Python's version."""
    lines = [sys.version, *map(repr, of)]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
