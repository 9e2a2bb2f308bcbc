"""Vectors in parquet files: a column of lists of numbers, as exports of embeddings have them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError
from datasets.files.disk import disk_array
from datasets.files.parquet import opened
from datasets.progress import Progress, silent

if TYPE_CHECKING:
    import pyarrow as pa

IDS = ("id", "idx", "_id", "pk")
"""Columns that number the rows."""
_LIKELY = ("emb", "embedding", "embeddings", "vector", "vectors", "features", "neighbors_id")
"""Columns that are taken where several hold lists, the first that is there."""
_ROWS = 2**14


def read_lists(
    path: Path, cache: Path | None = None, progress: Progress = silent
) -> NDArray[np.generic]:
    """Read the lists of numbers of a parquet file, (N, D).

    Parameters
    ----------
    path : Path
    cache : Path, optional
        Folder in which they are kept as a plain array, which is then mapped into memory; without
        it they lie in memory. Such a file cannot be mapped itself.
    progress : callable

    Returns
    -------
    ndarray, shape (N, D)
        In the type of the column; float32 in place of float64.

    Raises
    ------
    DatasetError
        If the file cannot be read, no column or several hold lists, or lists differ in length.
    """
    with opened(path) as file:
        column, n = _column(path, file.schema_arrow), file.metadata.num_rows
    if not n:
        raise DatasetError(f"{path}: holds no row")
    if cache is None:
        return np.concatenate(list(_blocks(path, column, 0)))
    state = path.stat()
    key = repr((str(path.resolve()), state.st_size, state.st_mtime_ns, column))
    stem = cache / "vectors" / hashlib.sha256(key.encode()).hexdigest()[:24]
    what = f"vectors of {path.name}"

    def blocks(start: int) -> Iterator[NDArray[np.generic]]:
        return _blocks(path, column, start)

    return disk_array(stem, what, n, blocks, progress, mode="c").array


def read_ids(path: Path) -> NDArray[np.int64] | None:
    """Read the numbers that a parquet file gives its rows, int64 (N,); None where it gives none."""
    with opened(path) as file:
        import pyarrow as pa

        schema = file.schema_arrow
        for name in IDS:
            if name in schema.names and pa.types.is_integer(schema.field(name).type):
                ids = file.read(columns=[name])[name].to_numpy()
                return np.ascontiguousarray(ids, np.int64)
    return None


def _column(path: Path, schema: pa.Schema) -> str:
    """Choose the column of lists of numbers."""
    found = [field.name for field in schema if _is_list_of_numbers(field.type)]
    likely = [name for name in _LIKELY if name in found] or found
    if not found or (len(found) > 1 and likely is found):
        raise DatasetError(
            f"{path}: expected one column of lists of numbers, or one called "
            f"{', '.join(_LIKELY)}; found {', '.join(found) or 'none'}"
        )
    return likely[0]


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    import pyarrow as pa

    t = pa.types
    if not (t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind)):
        return False
    return bool(t.is_floating(kind.value_type) or t.is_integer(kind.value_type))


def _blocks(path: Path, column: str, start: int) -> Iterator[NDArray[np.generic]]:
    """Yield the lists from a row on."""
    width, row = 0, 0
    with opened(path) as file:
        for batch in file.iter_batches(_ROWS, columns=[column]):
            lists = batch.column(0)
            values = _matrix(path, lists, row, width)
            width = values.shape[1]
            if row + len(values) > start:
                yield values[max(0, start - row) :]
            row += len(values)


def _matrix(path: Path, lists: pa.Array, first: int, width: int) -> NDArray[Any]:
    """Stack lists of equal length, (n, D); `first` is the number of the first row."""
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    width = width or int(lengths[0])
    other = np.flatnonzero(lengths != width)
    if len(other) or not width:
        row = int(other[0]) if len(other) else 0
        raise DatasetError(
            f"{path}: lists must be of one length, row 0 has {width if first or row else 0} and "
            f"row {first + row} has {lengths[row]}"
        )
    values = lists.flatten()
    if values.null_count:
        raise DatasetError(f"{path}: a list holds null, between rows {first} and {first + _ROWS}")
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(len(lists), width)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def in_order(ids: Sequence[NDArray[np.int64]], named: NDArray[Any], who: str) -> NDArray[np.int64]:
    """Turn numbers that a file gives its rows into places of these rows.

    Parameters
    ----------
    ids : sequence of ndarray, int64
        Of the rows of each file, which follow each other.
    named : ndarray of int, any shape
        Numbers of rows.
    who : str
        Whose they are, for an error.

    Examples
    --------
    >>> in_order([np.array([7, 3]), np.array([5])], np.array([[5, 7]]), "here").tolist()
    [[2, 0]]
    """
    known = np.concatenate(ids)
    order = known.argsort(kind="stable")
    at = np.minimum(known.searchsorted(named, sorter=order), len(known) - 1)
    places: NDArray[np.int64] = order[at]
    odd = known[places] != named
    if odd.any():
        raise DatasetError(f"{who}: neighbours name the row {named[odd][0]}, which no file holds")
    return places
