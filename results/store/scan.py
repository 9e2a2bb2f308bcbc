"""Reading records back: one file, or all that lie in a folder.

What one file holds is checked in full. Of a whole folder nothing is raised: what cannot be read is
named, and what another version wrote is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from results.store.record import (
    SCHEMA,
    Failure,
    RunRecord,
    SchemaError,
    check_failure,
    check_record,
)
from results.store.run_key import RunKey

UNREADABLE = (OSError, ValueError, OverflowError, RecursionError)
"""What reading a file may raise."""
FAILED = ".failed.json"


class Scan(NamedTuple):
    """One reading of the whole store."""

    records: list[RunRecord]
    skipped: list[str]  # "<file>: <reason>" for each record that cannot be read
    failures: list[Failure]  # without those that a later record of the same cell made good
    outdated: Sequence[str] = ()  # one line for all that is of other schemas, if there is any


def scan_runs(runs: Path) -> Scan:
    """Read every record and failure below a folder, in the order of their paths."""
    records: list[RunRecord] = []
    failures: list[Failure] = []
    skipped: list[str] = []
    schemas: list[int] = []
    for path in sorted(runs.rglob("*.json")):
        try:
            if path.name.endswith(FAILED):
                failures.append(_read_failure(path))
            else:
                records.append(read_record(path))
        except SchemaError as error:
            schemas.append(error.schema)
        except UNREADABLE as error:
            if path.exists():  # or else it was made good meanwhile
                skipped.append(f"{path.relative_to(runs.parent).as_posix()}: {reason(error)}")
    return Scan(records, skipped, _still_open(failures, records), [*_outdated(runs, schemas)])


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
        records = "1 record" if len(schemas) == 1 else f"{len(schemas)} records"
        found = " and ".join(map(str, sorted(set(schemas))))
        yield (
            f"{records} of schema {found} under {runs}: this version reads schema {SCHEMA}; "
            f"start anew with another --out, or remove {runs}"
        )


def _strict_json(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"holds {constant}, which is no JSON number")

    data = json.loads(path.read_bytes(), parse_constant=refuse)
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object, got {type(data).__name__}")
    return data
