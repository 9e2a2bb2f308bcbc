"""Boolean matrices, eight columns a byte: the one form in which codes and labels are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Values = Tensor | Array

PIECE = 2**14
"""Rows that are packed at a time."""
BITS_SET = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
"""By the value of a byte."""


@dataclass(frozen=True, eq=False)
class PackedBits:
    """A boolean matrix as `numpy.packbits(matrix, axis=1)` writes it; rows may be memory-mapped.

    Parameters
    ----------
    rows : ndarray, uint8, shape (N, ceil(width / 8))
        The first column is the highest bit of the first byte; what lies beyond `width` is 0, which
        `evaluate` checks as it reads the rows.
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
                " `PackedBits.of(matrix)`, or give the width before packing."
            )

    @classmethod
    def of(
        cls, matrix: Values | PackedBits | Sequence[Any], who: str = "PackedBits.of: the matrix"
    ) -> PackedBits:
        """Pack a matrix of two values; one that is packed is returned as it is.

        Parameters
        ----------
        matrix : Tensor, ndarray, PackedBits or lists, shape (N, width)
            bool, 0 and 1, or -1 and +1. A tensor is packed on its own device; a memory map is read
            a piece at a time.
        who : str
            Name of the matrix in an error.

        Raises
        ------
        ValueError
            If it is no matrix, or holds another value.

        Examples
        --------
        >>> PackedBits.of(np.array([[1.0, -1.0, 1.0]])).rows
        array([[160]], dtype=uint8)
        """
        if isinstance(matrix, PackedBits):
            return matrix
        if not isinstance(matrix, Tensor):
            try:
                matrix = np.asarray(matrix)
            except ValueError:  # of lists of several lengths
                raise ValueError(f"{who} must have rows of one length; fill them up.") from None
        if matrix.ndim != 2:
            raise ValueError(
                f"{who} must be a matrix with one row an item, got shape {tuple(matrix.shape)};"
                " give one column a bit or class."
            )
        parts, low = [], None
        for start in range(0, max(1, len(matrix)), PIECE):
            piece, low = _two_valued(matrix[start : start + PIECE], who, start, low)
            parts.append(cls(_packed(piece), matrix.shape[1]))
        return cls.concatenate(parts)

    @classmethod
    def concatenate(cls, parts: Sequence[PackedBits]) -> PackedBits:
        """Put matrices of one width below each other; at least one of them.

        Examples
        --------
        >>> part = PackedBits.of(np.eye(2))
        >>> PackedBits.concatenate([part, part]).shape
        (4, 2)
        """
        if len(parts) == 1:
            return parts[0]
        if len(widths := {part.width for part in parts}) != 1:
            raise ValueError(
                f"PackedBits.concatenate: parts must be of one width, got {sorted(widths)}."
            )
        return cls(np.concatenate([part.rows for part in parts]), parts[0].width)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix that is packed."""
        return len(self.rows), self.width

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> PackedBits:
        return PackedBits(self.rows[rows], self.width)

    def check_ends(self, who: str, first: int = 0) -> None:
        """Refuse rows that hold anything beyond the width; `first` is the number of the first.

        Raises
        ------
        ValueError
            With the row and its last byte.
        """
        beyond = self.rows[:, -1] & ((1 << -self.width % 8) - 1)
        if beyond.any():
            row = int((beyond != 0).argmax())
            raise ValueError(
                f"{who} of {self.width} packed columns must end in zeros, got a last byte of"
                f" {self.rows[row, -1]} in row {first + row}; give the width that was packed,"
                " first column highest."
            )

    def widened(self, width: int) -> PackedBits:
        """Return the matrix with further columns, which are all 0."""
        more = -(-width // 8) - self.rows.shape[1]
        return PackedBits(np.pad(self.rows, ((0, 0), (0, more))), width)

    def counts(self) -> NDArray[np.int64]:
        """Return how many columns are set in each row, (N,)."""
        counts: NDArray[np.int64] = BITS_SET[self.rows].sum(1, dtype=np.int64)
        return counts

    def words(self, dtype: type[np.unsignedinteger[Any]]) -> Array:
        """Return the rows in longer words, (N, ceil(width / bits of a word)), ending in zeros."""
        filled = np.pad(self.rows, ((0, 0), (0, -self.rows.shape[1] % np.dtype(dtype).itemsize)))
        return np.ascontiguousarray(filled).view(dtype)

    def unpack(self) -> NDArray[np.bool_]:
        """Return the matrix, bool (N, width)."""
        return np.unpackbits(self.rows, axis=1, count=self.width).view(np.bool_)

    def unpack_on(self, device: str | torch.device) -> Tensor:
        """Return the matrix as a bool tensor; the packed rows cross to the device."""
        rows = to_torch(self.rows, device)
        places = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)
        columns = (rows[:, :, None] >> places) & 1
        return columns.flatten(1)[:, : self.width].bool()


def pack_on_device(matrix: Tensor) -> Tensor:
    """Pack a bool tensor (N, width) where it lies; uint8 (N, ceil(width / 8)), as `PackedBits`."""
    columns = torch.nn.functional.pad(matrix.byte(), (0, -matrix.shape[1] % 8))
    powers = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=matrix.device)
    rows: Tensor = (columns.unflatten(1, (-1, 8)) * powers).sum(2, dtype=torch.uint8)
    return rows


def to_numpy(values: Values) -> Array:
    """Return a tensor of any device, or an array, as an array."""
    return values.cpu().numpy() if isinstance(values, Tensor) else values


def to_torch(values: Values, device: str | torch.device) -> Tensor:
    """Return a tensor or an array as a tensor; torch takes no read-only or reversed arrays."""
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    return values.to(device)


def _packed(matrix: Tensor | NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack booleans: NumPy packs a flat array many times faster than narrow rows, or than torch."""
    n_rows, width = matrix.shape
    if isinstance(matrix, Tensor) and matrix.device.type != "cpu":
        return to_numpy(pack_on_device(matrix))
    array = to_numpy(matrix)
    if width % 8:  # rows are filled up to bytes
        array = np.zeros((n_rows, width + -width % 8), np.bool_)
        array[:, :width] = to_numpy(matrix)
    return np.packbits(array.reshape(-1)).reshape(n_rows, -(-width // 8))


def _two_valued(
    matrix: Values, who: str, first: int, low: int | None
) -> tuple[Tensor | NDArray[np.bool_], int | None]:
    """Return rows of 0 and 1, or of -1 and +1, as booleans, and which of 0 and -1 they hold.

    `first` is the number of the first row, `low` what the rows before it held.
    """
    if matrix.dtype in (torch.bool, np.bool_):
        return matrix, low
    one, zero, minus = (matrix == value for value in (1, 0, -1))
    for value, is_low in ((0, zero), (-1, minus)):
        if low in (None, value) and (one | is_low).all():
            return one, value if is_low.any() else low
    wrong = ~(one | zero | minus)  # NaN differs from all
    if not wrong.any():
        wrong = minus if low == 0 or (low is None and minus.sum() <= zero.sum()) else zero
    row, column = (int(i[0]) for i in to_numpy(wrong).nonzero())
    raise ValueError(
        f"{who} must be bool, 0/1 or -1/+1, got {matrix[row, column].item()} in row"
        f" {first + row}, column {column}; threshold scores first, for example `scores > 0`."
    )
