"""Images and class numbers in the hub's parquet form: a column of {bytes, path}, a column of int.

Class numbers are read at once. Images stay encoded until the first is asked for.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datasets.base import DatasetError, ImageSource, one_line
from datasets.hub import LocalFile

if TYPE_CHECKING:
    import pyarrow.parquet
    from PIL.Image import Image

_ROWS_AT_ONCE = 1000  # rows decoded between two reads: bounds memory, not speed


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
    import pyarrow as pa

    with _opened(path) as file:
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


class ParquetImages(ImageSource):
    """Encoded images in parquet files, decoded together when the first is read.

    Parameters
    ----------
    files : sequence of LocalFile
        Parquet files; rows are numbered through them in this order.
    column : str
        Name of the column of structs with a field ``bytes``.
    size : int
        Height and width that every image must have, in pixels.

    Raises
    ------
    DatasetError
        If a file is not readable or has no such column.
    """

    def __init__(self, files: Sequence[LocalFile], column: str, size: int) -> None:
        self._paths = [file.path for file in files]
        self._column = column
        self._size = size
        self._images: Tensor | None = None
        self._n = 0
        for path in self._paths:
            with _opened(path) as file:
                _require(path, file.schema_arrow, column, "bytes")
                self._n += file.metadata.num_rows
        # The files alone say what the pixels are, so nothing needs decoding for the digest.
        text = " ".join([f"parquet {column} {size}", *(file.sha256 for file in files)])
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return self._n

    def read(self, rows: Tensor) -> Tensor:
        """Read some images, see `ImageSource.read`; the first call decodes all of them."""
        if self._images is None:
            self._images = self._decode_all()
        return self._images.index_select(0, rows)

    def _decode_all(self) -> Tensor:
        images = np.empty((self._n, 3, self._size, self._size), np.uint8)
        i = 0
        for path in self._paths:
            for row, encoded in _encoded(path, self._column):
                images[i] = self._decode(path, row, encoded).transpose(2, 0, 1)
                i += 1
        return torch.from_numpy(images)

    def _decode(self, path: Path, row: int, encoded: bytes | None) -> np.ndarray[Any, Any]:
        from PIL import Image, UnidentifiedImageError

        if encoded is None:
            raise DatasetError(f"{path}: row {row} has no image bytes")
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                pixels = _rgb(image)
        # Pillow's decoders raise whatever their format's code raises: OSError, SyntaxError, ...
        except Exception as error:
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else ""
            raise DatasetError(
                f"{path}: row {row}: corrupt image ({reason or one_line(error)})"
            ) from error
        if pixels.shape != (self._size, self._size, 3):
            raise DatasetError(
                f"{path}: row {row}: expected an image of {self._size} x {self._size} pixels, "
                f"got {pixels.shape[1]} x {pixels.shape[0]}"
            )
        return pixels


def _rgb(image: Image) -> np.ndarray[Any, Any]:
    """Pixels as uint8 (H, W, 3), whatever the mode; 16 bits are scaled, not clipped."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _encoded(path: Path, column: str) -> Iterator[tuple[int, bytes | None]]:
    """Row numbers and encoded images of one file, a block of rows at a time."""
    with _opened(path) as file:
        row = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[f"{column}.bytes"]):
            for value in batch.column(0).field("bytes"):
                yield row, value.as_py()
                row += 1


@contextmanager
def _opened(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    """Open a parquet file; whatever pyarrow finds wrong with it becomes a one-line error."""
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
