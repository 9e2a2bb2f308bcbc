"""Images and class numbers in the hub's parquet form: a column of {bytes, path}, a column of int.

Class numbers are read at once. Images stay encoded, see `datasets.files.images`.
"""

from __future__ import annotations

import itertools
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datasets.contents import LoadOptions
from datasets.digests import tensor_digest
from datasets.errors import DatasetError, need, one_line, printable
from datasets.files.decode import Item
from datasets.files.hub import LocalFile
from datasets.files.images import Encoded

if TYPE_CHECKING:
    import pyarrow.parquet

_ROWS_AT_ONCE = 1000  # rows between two reads: bounds memory, not speed


def read_classes(path: Path, column: str, n_classes: int) -> Tensor:
    """Read the class number of every row.

    Parameters
    ----------
    path : Path
        Parquet file.
    column : str
        Name of the column of integers.
    n_classes : int
        Class numbers must be in 0..n_classes-1.

    Returns
    -------
    Tensor, int64, shape (N,)
        Class numbers in the order of the rows.

    Raises
    ------
    DatasetError
        If the file is not readable, or the column absent, of another type or out of range.
    """
    with opened(path) as file:
        import pyarrow as pa

        _require(path, file.schema_arrow, column)
        if not pa.types.is_integer(file.schema_arrow.field(column).type):
            raise DatasetError(
                f"{path}: column {column!r} must hold integers, it holds "
                f"{file.schema_arrow.field(column).type}"
            )
        values = file.read(columns=[column])[column]
        if values.null_count:
            row = next(i for i, value in enumerate(values) if not value.is_valid)
            raise DatasetError(f"{path}: row {row} has no {column!r}")
        classes = torch.from_numpy(values.to_numpy().astype(np.int64))
    wrong = (classes < 0) | (classes >= n_classes)
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        raise DatasetError(
            f"{path}: row {row} has {column!r} {int(classes[row])}, expected 0..{n_classes - 1}"
        )
    return classes


def read_column(path: Path, column: str) -> list[Any]:
    """Read a column of any type as Python objects; raises as `read_classes` does."""
    with opened(path) as file:
        _require(path, file.schema_arrow, column)
        values: list[Any] = file.read(columns=[column])[column].to_pylist()
    return values


def class_names(path: Path, column: str) -> tuple[str, ...] | None:
    """Names of the classes that a column numbers, as the hub's files state them; None if not."""
    with opened(path) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        return tuple(str(name) for name in feature["names"])
    except (KeyError, TypeError, ValueError):
        return None


def read_parts(
    files: Sequence[LocalFile],
    parts: Mapping[str, int],
    column: str,
    n_classes: int,
    options: LoadOptions,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Read the class numbers of a data set whose parts are a file each.

    Parameters
    ----------
    files : sequence of LocalFile
        One for each part.
    parts : mapping from str to int
        Name and complete number of rows of each part, in the order of `files`.
    column : str
        Name of the column of integers.
    n_classes : int
        Class numbers must be in 0..n_classes-1.
    options : LoadOptions
        Whether rows may be missing.

    Returns
    -------
    Tensor, int64, shape (N,)
        Class numbers.
    dict of Tensor, int64
        Row numbers of each part.

    Raises
    ------
    DatasetError
        If a file is not readable or has another number of rows.
    """
    classes: list[Tensor] = []
    rows, start = {}, 0
    for (part, n_rows), file in zip(parts.items(), files, strict=True):
        classes.append(read_classes(file.path, column, n_classes))
        found = len(classes[-1])
        if found > n_rows or (found < n_rows and not options.allow_missing):
            raise DatasetError(f"{file.path}: expected {n_rows} rows, got {found}")
        rows[part] = torch.arange(start, start + found)
        start += found
    return torch.cat(classes), rows


class ParquetItems(Encoded):
    """Encoded images in a column of parquet files.

    Parameters
    ----------
    files : sequence of LocalFile
        Parquet files; rows are numbered through them in this order.
    column : str
        Name of the column of structs with a field ``bytes``.
    keep : Tensor, int64, shape (n,), optional
        Rows to keep, ascending; all where left out.

    Raises
    ------
    DatasetError
        If a file is not readable or has no such column.
    """

    def __init__(self, files: Sequence[LocalFile], column: str, keep: Tensor | None = None) -> None:
        self.kind = f"parquet {column}"
        self._files, self._column = list(files), column
        self._n_rows = []
        for file in files:
            with opened(file.path) as table:
                _require(file.path, table.schema_arrow, column, "bytes")
                self._n_rows.append(table.metadata.num_rows)
        self._keep = keep
        # The files alone say what the pixels are, so nothing needs decoding for the digest.
        kept = [] if keep is None else [tensor_digest(keep)]
        self.fingerprints = [*(file.sha256 for file in files), *kept]

    def __len__(self) -> int:
        return sum(self._n_rows) if self._keep is None else len(self._keep)

    def items(self, start: int = 0) -> Iterator[Item]:
        """Yield encoded images, see `Encoded.items`; the files are read a block at a time."""
        rows = range(start, len(self)) if self._keep is None else self._keep[start:].tolist()
        before = 0
        for file, n_rows in zip(self._files, self._n_rows, strict=True):
            first, last = (bisect_left(rows, row) for row in (before, before + n_rows))
            own = [row - before for row in rows[first:last]]
            for row, encoded in _encoded(file.path, self._column, own):
                yield printable(f"{file.path}: row {row}"), encoded
            before += n_rows

    def subset(self, rows: Tensor) -> ParquetItems:
        """Keep some rows."""
        kept = rows if self._keep is None else self._keep[rows]
        return ParquetItems(self._files, self._column, kept)


def _encoded(path: Path, column: str, rows: Sequence[int]) -> Iterator[tuple[int, bytes | None]]:
    """Read encoded images of one file, of ascending rows, a block of rows at a time."""
    with opened(path) as file:
        groups: list[int] = []
        numbers: list[range] = []  # rows of these groups
        end = 0
        for group in range(file.num_row_groups):
            start, end = end, end + file.metadata.row_group(group).num_rows
            if bisect_left(rows, start) < bisect_left(rows, end):
                groups.append(group)
                numbers.append(range(start, end))
        if not groups:
            return
        wanted = iter(rows)
        row = next(wanted)
        number = itertools.chain.from_iterable(numbers)
        leaf = [f"{column}.bytes"]
        for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=leaf):
            for value in batch.column(0).field("bytes"):
                if next(number) == row:
                    yield row, value.as_py()
                    row = next(wanted, -1)


@contextmanager
def opened(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    """Open a parquet file; whatever pyarrow finds wrong with it becomes a one-line error."""
    need(DatasetError, str(path), "pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(
            f"{path}: not a readable parquet file ({one_line(error)}); fetch it again"
        ) from error


def _require(path: Path, schema: Any, column: str, field: str | None = None) -> None:
    """Refuse a schema without `column`, or without `field` in it."""
    import pyarrow as pa

    wanted = f"{column}{{{field}}}" if field else column
    kind = schema.field(column).type if column in schema.names else None
    if kind is None or (
        field and not (pa.types.is_struct(kind) and kind.get_field_index(field) >= 0)
    ):
        found = ", ".join(f"{f.name} {f.type}" for f in schema)
        raise DatasetError(f"{path}: expected a column {wanted}, found {found}")
