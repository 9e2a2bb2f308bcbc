"""A folder of published numbers: records without codes, the tables they give, and the figures."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.machine.environment import place
from benchmarks.publish.bundle import Bundle, BundleError, Item, read_bundle, write_bundle
from benchmarks.runner.reporting import read_board
from datasets.errors import one_line
from results.analysis.board import Board
from results.report import REPORT, csv_tables
from results.store.files import write_atomic
from results.store.store import ResultStore
from results.store.wording import counted
from results.tables.leaderboard_parquet import NAME as PARQUET
from results.tables.leaderboard_parquet import leaderboard_frame

RECORDS = "records.parquet"
TABLES = ("leaderboard.csv", "runs.csv", "statistics.csv")
"""Whose lines follow from the records."""


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
    tables = {name: report / name for name in (*TABLES, PARQUET)}
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
        board = read_board(unpacked(bundle, Path(place)))
    expected = csv_tables(board)
    faults = [_fault(folder / name, expected[name]) for name in TABLES]
    faults.append(_parquet_fault(folder / PARQUET, leaderboard_frame(board)))
    return [fault for fault in faults if fault]


def published(reference: Path, folder: Path) -> tuple[Board, ResultStore]:
    """Lay out the records of a published folder as a results folder, and read its board.

    Raises
    ------
    BundleError
        If the records cannot be read.
    StoreError
        If the folder cannot be written.
    """
    store = unpacked(read_bundle(reference / RECORDS), folder)
    return read_board(store), store


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


def _parquet_fault(path: Path, expected: pd.DataFrame) -> str:
    """Compare values, for the bytes of a file depend on the version of what wrote it."""
    import pyarrow as pa  # read_bundle was the first to need it
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(path.read_bytes()))
    except (OSError, pa.ArrowException) as error:
        return f"{path.name}: cannot be read ({one_line(error)})"
    if table.column_names != list(expected):
        return f"{path.name}: has columns {table.column_names}, its records give {list(expected)}"
    if table.num_rows != len(expected):
        return f"{path.name}: has {table.num_rows:,} rows, its records give {len(expected):,}"
    right = pa.Table.from_pandas(expected, preserve_index=False)
    for name in table.column_names:
        pairs = zip(table[name].to_pylist(), right[name].to_pylist(), strict=True)
        for row, (found, own) in enumerate(pairs):
            if found != own:
                return f"{path.name}: row {row} has {name} {found!r:.80}, its records give {own!r}"
    return ""
