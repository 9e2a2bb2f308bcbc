"""A folder of published numbers: records without codes, the tables they give, and the figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine.environment import place
from benchmarks.publish.bundle import Bundle, BundleError, Item, write_bundle
from benchmarks.runner.reporting import read_board
from datasets.errors import one_line
from results.report import REPORT, csv_tables
from results.store.files import write_atomic
from results.store.store import ResultStore
from results.store.wording import counted

RECORDS = "records.parquet"
TABLES = ("leaderboard.csv", "runs.csv", "statistics.csv")


def publish(store: ResultStore, folder: Path) -> list[Path]:
    """Copy what is worth publishing of a results folder that has its report; returns the files.

    Raises
    ------
    BundleError
        If the report is not there, or the folder cannot be written.
    StoreError
        If arrays of a record cannot be read.
    """
    report = store.root / REPORT
    tables = {name: report / name for name in TABLES}
    figures = {f"figures/{path.name}": path for path in sorted(report.glob("figures/*.svg"))}
    try:
        contents = {name: path.read_bytes() for name, path in (tables | figures).items()}
        for name, content in contents.items():
            write_atomic(folder / name, content)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({one_line(error)})") from error
    write_bundle(folder / RECORDS, Bundle(tuple(item.without_codes() for item in items_of(store))))
    return [folder / RECORDS, *(folder / name for name in contents)]


def publish_run(options: argparse.Namespace) -> None:
    """Publish the results of a run where its flags, those of `benchmarks.run`, want it."""
    if options.publish is None or options.dry_run or place().rank > 0:
        return
    written = publish(ResultStore(options.out), options.publish)
    sys.stdout.write(f"published: {counted(len(written), 'file')} in {options.publish}\n")


def items_of(store: ResultStore) -> Iterable[Item]:
    """Yield every record of a store with its arrays.

    Raises
    ------
    StoreError
        If arrays of a record cannot be read.
    """
    for record in store.records():
        yield Item(record, store.arrays(store.locate(record)))


def table_faults(folder: Path, bundle: Bundle) -> list[str]:
    """Say which tables of a published folder do not follow from its records.

    Raises
    ------
    StoreError
        If the records cannot be laid out in a store.
    """
    with TemporaryDirectory() as place:
        expected = csv_tables(read_board(unpacked(bundle, Path(place))))
    return [fault for name in TABLES if (fault := _fault(folder / name, expected[name]))]


def unpacked(bundle: Bundle, folder: Path) -> ResultStore:
    """Lay out the records of a bundle as a results folder.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    store = ResultStore(folder)
    for item in bundle.items:
        store.save(item.record, item.arrays)
    return store


def _fault(path: Path, expected: bytes) -> str:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        return f"{path.name}: cannot be read ({one_line(error)})"
    if lines == (right := expected.splitlines()):
        return ""
    if len(lines) != len(right):
        return f"{path.name}: has {len(lines):,} lines, its records give {len(right):,}"
    line = next(i for i, pair in enumerate(zip(lines, right, strict=True)) if pair[0] != pair[1])
    return (
        f"{path.name}: line {line + 1} is {one_line(lines[line].decode(errors='replace'))!r:.200}, "
        f"its records give {one_line(right[line].decode())!r:.200}"
    )
