"""Boolean matrices, eight columns a byte: as codes and labels lie on disk and are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Values = Tensor | Array


@dataclass(frozen=True, eq=False)
class PackedBits:
    """A boolean matrix as `numpy.packbits(bits, axis=1)` writes it; the rows may be memory-mapped.

    Parameters
    ----------
    rows : ndarray, uint8, shape (N, ceil(width / 8))
        The first column is the highest bit of the first byte; bits beyond `width` are 0, which
        `evaluate` checks as it reads them.
    width : int
        Columns of the matrix: bits of a code, or classes.

    Raises
    ------
    ValueError
        If `rows` is not such a matrix.

    Examples
    --------
    >>> codes = PackedBits(np.packbits([[1, 0, 1], [1, 1, 1]], axis=1), width=3)
    >>> codes.shape, codes[1:].unpack().tolist()
    ((2, 3), [[True, True, True]])
    """

    rows: NDArray[np.uint8]
    width: int

    def __post_init__(self) -> None:
        n_bytes = -(-self.width // 8)
        if self.rows.dtype != np.uint8 or self.rows.ndim != 2 or self.rows.shape[1] != n_bytes:
            raise ValueError(
                f"PackedBits: {self.width} columns take a uint8 matrix of {n_bytes} bytes a row,"
                f" got {self.rows.dtype} of shape {self.rows.shape}; pack with"
                " `numpy.packbits(bits, axis=1)` and give the width before packing."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix that is packed."""
        return len(self.rows), self.width

    @property
    def ndim(self) -> int:
        """2, as every matrix."""
        return 2

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> PackedBits:
        return PackedBits(self.rows[rows], self.width)

    def unpack(self) -> NDArray[np.bool_]:
        """Return the matrix, bool (N, width)."""
        return np.unpackbits(self.rows, axis=1, count=self.width).view(np.bool_)


Bits = Tensor | NDArray[np.bool_] | PackedBits


def to_numpy(values: Tensor | Array) -> Array:
    """Return a tensor of any device, or an array, as an array."""
    return values.cpu().numpy() if isinstance(values, Tensor) else values


def to_torch(values: Tensor | Array, device: str | torch.device) -> Tensor:
    """Return a tensor or an array as a tensor; torch takes no read-only or reversed arrays."""
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    return values.to(device)


def unpacked(bits: Bits) -> NDArray[np.bool_]:
    """Return the matrix as a bool array."""
    return bits.unpack() if isinstance(bits, PackedBits) else to_numpy(bits)


def matrix(values: Values | PackedBits, who: str) -> Values | PackedBits:
    """Return lists as an array; refuse what has no rows and columns. Memory maps stay unread."""
    if not isinstance(values, Tensor | PackedBits):
        values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(
            f"evaluate: {who} must be a matrix with one row an item, got shape"
            f" {tuple(values.shape)}; give one column a bit or class."
        )
    return values


def as_bool(values: Values | PackedBits, who: str, first: int = 0) -> Bits:
    """Return a matrix of zeros and ones as booleans, or as it is where it is packed.

    Parameters
    ----------
    values : Tensor, ndarray or PackedBits, shape (N, B)
    who : str
        Name of the matrix in an error.
    first : int
        Number of its first row in an error.

    Raises
    ------
    ValueError
        If it is no matrix, a value is neither 0 nor 1, or a packed row has bits beyond its width.
    """
    values = matrix(values, who)
    if isinstance(values, PackedBits):
        beyond = values.rows[:, -1:] & ((1 << -values.width % 8) - 1)
        if beyond.any():
            row = int(beyond.any(axis=1).argmax())
            raise ValueError(
                f"evaluate: {who} of {values.width} packed columns must end in zeros, got a last"
                f" byte of {values.rows[row, -1]} in row {first + row}; give the width that was"
                " packed, first column highest."
            )
        return values
    if values.dtype in (torch.bool, np.bool_):
        return values
    wrong = (values != 0) & (values != 1)  # NaN differs from both
    if wrong.any():
        row, column = (int(i[0]) for i in to_numpy(wrong).nonzero())
        raise ValueError(
            f"evaluate: {who} must be bool or 0/1, got {values[row, column].item()} in row"
            f" {first + row}, column {column}; threshold scores first, for example `scores > 0`."
        )
    return values != 0


def packed_rows(bits: Bits) -> NDArray[np.uint8]:
    """Return the matrix packed, uint8 (N, ceil(B / 8)).

    NumPy packs a flat array many times faster than narrow rows, so rows are filled up to bytes.
    """
    if isinstance(bits, PackedBits):
        return bits.rows
    array = to_numpy(bits)
    n_rows, width = array.shape
    if width % 8:
        array = np.zeros((n_rows, width + -width % 8), np.bool_)
        array[:, :width] = to_numpy(bits)
    return np.packbits(array.reshape(-1)).reshape(n_rows, -(-width // 8))


def packed_words(bits: Bits) -> NDArray[np.uint16]:
    """Return the matrix in 16-bit words, uint16 (N, ceil(B / 16)), filled up with zeros."""
    rows = packed_rows(bits)
    return np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).view(np.uint16)


def as_tensor(bits: Bits, device: str | torch.device) -> Tensor:
    """Return the matrix as a bool tensor; packed rows cross to the device before they unpack."""
    if not isinstance(bits, PackedBits):
        return to_torch(bits, device)
    rows = to_torch(bits.rows, device)
    places = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)
    columns = (rows[:, :, None] >> places) & 1
    return columns.flatten(1)[:, : bits.width].bool()
