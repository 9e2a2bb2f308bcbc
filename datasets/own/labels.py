"""Labels of the user's own data, from class names or numbers, or 0/1 columns.

A row may have none: an empty name says so, and the number -1, as in the hub's files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.errors import DatasetError, check_class_names
from datasets.labels import Labels, rows_of

NO_LABEL = -1
"""Class number of a row that has no label."""


def from_values(
    who: str, values: NDArray[Any], rows: NDArray[np.int64], n: int
) -> tuple[Labels, tuple[str, ...]]:
    """Labels of rows that name their classes.

    Parameters
    ----------
    who : str
        Where the labels come from, for the message.
    values : ndarray of int or str, shape (V,)
        Class names or numbers.
    rows : ndarray, int64, shape (V,)
        The row that each of them belongs to; a row may have several, or none.
    n : int
        Number of rows, N.

    Returns
    -------
    Labels, shape (N, C)
        One class for each value that occurs, in their order.
    tuple of str
        Names of the C classes.

    Raises
    ------
    DatasetError
        If there are none, a number is below -1, a name is none, or nearly every value is another,
        so that they name rows, not classes.

    Examples
    --------
    >>> labels, classes = from_values("doc", np.array([7, 3, 7, 3]), np.arange(4), 4)
    >>> classes, labels.dense().int().tolist()
    (('3', '7'), [[0, 1], [1, 0], [0, 1], [1, 0]])
    """
    named = values != ("" if values.dtype.kind in "OU" else NO_LABEL)
    values, rows = values[named], rows[named]
    if not len(values):
        raise DatasetError(f"{who}: no row has a label; retrieval is judged by them")
    classes, column = np.unique(values, return_inverse=True)
    if values.dtype.kind == "i" and classes[0] < 0:
        raise DatasetError(
            f"{who}: class numbers are 0 or more, and {NO_LABEL} says that a row has none; got "
            f"{classes[0]}"
        )
    if 2 * len(classes) > len(values):
        raise DatasetError(
            f"{who}: {len(values):,} values with {len(classes):,} different ones name rows, not "
            "classes; a class needs two rows on average"
        )
    names = tuple(map(str, classes.tolist()))
    check_class_names(who, names)
    pairs = torch.from_numpy(rows), torch.from_numpy(column.reshape(-1))
    return Labels.from_pairs(*pairs, n, len(classes)), names


def from_matrix(who: str, matrix: NDArray[Any], numbers: NDArray[np.int64] | None = None) -> Labels:
    """Labels given as 0/1 columns.

    Parameters
    ----------
    who : str
        Where the labels come from, for the message.
    matrix : ndarray, bool or number, shape (N, C)
    numbers : ndarray, int64, shape (N,), optional
        Numbers of the rows, for the message; 0 to N-1 where left out.

    Returns
    -------
    Labels, shape (N, C)

    Raises
    ------
    DatasetError
        If a value is neither 0 nor 1, with the first row that has one.
    """
    height = rows_of(matrix.shape[1])

    def checked() -> Iterator[Tensor]:
        for start in range(0, len(matrix), height):
            block = matrix[start : start + height]
            wrong = (block != 0) & (block != 1)
            if wrong.any():
                row, column = (int(i[0]) for i in wrong.nonzero())
                number = start + row if numbers is None else numbers[start + row]
                raise DatasetError(
                    f"{who}: labels of shape {matrix.shape} must be 0 or 1, got "
                    f"{block[row, column]} in row {number}; class numbers are of shape "
                    f"({len(matrix)},)"
                )
            yield torch.from_numpy(block.astype(bool))

    return Labels.of_blocks(checked(), matrix.shape[1])


def from_lists(
    who: str, flat: NDArray[Any], lengths: NDArray[np.int64]
) -> tuple[Labels, tuple[str, ...]]:
    """Labels of rows that have a list each, of classes or of a 0 or 1 for every class.

    The lists are 0/1 columns if most of those that are not empty have one length, above 1, and
    hold nothing but 0 and 1, or if all hold nothing else and one has more than two; then all must
    be so. A row with an empty list has no label.

    Parameters
    ----------
    who : str
        Where the labels come from, for the message.
    flat : ndarray of bool, int or str, shape (V,)
        The values of all lists, one list after the other.
    lengths : ndarray, int64, shape (N,)
        Values in the list of each row.

    Returns
    -------
    Labels, shape (N, C)
    tuple of str
        Names of the C classes; none of columns.

    Raises
    ------
    DatasetError
        If lists of 0/1 columns have other lengths or values, or as `from_values` does.

    Examples
    --------
    >>> labels, _ = from_lists("doc", np.array([0, 1, 1, 1, 0, 1]), np.array([3, 0, 3]))
    >>> labels.dense().int().tolist()
    [[0, 1, 1], [0, 0, 0], [1, 0, 1]]
    """
    rows = np.repeat(np.arange(len(lengths)), lengths)
    filled = np.flatnonzero(lengths)
    if not len(filled) or flat.dtype.kind not in "biu":
        return from_values(who, flat, rows, len(lengths))
    width = int(np.bincount(lengths[filled]).argmax())
    # A -1 makes no row class numbers: of two classes, and of columns of an unknown, it is refused.
    other = np.bincount(rows[~np.isin(flat, (NO_LABEL, 0, 1))], minlength=len(lengths))
    most = 2 * int(((lengths == width) & (other == 0)).sum()) > len(filled)
    never = not other.any() and int(lengths.max()) > 2
    if width < 2 or not (most or never):
        return from_values(who, flat, rows, len(lengths))
    wrong = filled[lengths[filled] != width]
    if len(wrong):
        raise DatasetError(
            f"{who}: row {wrong[0]} has {lengths[wrong[0]]} values, most rows have 0 or 1 in each "
            f"of {width} columns; a row without labels has an empty list"
        )
    row, column = from_matrix(who, flat.reshape(-1, width), filled).pairs()
    return Labels.from_pairs(torch.from_numpy(filled)[row], column, len(lengths), width), ()
