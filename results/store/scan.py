"""Reading records back: one file, or all that lie in a folder.

What one file holds is checked in full. Of a whole folder nothing is raised: what cannot be read is
named, and what another version wrote is counted. A folder that is read again takes the files alone
that have changed.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from results.store.record import (
    SCHEMA,
    Failure,
    RunRecord,
    SchemaError,
    check_failure,
    check_record,
)
from results.store.run_key import RunKey, Table
from results.store.wording import counted

DAMAGED = (ValueError, OverflowError, RecursionError)
"""What a file may raise by what it holds."""
UNREADABLE = (OSError, *DAMAGED)
"""What reading a file may raise."""
FAILED = ".failed.json"
_SETTLED = 2_000_000_000
"""Nanoseconds after which two changes of a file have two times, on any file system."""
_Content = RunRecord | Failure | int | str
"""What a file holds; the number of another schema, or why it cannot be read."""


class Scan(NamedTuple):
    """One reading of the whole store."""

    records: list[RunRecord]
    skipped: list[str]  # "<file>: <reason>" for each record that cannot be read
    failures: list[Failure]  # without those that a later record of the same cell made good
    outdated: Sequence[str] = ()  # one line for all that is of other schemas, if there is any

    def of(self, tables: Collection[Table]) -> Scan:
        """Leave out the records and failures of other tables."""
        records = [record for record in self.records if record.table in tables]
        failures = [failure for failure in self.failures if failure.table in tables]
        return self._replace(records=records, failures=failures)


class _Stamp(NamedTuple):
    """What changes with a file, whether it is replaced or edited in place."""

    inode: int
    size: int
    written: int  # nanoseconds
    changed: int  # nanoseconds; no program sets it


class Reader:
    """Reads all records and failures below a folder, and remembers them for the next reading.

    Parameters
    ----------
    runs : Path
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known: dict[Path, tuple[_Stamp, _Content]] = {}

    def scan(self) -> Scan:
        """Return what the folder holds now, in the order of paths."""
        records: list[RunRecord] = []
        failures: list[Failure] = []
        skipped: list[str] = []
        schemas: list[int] = []
        for path, content in self._contents():
            if isinstance(content, RunRecord):
                records.append(content)
            elif isinstance(content, Failure):
                failures.append(content)
            elif isinstance(content, int):
                schemas.append(content)
            elif path.exists():  # or else it was made good meanwhile
                skipped.append(f"{path.relative_to(self._runs.parent).as_posix()}: {content}")
        outdated = [*_outdated(self._runs, schemas)]
        return Scan(records, skipped, _still_open(failures, records), outdated)

    def _contents(self) -> list[tuple[Path, _Content]]:
        known, self._known = self._known, {}
        with _no_collector():
            paths = sorted(self._runs.rglob("*.json"))
            return [(path, self._read(path, known.get(path))) for path in paths]

    def _read(self, path: Path, known: tuple[_Stamp, _Content] | None) -> _Content:
        """Return what a file holds; `known` is what it held, and its stamp then."""
        now = time.time_ns()
        try:
            stamp = _stamp(path)  # before its content, which may be newer but never older
            if known is None or known[0] != stamp:
                known = stamp, _content(path)
        except OSError as error:
            return reason(error)
        if now - max(stamp.written, stamp.changed) > _SETTLED:
            self._known[path] = known
        return known[1]


def read_record(path: Path) -> RunRecord:
    """Return the record in a file; raises one of `UNREADABLE` if it holds none of this schema."""
    data = _strict_json(path)
    check_record(data)
    record = RunRecord(**data)
    if record.path.parts != path.parts[-5:]:
        raise ValueError(f"its key belongs at runs/{record.path.as_posix()}")
    return record


def reason(error: Exception) -> str:
    """Return what an error says, without the number and file name of an OSError."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextmanager
def _no_collector() -> Iterator[None]:
    """Pause the search for garbage: nothing of what is read is, and it would look through it all.

    With 20,000 records it takes a third of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _content(path: Path) -> _Content:
    try:
        return _read_failure(path) if path.name.endswith(FAILED) else read_record(path)
    except SchemaError as error:
        return error.schema
    except DAMAGED as error:
        return reason(error)


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read_failure(path: Path) -> Failure:
    data = _strict_json(path)
    check_failure(data)
    return Failure(**data)


def _still_open(failures: Sequence[Failure], records: Sequence[RunRecord]) -> list[Failure]:
    """Return the failures after which no record of the same key was made."""
    latest: dict[RunKey, datetime] = {}
    for record in records:
        made = datetime.fromisoformat(record.created)
        latest[record.key] = max(made, latest.get(record.key, made))
    return [
        failure
        for failure in failures
        if failure.key not in latest
        or datetime.fromisoformat(failure.created) > latest[failure.key]
    ]


def _outdated(runs: Path, schemas: Sequence[int]) -> Iterator[str]:
    """Refuse all that is of other schemas in one line."""
    if schemas:
        records = counted(len(schemas), "record")
        found = " and ".join(map(str, sorted(set(schemas))))
        yield (
            f"{records} of schema {found} under {runs}: this version reads schema {SCHEMA}; "
            f"start anew with another --out, or remove {runs}"
        )


def _strict_json(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"holds {constant}, which is no JSON number")

    text = path.read_bytes()
    try:
        data = orjson.loads(text)
    except ValueError:  # Python's reader takes longer, knows more encodings, and says what is wrong
        data = json.loads(text, parse_constant=refuse)
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object, got {type(data).__name__}")
    return data
