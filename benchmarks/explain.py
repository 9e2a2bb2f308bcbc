"""List what two records differ in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.command import OK, Parser, fail, run_command
from results.store.record import RunRecord
from results.store.store import ResultStore, StoreError

ORIGIN = ("dataset", "protocol", "backbone", "method", "kind", "bits", "seed", "settings")
CIRCUMSTANCES = ("protocol_info", "versions", "device", "commit")
Difference = tuple[str, Any, Any]
ABSENT = "absent"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.explain", __doc__)
    parser.add_argument("records", nargs=2, type=Path, metavar="RECORD.json")
    options = parser.parse_args(arguments)
    try:
        one, other = (read_record(path) for path in options.records)
    except StoreError as error:
        return fail(error)
    lines = [f"{name}: {a} | {b}" for name, a, b in differences(one, other)]
    sys.stdout.write("\n".join(lines or ["no setting differs"]) + "\n")
    return OK


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


if __name__ == "__main__":
    sys.exit(run_command(main))
