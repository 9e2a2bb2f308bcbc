"""Labels of the user's own data: class names or numbers, or 0/1 columns, to one boolean matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.errors import DatasetError


def from_values(
    who: str, values: NDArray[Any], rows: NDArray[np.int64], n: int
) -> tuple[Tensor, tuple[str, ...]]:
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
    Tensor, bool, shape (N, C)
        One column for each value that occurs, in their order.
    tuple of str
        Names of the C classes.

    Raises
    ------
    DatasetError
        If there are none, or nearly every value is another, so that they name rows, not classes.

    Examples
    --------
    >>> labels, classes = from_values("doc", np.array([7, 3, 7, 3]), np.arange(4), 4)
    >>> classes, labels.int().tolist()
    (('3', '7'), [[0, 1], [1, 0], [0, 1], [1, 0]])
    """
    if not len(values):
        raise DatasetError(f"{who}: no row has a label; retrieval is judged by them")
    classes, column = np.unique(values, return_inverse=True)
    if 2 * len(classes) > len(values):
        raise DatasetError(
            f"{who}: {len(values):,} values with {len(classes):,} different ones name rows, not "
            "classes; a class needs two rows on average"
        )
    labels = torch.zeros(n, len(classes), dtype=torch.bool)
    labels[torch.from_numpy(rows), torch.from_numpy(column.reshape(-1))] = True
    return labels, tuple(str(name) for name in classes.tolist())


def from_matrix(who: str, matrix: NDArray[Any]) -> Tensor:
    """Labels given as 0/1 columns.

    Parameters
    ----------
    who : str
        Where the labels come from, for the message.
    matrix : ndarray, bool or number, shape (N, C)

    Returns
    -------
    Tensor, bool, shape (N, C)

    Raises
    ------
    DatasetError
        If a value is neither 0 nor 1, with the first row that has one.
    """
    wrong = ~np.isin(matrix, (0, 1))
    if wrong.any():
        row, column = (int(i[0]) for i in wrong.nonzero())
        raise DatasetError(
            f"{who}: labels of shape {matrix.shape} must be 0 or 1, got {matrix[row, column]} in "
            f"row {row}; class numbers are of shape ({len(matrix)},)"
        )
    return torch.from_numpy(matrix.astype(bool))
