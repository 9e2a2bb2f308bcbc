"""Remove what processes that died have left in a results folder."""

from __future__ import annotations

import contextlib

from results.store.files import remove_left_behind
from results.store.leases import SUFFIX, put_away, read_lease
from results.store.store import CHECKPOINT_SUFFIX, ResultStore

_FOLDERS = ("runs", "samples", "report")


def tidy(store: ResultStore) -> None:
    """Remove temporary files and leases of the dead, and checkpoints of cells that are stored.

    Nothing that a living process uses, and no checkpoint of a cell that is still to be done. A file
    that cannot be removed stays.
    """
    below = (folder for name in _FOLDERS for folder in (store.root / name).glob("**/"))
    remove_left_behind(store.root, *below)
    for path in store.runs.rglob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            put_away(path)
    for path in store.runs.rglob(f"*{CHECKPOINT_SUFFIX}"):
        is_stored = path.with_suffix(".json").is_file()
        with contextlib.suppress(OSError):
            if is_stored and read_lease(path.with_suffix(SUFFIX)) is None:
                path.unlink(missing_ok=True)
