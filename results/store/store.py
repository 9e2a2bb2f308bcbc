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
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy

from results.store.files import tensor_file, write_atomic
from results.store.leases import SUFFIX as LEASE_SUFFIX
from results.store.record import Failure, RunRecord, check_record
from results.store.run_key import Address
from results.store.scan import FAILED, UNREADABLE, Reader, Scan, read_record, reason

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKPOINT_SUFFIX = ".checkpoint"
MODEL_SUFFIX = ".model"


class StoreError(Exception):
    """A one-line message meant for the user."""


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
        self._reader = Reader(self.runs)

    def check_writable(self) -> None:
        """Raise StoreError unless a file can be created in the folder of the records."""
        try:
            write_atomic(self.runs / ".writable", b"")
            (self.runs / ".writable").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"output folder {self.root}: cannot be written ({reason(error)}); "
                "make it writable or choose another with --out"
            ) from error

    def locate(self, address: Address) -> Path:
        """Path of a cell's record."""
        return self.runs / address.path

    def lease_path(self, address: Address) -> Path:
        """Path of the lease by which runners share a cell."""
        return self.locate(address).with_suffix(LEASE_SUFFIX)

    def checkpoint_path(self, address: Address) -> Path:
        """Path at which a cell's training is kept while it goes on."""
        return self.locate(address).with_suffix(CHECKPOINT_SUFFIX)

    def keep_model(self, address: Address, learnt: Mapping[str, np.ndarray]) -> None:
        """Write what a cell learnt beside its record.

        Raises
        ------
        StoreError
            If the disk refuses.
        """
        path = self.locate(address).with_suffix(MODEL_SUFFIX)
        try:
            write_atomic(path, tensor_file(learnt))
        except OSError as error:
            raise StoreError(
                f"{self._short(path)} could not be written ({reason(error)})"
            ) from error

    def model(self, path: Path) -> dict[str, np.ndarray] | None:
        """Return what was learnt by the cell of a record, by its JSON file; None if not kept.

        Raises
        ------
        StoreError
            If the file is there and cannot be read.
        """
        path = path.with_suffix(MODEL_SUFFIX)
        if not path.is_file():
            return None
        try:
            return dict(safetensors.numpy.load_file(path))
        except (OSError, safetensors.SafetensorError) as error:
            raise StoreError(
                f"{self._short(path)}: {error}; remove it, and the cell is trained again"
            ) from error

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
        try:
            write_atomic(path.with_suffix(".safetensors"), tensor_file(arrays))
            write_atomic(path, text.encode())
            _failed(path).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"record {self._short(path)} could not be written ({reason(error)})"
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
            return read_record(path)
        except UNREADABLE as error:
            raise StoreError(f"{self._short(path)}: {reason(error)}") from error

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
            raise StoreError(f"{self._short(path)}: {reason(error)}") from error
        except safetensors.SafetensorError as error:
            raise StoreError(f"{self._short(path)}: {error}; run the cell again") from error

    def scan(self) -> Scan:
        """Read everything; what cannot be read is named and left out, never raised.

        A file that has not changed since the last scan of this store is not read again.
        """
        return self._reader.scan()

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
            raise StoreError(f"{self._short(path)}: {reason(problem)}") from problem
        return path

    def _short(self, path: Path) -> str:
        """Return the path below the output folder, as messages show it."""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()


def _failed(path: Path) -> Path:
    return path.with_name(f"{path.stem}{FAILED}")
