"""Lists of ``benchmarks.run --list``, kept until the code that makes them changes.

Whoever asks what there is waits for nothing: methods and data sets are known by their classes, and
importing those loads torch, which takes seconds.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from benchmarks.grid.code_stamps import code_stamps, state


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
    digest = state(code_stamps())
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
