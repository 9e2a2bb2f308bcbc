"""The cells that the last call planned for a results folder, and how far each of them is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from results.store.files import write_atomic
from results.store.leases import Holder, read_lease
from results.store.run_key import Address
from results.store.scan import Scan
from results.store.store import ResultStore, StoreError

FILE = "plan.json"
STATES = ("done", "running", "failed", "missing")
State = Literal["done", "running", "failed", "missing"]


class Standing(NamedTuple):
    """How far a planned cell is, and what its holder or its failure says."""

    cell: Address
    state: State
    note: str
    holder: Holder | None


def write_plan(store: ResultStore, cells: Sequence[Address]) -> None:
    """Store which cells a grid has, in place of an earlier plan.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    text = json.dumps([vars(cell) for cell in cells], indent=0)
    try:
        write_atomic(store.root / FILE, text.encode())
    except OSError as error:
        raise StoreError(f"{FILE}: {error.strerror}") from error


def read_plan(store: ResultStore) -> list[Address]:
    """Return the cells of the last grid; none if there has been none.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    path: Path = store.root / FILE
    if not path.is_file():
        return []
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_bytes())
        return [_checked(Address(**cell)) for cell in cells]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{FILE}: damaged ({error}); plan the grid again") from error


def _checked(cell: Address) -> Address:
    """Refuse names that are no text and numbers that are none."""
    for name, value in vars(cell).items():
        if not isinstance(value, int if name in ("bits", "seed") else str):
            raise TypeError(f"{name}: got {value!r}")
    return cell


def standings(store: ResultStore, scan: Scan) -> list[Standing]:
    """Say how far each cell of the last grid is, by a reading of the store."""
    stored = {record.digest for record in scan.records}
    failures = {failure.digest: failure.error for failure in scan.failures}
    return [_standing(store, cell, stored, failures) for cell in read_plan(store)]


def _standing(
    store: ResultStore, cell: Address, stored: set[str], failures: dict[str, str]
) -> Standing:
    if cell.digest in stored:
        return Standing(cell, "done", "", None)
    holder = read_lease(store.lease_path(cell))
    if holder is not None:
        return Standing(cell, "running", holder.doing, holder)
    if cell.digest in failures:
        return Standing(cell, "failed", failures[cell.digest], None)
    return Standing(cell, "missing", "", None)


def gaps(found: Sequence[Standing]) -> list[str]:
    """Name the cells that have no result yet, a line for each method of a table and state.

    Failed cells are not among them: they have a line of their own wherever they are shown.

    Examples
    --------
    >>> cells = [Address("digits", "300-1497", "pixels", "lsh", 16, seed, "") for seed in (0, 2)]
    >>> gaps([Standing(cell, "missing", "", None) for cell in cells])
    ['Missing: digits/300-1497 pixels lsh: 16 bits (seeds 0, 2)']
    """
    rows: dict[tuple[str, str], dict[int, list[int]]] = {}
    for cell, state, _, _ in found:
        if state in ("running", "missing"):
            row = f"{cell.dataset}/{cell.protocol} {cell.backbone} {cell.method}"
            rows.setdefault((state, row), {}).setdefault(cell.bits, []).append(cell.seed)
    return [
        f"{state.capitalize()}: {row}: {', '.join(map(_length, lengths.items()))}"
        for (state, row), lengths in sorted(rows.items())
    ]


def _length(item: tuple[int, list[int]]) -> str:
    bits, seeds = item
    listed = ", ".join(map(str, sorted(seeds)))
    length = f"{bits} bits" if bits else "no codes"
    return f"{length} (seed{'s' if len(seeds) > 1 else ''} {listed})"
