"""Records in one Parquet file, with their codes or without, and who stands behind them.

A row is a record: what its cell is called, in columns of their own, so that any reader of Parquet
can ask for some; the whole record as JSON; the AP of each query, of which tests take the spread;
and, in a submission, its packed codes and the numbers of their rows. What is said of all of them
lies in the file's metadata. Commands name files without their folders, which mean nothing elsewhere
and tell whose machine it was.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import need, one_line
from results.store.files import write_atomic
from results.store.record import RunRecord, check_record

FORM = 1
"""Version of the file's layout."""
KEY = b"hashbench"
ADDRESS = ("dataset", "protocol", "backbone", "method", "kind", "bits", "seed", "digest")
ALWAYS = {"query_ap": "<f4", "query_rows": "<i8"}
"""Arrays of every record, and their dtypes in the file."""
CODES = {"query_codes": "u1", "database_codes": "u1", "database_rows": "<i8"}
"""Those beside them that give every number again."""
_DTYPES = ALWAYS | CODES
_FOLDER = re.compile(r"(?<![^=:])/(?!/)(?:[^/]+/)*")
"""The folder of an absolute path in a word of a command, as ``--out=/a/b`` or ``folder:/a/b``."""
LONGEST = 2_000
"""Letters of a line about a submission."""

Arrays = dict[str, NDArray[Any]]


class BundleError(Exception):
    """A file of records that cannot be read or written; the message is one line for the user."""


@dataclass(frozen=True)
class About:
    """Who stands behind a submission, each a line of text; all empty in a file of our own runs."""

    author: str = ""
    paper: str = ""
    link: str = ""
    licence: str = ""
    hardware: str = ""

    def __post_init__(self) -> None:
        for name, text in vars(self).items():
            if not isinstance(text, str) or len(text) > LONGEST or not (text + " ").isprintable():
                raise BundleError(
                    f"{name}: expected a line of up to {LONGEST:,} printable letters, "
                    f"got {text!r:.60}"
                )


@dataclass(frozen=True)
class Item:
    """A record and its arrays: those of `ALWAYS`, and of `CODES` where codes are given."""

    record: RunRecord
    arrays: Arrays

    @property
    def has_codes(self) -> bool:
        """Whether its numbers can be computed from what is here."""
        return all(name in self.arrays for name in CODES)

    def without_codes(self) -> Item:
        """Keep the AP of queries."""
        return Item(self.record, {name: self.arrays[name] for name in ALWAYS})


@dataclass(frozen=True)
class Bundle:
    """What a file holds; `method` is the text of the method's own file, where it is given."""

    items: tuple[Item, ...]
    about: About = field(default_factory=About)
    method: str = ""


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write records into one file, which appears whole.

    Raises
    ------
    BundleError
        If the disk refuses.
    """
    need(BundleError, str(path), "pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = [
        replace(item.record, command=_without_folders(item.record.command)) for item in bundle.items
    ]
    columns: dict[str, Any] = {
        name: [getattr(record, name) for record in records] for name in ADDRESS
    }
    columns["record"] = [json.dumps(asdict(record), allow_nan=False) for record in records]
    for name in _DTYPES if any(item.has_codes for item in bundle.items) else ALWAYS:
        columns[name] = pa.array([_bytes(item, name) for item in bundle.items], pa.large_binary())
    said = {"form": FORM, "about": asdict(bundle.about), "method": bundle.method}
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(said).encode()})
    file = pa.BufferOutputStream()
    pq.write_table(table, file, compression="zstd")
    try:
        write_atomic(path, file.getvalue().to_pybytes())
    except OSError as error:
        raise BundleError(f"{path}: cannot be written ({one_line(error)})") from error


def read_bundle(path: Path) -> Bundle:
    """Read a file of records and check all that can be checked without data.

    Raises
    ------
    BundleError
        If it is no such file, a record breaks the schema, or its codes do not have the size that
        the record says.
    """
    need(BundleError, str(path), "pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        said = json.loads((table.schema.metadata or {})[KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise BundleError(
            f"{path}: cannot be read as a file of records ({one_line(error)}); benchmarks.submit "
            "makes them"
        ) from error
    if not isinstance(said, dict) or said.get("form") != FORM:
        found = said.get("form") if isinstance(said, dict) else said
        raise BundleError(f"{path}: form {found!r:.20} where this version reads form {FORM}")
    try:
        about, method = About(**said["about"]), said["method"]
        rows = table.to_pylist()
        items = tuple(_item(row) for row in rows)
    except (BundleError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: {one_line(error)}") from error
    if not isinstance(method, str):
        raise BundleError(f"{path}: method: expected the text of a file, got {method!r:.60}")
    return Bundle(items, about, method)


def _without_folders(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:  # of a record from elsewhere
        words = command.split()
    return shlex.join(_FOLDER.sub("", word) for word in words)


def _bytes(item: Item, name: str) -> bytes | None:
    if name in CODES and not item.has_codes:
        return None
    return item.arrays[name].astype(_DTYPES[name], copy=False).tobytes()


def _item(row: Mapping[str, Any]) -> Item:
    data = json.loads(row["record"])
    check_record(data)
    record = RunRecord(**data)
    for name in ADDRESS:
        if row[name] != getattr(record, name):
            raise BundleError(
                f"record of {record.method}: {name} is {row[name]!r:.80} in its column and "
                f"{getattr(record, name)!r:.80} in the record"
            )
    has_codes = any(row.get(name) is not None for name in CODES)
    names = _DTYPES if has_codes else ALWAYS
    return Item(record, {name: _array(record, name, row.get(name)) for name in names})


def _array(record: RunRecord, name: str, content: object) -> NDArray[Any]:
    n = int(record.protocol_info[f"n_{name.partition('_')[0]}"])
    shape = (n, -(-record.bits // 8)) if "codes" in name else (n,)
    dtype = np.dtype(_DTYPES[name])
    size = dtype.itemsize * int(np.prod(shape))
    if not isinstance(content, bytes) or len(content) != size:
        found = f"{len(content):,}" if isinstance(content, bytes) else "none"
        raise BundleError(
            f"record of {record.method}, {record.bits} bits, seed {record.seed}: {name} must be "
            f"{size:,} bytes, got {found}"
        )
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))
