"""Remove what processes that died have left in a results folder."""

from __future__ import annotations

import contextlib

from results.store.files import remove_left_behind
from results.store.leases import SUFFIX, put_away, read_lease
from results.store.store import CHECKPOINT_SUFFIX, MODEL_SUFFIX, ResultStore

_FOLDERS = ("runs", "samples", "report")


def tidy(store: ResultStore) -> None:
    """Remove temporary files, leases of the dead, checkpoints of stored cells, models of others.

    Nothing that a living process uses, and no checkpoint of a cell that is still to be done. A file
    that cannot be removed stays.
    """
    below = (folder for name in _FOLDERS for folder in (store.root / name).glob("**/"))
    remove_left_behind(store.root, *below)
    for path in store.runs.rglob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            put_away(path)
    for suffix, of_stored in ((CHECKPOINT_SUFFIX, True), (MODEL_SUFFIX, False)):
        for path in store.runs.rglob(f"*{suffix}"):
            is_stored = path.with_suffix(".json").is_file()
            with contextlib.suppress(OSError):
                if is_stored == of_stored and read_lease(path.with_suffix(SUFFIX)) is None:
                    path.unlink(missing_ok=True)
