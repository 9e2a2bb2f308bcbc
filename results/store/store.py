"""Finished cells on disk: one JSON record and one file of arrays for each.

A cell is one run: data set, protocol, backbone, method, bits, seed and the digest of all that
shaped its number. Under ``runs/<dataset>/<protocol>/<backbone>/<method>/`` its record is
``<bits>-<seed>-<digest8>.json``; its arrays lie beside it as ``.safetensors``. The arrays are
written first, each file under a temporary name and renamed, so a record that can be seen is
complete: the JSON is the commit point.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from results.store.files import write_atomic
from results.store.leases import SUFFIX as LEASE_SUFFIX
from results.store.record import (
    SCHEMA,
    Failure,
    RunRecord,
    SchemaError,
    check_failure,
    check_record,
)
from results.store.run_key import Address, RunKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHECKPOINT_SUFFIX = ".checkpoint"
_UNREADABLE = (OSError, ValueError, OverflowError, RecursionError)


class StoreError(Exception):
    """A one-line message meant for the user."""


class Scan(NamedTuple):
    """One reading of the whole store."""

    records: list[RunRecord]
    skipped: list[str]  # "<file>: <reason>" for each record that cannot be read
    failures: list[Failure]  # without those that a later record of the same cell made good
    outdated: Sequence[str] = ()  # one line for all that is of other schemas, if there is any


class ResultStore:
    """The records under one output folder.

    Parameters
    ----------
    root : Path
        The output folder; records lie under ``root/runs``.

    Examples
    --------
    >>> store = ResultStore(Path("results"))
    >>> address = Address("digits", "300-1497", "timm:vgg16@224", "lsh", 16, 0, "ab" * 32)
    >>> store.locate(address).as_posix()
    'results/runs/digits/300-1497/timm_vgg16@224/lsh/16-0-abababab.json'
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.runs = self.root / "runs"

    def check_writable(self) -> None:
        """Raise StoreError unless a file can be created in the folder of the records."""
        try:
            write_atomic(self.runs / ".writable", b"")
            (self.runs / ".writable").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"output folder {self.root}: cannot be written ({_reason(error)}); "
                "make it writable or choose another with --out"
            ) from error

    def locate(self, address: Address) -> Path:
        """Path of a cell's record; settings in its method's name are left to the digest."""
        names = (*address.table, address.method.partition("(")[0])
        name = f"{address.bits}-{address.seed}-{address.digest[:8]}.json"
        return self.runs.joinpath(*map(folder_name, names), name)

    def lease_path(self, address: Address) -> Path:
        """Path of the lease by which runners share a cell."""
        return self.locate(address).with_suffix(LEASE_SUFFIX)

    def checkpoint_path(self, address: Address) -> Path:
        """Path at which a cell's training is kept while it goes on."""
        return self.locate(address).with_suffix(CHECKPOINT_SUFFIX)

    def has(self, address: Address) -> bool:
        """Whether the cell is stored: a record that can be read, and whole arrays beside it."""
        path = self.locate(address)
        with contextlib.suppress(StoreError, OSError, safetensors.SafetensorError):
            with safetensors.safe_open(path.with_suffix(".safetensors"), "numpy"):
                pass  # the header tells how long the file has to be
            return self.read(path).digest == address.digest
        return False

    def save(
        self, record: RunRecord, arrays: Mapping[str, np.ndarray], *, force: bool = False
    ) -> Path:
        """Store a finished cell and clear its failure, if it had one.

        A record that cannot be read (corrupt, or of another schema) is replaced without asking.

        Parameters
        ----------
        record : RunRecord
            Checked here, once.
        arrays : mapping from str to ndarray
            Packed codes, row numbers and per-query values.
        force : bool
            Replace a stored cell of the same digest.

        Returns
        -------
        Path
            The record's JSON file.

        Raises
        ------
        StoreError
            If the record breaks the schema (a non-finite number is named), if the cell is stored
            already, or if the disk refuses.
        """
        path = self.locate(record)
        try:
            data = asdict(record)
            check_record(data)
            text = json.dumps(data, indent=1, allow_nan=False)
        except (ValueError, TypeError, OverflowError) as error:
            raise StoreError(f"record {self._short(path)}: {error}; nothing was saved") from error
        if not force and self.has(record):
            raise StoreError(
                f"record {self._short(path)} is stored already; replace it with --force "
                "or choose another output folder with --out"
            )
        packed = {
            name: np.require(array, requirements="C")
            for name, array in arrays.items()  # safetensors wants rows without gaps
        }
        try:
            write_atomic(path.with_suffix(".safetensors"), safetensors.numpy.save(packed))
            write_atomic(path, text.encode())
            _failed(path).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"record {self._short(path)} could not be written ({_reason(error)})"
            ) from error
        return path

    def read(self, path: Path) -> RunRecord:
        """Return the record in a JSON file.

        Raises
        ------
        StoreError
            If the file cannot be read, breaks the schema or lies where another cell belongs.
        """
        try:
            return self._record(path)
        except _UNREADABLE as error:
            raise StoreError(f"{self._short(path)}: {_reason(error)}") from error

    def arrays(self, path: Path) -> dict[str, np.ndarray]:
        """Return the arrays beside a record.

        Parameters
        ----------
        path : Path
            The record's JSON file.
        """
        path = path.with_suffix(".safetensors")
        try:
            return dict(safetensors.numpy.load_file(path))
        except OSError as error:
            raise StoreError(f"{self._short(path)}: {_reason(error)}") from error
        except safetensors.SafetensorError as error:
            raise StoreError(f"{self._short(path)}: {error}; run the cell again") from error

    def scan(self) -> Scan:
        """Read everything once; what cannot be read is named and left out, never raised."""
        records: list[RunRecord] = []
        failures: list[Failure] = []
        skipped: list[str] = []
        schemas: list[int] = []
        for path in sorted(self.runs.rglob("*.json")):
            try:
                if path.name.endswith(".failed.json"):
                    failures.append(_failure(path))
                else:
                    records.append(self._record(path))
            except SchemaError as error:
                schemas.append(error.schema)
            except _UNREADABLE as error:
                if path.exists():  # or else it was made good meanwhile
                    skipped.append(f"{self._short(path)}: {_reason(error)}")
        latest: dict[RunKey, datetime] = {}
        for record in records:
            made = datetime.fromisoformat(record.created)
            latest[record.key] = max(made, latest.get(record.key, made))
        open_failures = [
            failure
            for failure in failures
            if failure.key not in latest
            or datetime.fromisoformat(failure.created) > latest[failure.key]
        ]
        return Scan(records, skipped, open_failures, tuple(self._outdated(schemas)))

    def records(self) -> list[RunRecord]:
        """Return every record that can be read, in the order of their paths."""
        return self.scan().records

    def failures(self) -> list[Failure]:
        """Return the failed cells that no later record made good."""
        return self.scan().failures

    def mark_failed(self, address: Address, *, kind: str, error: str, traceback: str = "") -> Path:
        """Leave ``<bits>-<seed>-<digest8>.failed.json``; saving the cell removes it again.

        A cell that is stored has not failed, whatever came of running it again: it gets no such
        file, and loses one that it has.
        """
        failure = Failure(
            **vars(address.key),
            digest=address.digest,
            kind=kind,
            error=" ".join(error.split()),
            traceback=traceback,
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
        )
        path = _failed(self.locate(address))
        try:
            write_atomic(path, json.dumps(asdict(failure), indent=1).encode())
            if self.has(address):  # asked last: another runner may be storing it right now
                path.unlink(missing_ok=True)
        except OSError as problem:
            raise StoreError(f"{self._short(path)}: {_reason(problem)}") from problem
        return path

    def _record(self, path: Path) -> RunRecord:
        data = _strict_json(path)
        check_record(data)
        record = RunRecord(**data)
        if self.locate(record).parts[-5:] != path.parts[-5:]:
            raise ValueError(f"its key belongs at {self._short(self.locate(record))}")
        return record

    def _outdated(self, schemas: Sequence[int]) -> Iterator[str]:
        """Refuse all that is of other schemas in one line."""
        if schemas:
            records = "1 record" if len(schemas) == 1 else f"{len(schemas)} records"
            found = " and ".join(map(str, sorted(set(schemas))))
            yield (
                f"{records} of schema {found} under {self.runs}: this version reads schema "
                f"{SCHEMA}; start anew with another --out, or remove {self.runs}"
            )

    def _short(self, path: Path) -> str:
        """Return the path below the output folder, as messages show it."""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()


def folder_name(part: str) -> str:
    """Return `part` as one safe path component.

    Examples
    --------
    >>> folder_name("timm:vgg16.tv_in1k@224"), folder_name("../x"), folder_name("..")
    ('timm_vgg16.tv_in1k@224', '.._x', '__')
    """
    safe = re.sub(r"[^A-Za-z0-9._@=-]", "_", part)
    return safe if safe.strip(".") else "_" * max(len(safe), 1)


def _failure(path: Path) -> Failure:
    data = _strict_json(path)
    check_failure(data)
    return Failure(**data)


def _failed(path: Path) -> Path:
    return path.with_name(f"{path.stem}.failed.json")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _strict_json(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"holds {constant}, which is no JSON number")

    data = json.loads(path.read_bytes(), parse_constant=refuse)
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object, got {type(data).__name__}")
    return data
