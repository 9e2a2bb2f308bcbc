"""Whether a folder may be written into: none of somebody else's files is ever written over."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from benchmarks.models.config import ModelError


def require_room(folder: Path, what: str, marks: Collection[str]) -> None:
    """Refuse a folder that holds files, and none of those that mark it as ours.

    Parameters
    ----------
    folder : Path
        New, empty, or to be replaced.
    what : str
        What it is to be, as the message begins.
    marks : collection of str
        Names of files, of which a folder of this kind has one at least.

    Raises
    ------
    ModelError
        If it is such a folder, or none.
    """
    try:
        there = {path.name for path in folder.iterdir() if path.name[0] != "."}
    except FileNotFoundError:
        return
    except OSError as error:
        raise ModelError(f"{what} {folder}: {error.strerror}; choose another folder") from error
    if there and there.isdisjoint(marks):
        raise ModelError(f"{what} {folder}: holds other files; choose one that is new or empty")
