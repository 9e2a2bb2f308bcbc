"""What two records differ in, results aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from results.store.record import RunRecord
from results.store.store import ResultStore

ORIGIN = ("dataset", "protocol", "backbone", "method", "kind", "bits", "seed", "settings")
CIRCUMSTANCES = ("protocol_info", "versions", "device", "commit")
Difference = tuple[str, Any, Any]
ABSENT = "absent"


def read_record(path: Path) -> RunRecord:
    """Read a record where it lies in its store.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    return store_of(path).read(path.resolve())


def store_of(path: Path) -> ResultStore:
    """Return the store in which a record lies, by its place: six folders below the root."""
    path = path.resolve()
    return ResultStore(path.parents[5] if len(path.parents) > 5 else path.parent)


def differences(one: RunRecord, other: RunRecord) -> list[Difference]:
    """Say in what two records differ, results aside: name, value of one, value of the other.

    Examples
    --------
    >>> list(_unequal("recipe", {"lr": 0.1, "epochs": 3}, {"lr": 0.1, "epochs": 5}))
    [('recipe.epochs', 3, 5)]
    """
    a, b = asdict(one), asdict(other)
    return [d for name in (*ORIGIN, *CIRCUMSTANCES) for d in _unequal(name, a[name], b[name])]


def _unequal(name: str, a: Any, b: Any) -> Iterator[Difference]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from _unequal(f"{name}.{key}", a.get(key, ABSENT), b.get(key, ABSENT))
    elif a != b:
        yield name, a, b
