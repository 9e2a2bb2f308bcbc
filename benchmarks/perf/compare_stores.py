"""Compare two results folders number by number: ``python -m benchmarks.perf.compare_stores A B``.

Cells are matched by their names, whatever their digests: so it shows whether a change of the code,
of a library or of the machine moved any metric or bit. Prints each difference; exits with 1 if
there is one, or if a cell is in one folder alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.command import run_command
from results.store import ResultStore, RunRecord, StoreError
from results.store.wording import counted

Cells = dict[tuple[str, str, str, str, int, int], RunRecord]
CODES = ("query_codes", "database_codes", "query_rows", "database_rows", "query_ap")


def differences(one: ResultStore, other: ResultStore) -> Iterator[str]:
    """Yield a line for each number or array in which two stores differ."""
    a, b = cells(one), cells(other)
    for name in sorted(a.keys() ^ b.keys()):
        yield f"{name}: only in {(one if name in a else other).root}"
    for name in sorted(a.keys() & b.keys()):
        yield from _of_cell(f"{name}", (one, a[name]), (other, b[name]))


def cells(store: ResultStore) -> Cells:
    """Return the newest record of each cell."""
    found = sorted(store.records(), key=lambda record: record.created)
    return {(*r.entry, r.seed): r for r in found}


def _of_cell(
    name: str, one: tuple[ResultStore, RunRecord], other: tuple[ResultStore, RunRecord]
) -> Iterator[str]:
    (_, a), (_, b) = one, other
    for metric in sorted(a.metrics.keys() | b.metrics.keys()):
        old, new = a.metrics.get(metric), b.metrics.get(metric)
        if old != new:
            yield f"{name} {metric}: {old} | {new}"
    arrays = [store.arrays(store.locate(record)) for store, record in (one, other)]
    for array in CODES:
        left, right = (found.get(array) for found in arrays)
        if (left is None) != (right is None):
            yield f"{name} {array}: only in one"
        elif left is not None and right is not None and not np.array_equal(left, right):
            differ = int((left != right).sum()) if left.shape == right.shape else "all"
            yield f"{name} {array}: {differ} of {left.size} entries differ"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code."""
    folders = sys.argv[1:] if arguments is None else arguments
    if len(folders) != 2:
        sys.stderr.write("usage: python -m benchmarks.perf.compare_stores A B\n")
        return 2
    one, other = (ResultStore(Path(folder)) for folder in folders)
    try:
        n = len(cells(one).keys() & cells(other).keys())
        found = list(differences(one, other))
    except StoreError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print("\n".join([*found, f"{counted(n, 'cell')} in both, {counted(len(found), 'difference')}"]))
    return 1 if found or not n else 0


if __name__ == "__main__":
    sys.exit(run_command(main))
