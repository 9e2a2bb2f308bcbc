"""Vectors in the formats of nearest-neighbour search, as memory maps.

=========================  ========================================================================
``.fvecs .bvecs .ivecs``   TEXMEX: each row is its width, int32, then float32, uint8 or int32 values
``.fbin .u8bin .i8bin``    big-ann-benchmarks: number of rows and width, uint32, then float32, uint8
``.f16bin .ibin``          or int8 values; float16; int32 rows of neighbours (distances may follow)
``.npy``                   a matrix, as NumPy writes it
``.parquet``               a column of lists, see `datasets.files.parquet_vectors`
=========================  ========================================================================

All numbers but those of the last two are little-endian.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, one_line
from datasets.files.parquet_vectors import read_lists
from datasets.progress import Progress, silent

MAX_WIDTH = 2**20
_ROWS_LOOKED_AT = 1000

_BY_ROW = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}
_WHOLE = {".fbin": "<f4", ".f16bin": "<f2", ".u8bin": "u1", ".i8bin": "i1", ".ibin": "<i4"}
PLAIN = (*_BY_ROW, *_WHOLE)
SUFFIXES = (*PLAIN, ".npy", ".parquet")


def read_vectors(
    path: Path, cache: Path | None = None, progress: Progress = silent
) -> NDArray[Any]:
    """Map a file of vectors into memory, (N, D), in the type of the file.

    Parameters
    ----------
    path : Path
    cache : Path, optional
        Folder that keeps what cannot be mapped where it lies.
    progress : callable

    Raises
    ------
    DatasetError
        If it cannot be read, is truncated, or its headers make no sense.

    Examples
    --------
    >>> path = Path("example.fvecs")
    >>> rows = np.array([[2, 7, 9], [2, 4, 5]], "<i4")  # width, then two values
    >>> _ = path.write_bytes(np.where([[1, 0, 0]], rows, rows.astype("<f4").view("<i4")).tobytes())
    >>> read_vectors(path).tolist()
    [[7.0, 9.0], [4.0, 5.0]]
    >>> path.unlink()
    """
    try:
        size = path.stat().st_size
        if path.suffix == ".parquet":
            return read_lists(path, cache, progress)
        if path.suffix == ".npy":
            return _npy(path)
        if path.suffix in _BY_ROW:
            return _by_row(path, size, np.dtype(_BY_ROW[path.suffix]))
        return _whole(path, size, np.dtype(_WHOLE[path.suffix]))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)})") from error


def _npy(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except ValueError as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)})") from error
    if array.ndim != 2 or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise DatasetError(
            f"{path}: expected numbers (N, D), got {array.dtype} {array.shape}; bfloat16 is read "
            "from .safetensors"
        )
    return array


def _by_row(path: Path, size: int, kind: np.dtype[Any]) -> NDArray[Any]:
    if not size:
        raise DatasetError(f"{path}: holds no vector; fetch it again")
    with path.open("rb") as file:
        width = _width(path, file.read(4), size)
    row = np.dtype([("width", "<i4"), ("values", kind, (width,))])
    n, rest = divmod(size, row.itemsize)
    if rest:
        raise DatasetError(
            f"{path}: truncated in row {n}: {rest} of its {row.itemsize} bytes are there; fetch it "
            "again"
        )
    rows = np.memmap(path, row, "c")
    looked_at = np.unique(np.linspace(0, n - 1, _ROWS_LOOKED_AT).astype(np.int64))
    other = looked_at[rows["width"][looked_at] != width]
    if len(other):
        raise DatasetError(
            f"{path}: rows must have one width, row 0 has {width} and row {other[0]} has "
            f"{rows['width'][other[0]]}; fetch it again"
        )
    values: NDArray[Any] = rows["values"]
    return values


def _whole(path: Path, size: int, kind: np.dtype[Any]) -> NDArray[Any]:
    with path.open("rb") as file:
        header = file.read(8)
    if len(header) < 8:
        raise DatasetError(f"{path}: truncated in its header of 8 bytes; fetch it again")
    n, width = int.from_bytes(header[:4], "little"), _width(path, header[4:], size)
    room = (size - 8) // (width * kind.itemsize)
    if n < 1 or room < n:
        big = int.from_bytes(header[:4], "big")
        hint = "; its numbers may be big-endian" if 0 < big <= room else ""
        raise DatasetError(
            f"{path}: truncated in row {room}: its header tells of {n:,} rows{hint}; fetch it again"
        )
    return np.memmap(path, kind, "c", offset=8, shape=(n, width))


def _width(path: Path, header: bytes, size: int) -> int:
    width = int.from_bytes(header, "little")
    if not 1 <= width <= min(MAX_WIDTH, size):
        big = int.from_bytes(header, "big")
        hint = f"; as a big-endian number it is {big}" if 1 <= big <= MAX_WIDTH else ""
        raise DatasetError(
            f"{path}: the width of its rows must be in 1..{MAX_WIDTH}, its header says {width:,}"
            f"{hint}; write it little-endian"
        )
    return width
