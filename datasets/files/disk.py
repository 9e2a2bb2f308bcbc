"""Arrays computed once, block by block, and kept on disk, memory-mapped.

The blocks go into ``<key>.partial.npy``, and ``<key>.json`` notes how far they came, so a pass that
was interrupted goes on where it stopped; the finished file is renamed into place. A file lock makes
a second process wait for the first instead of computing the same again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from datasets.progress import Progress, silent

Blocks = Callable[[int], Iterator[NDArray[Any]]]
"""Yields the rows from the given one on, a block at a time."""
BlocksOfSeveral = Callable[[int], Iterator[Sequence[NDArray[Any]]]]
"""The same of several arrays at a time."""


@dataclass(frozen=True)
class DiskArray:
    """An array on disk.

    Attributes
    ----------
    path : Path
        Its file.
    array : ndarray
        Memory-mapped.
    seconds : float
        What its computation took, whenever that was.
    """

    path: Path
    array: NDArray[Any]
    seconds: float


def disk_array(
    stem: Path,
    what: str,
    n: int,
    blocks: Blocks,
    progress: Progress = silent,
    mode: Literal["r", "c"] = "r",
) -> DiskArray:
    """Read an array from disk, or compute what is missing of it.

    Parameters
    ----------
    stem : Path
        Where it lies, without suffix; its name must identify its content.
    what : str
        What it is, for progress and the note beside it.
    n : int
        Its rows.
    blocks : callable
        Yields the missing rows; all blocks have the same type and shape but for their first axis.
    progress : callable
        Told after each block.
    mode : "r" or "c"
        Read-only, or copy-on-write for those who want memory that they may write to.
    """
    (stored,) = disk_arrays(
        [stem], what, n, lambda start: ([rows] for rows in blocks(start)), progress, mode
    )
    return stored


def disk_arrays(
    stems: Sequence[Path],
    what: str,
    n: int,
    blocks: BlocksOfSeveral,
    progress: Progress = silent,
    mode: Literal["r", "c"] = "r",
) -> list[DiskArray]:
    """Read arrays that one pass computes together; see `disk_array`, for each of `stems`."""
    finals = [_final(stem) for stem in stems]
    if not all(map(is_stored, stems)):
        with contextlib.ExitStack() as locks:
            for stem in sorted(stems):  # in one order, or two processes wait for each other
                stem.parent.mkdir(parents=True, exist_ok=True)
                locks.enter_context(FileLock(stem.with_suffix(".lock")))
            if not all(map(is_stored, stems)):
                _compute(what, finals, n, blocks, progress)
    arrays = [np.load(final, mmap_mode=mode, allow_pickle=False) for final in finals]
    seconds = [Note.read(_note(final)).seconds for final in finals]
    return [DiskArray(*each) for each in zip(finals, arrays, seconds, strict=True)]


def is_stored(stem: Path) -> bool:
    """Say whether an array is there, whole."""
    return _final(stem).is_file()


def _compute(
    what: str, finals: Sequence[Path], n: int, blocks: BlocksOfSeveral, progress: Progress
) -> None:
    partials = [_partial(final) for final in finals]
    so_far = min((_so_far(final, n) for final in finals), key=lambda note: note.done)
    if not so_far.done:
        for final in finals:
            _note(final).unlink(missing_ok=True)  # it may speak of an earlier array
    progress(what, so_far.done, n)
    start = time.perf_counter()
    for values in blocks(so_far.done) if so_far.done < n else ():
        for partial, rows in zip(partials, values, strict=True):
            if not so_far.done:
                _reserve(partial, rows.dtype, (n, *rows.shape[1:]))
            # Opened for each block: the pages of one that stays open would pile up in memory.
            array = np.load(partial, mmap_mode="r+", allow_pickle=False)
            array[so_far.done : so_far.done + len(rows)] = rows
            array.flush()
            del array
        now = time.perf_counter()
        so_far = Note(what, so_far.done + len(values[0]), so_far.seconds + now - start)
        start = now
        for final in finals:
            so_far.write(_note(final))
        progress(what, so_far.done, n)
    assert so_far.done == n, "blocks yields every row"
    for partial, final in zip(partials, finals, strict=True):
        partial.replace(final)


def _so_far(final: Path, n: int) -> Note:
    """Tell how far an unfinished array came."""
    return Note.read(_note(final)) if _rows(_partial(final)) == n else Note()


@dataclass(frozen=True)
class Note:
    """What stands beside an array: what it is, rows finished, seconds spent."""

    what: str = ""
    done: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path) -> Note:
        """Read a note; one that is absent or damaged says nothing."""
        try:
            note = json.loads(path.read_text())
            return cls(str(note["what"]), int(note["done"]), float(note["seconds"]))
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    def write(self, path: Path) -> None:
        """Write the note, at once or not at all."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)


def _final(stem: Path) -> Path:
    return stem.with_suffix(".npy")


def _note(final: Path) -> Path:
    return final.with_suffix(".json")


def _partial(final: Path) -> Path:
    return final.with_suffix(".partial.npy")


def _reserve(partial: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Make an array of zeros whose whole room on disk is taken.

    A page that finds the disk full when it is written to ends the process, without an exception.
    """
    open_memmap(partial, "w+", dtype, shape)
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with partial.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # others say that it cannot be known
            partial.unlink()
            raise


def _rows(partial: Path) -> int:
    """Rows that an unfinished array has room for; 0 where there is none that can be read."""
    try:
        return len(np.load(partial, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError):
        return 0
