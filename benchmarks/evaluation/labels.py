"""Labels as users have them: columns of classes, class numbers, or lists of class numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral
from typing import Any, TypeGuard

import numpy as np
from torch import Tensor

from benchmarks.evaluation.packing import Array, PackedBits, Values, to_numpy
from datasets.base import RetrievalDataset

Labels = Values | PackedBits | Sequence[int] | Sequence[Collection[int]]

MOST_CLASSES = 2**16


def packed_labels(labels: Labels, who: str = "labels") -> tuple[PackedBits, bool]:
    """Pack labels, a column a class.

    Parameters
    ----------
    labels : Tensor, ndarray, PackedBits, or list
        A matrix (N, C) of zeros and ones says which of C classes an item belongs to. Whole numbers
        (N,) are its class, counted from 0; -1 is none. A list of lists or sets holds all classes of
        each item.
    who : str
        Name of the labels in an error.

    Returns
    -------
    packed : PackedBits, shape (N, C)
    by_number : bool
        Whether classes were given by number: C is then the highest of them and one more, and
        nothing is said of how many there are.

    Raises
    ------
    ValueError
        If labels are of none of these forms, or a list of lists could be columns as well.

    Examples
    --------
    >>> packed, by_number = packed_labels([{0, 2}, {1}, set()])
    >>> packed.unpack().astype(int).tolist(), by_number
    ([[1, 0, 1], [0, 1, 0], [0, 0, 0]], True)
    """
    if isinstance(labels, PackedBits):
        return labels, False
    if not isinstance(labels, Tensor | np.ndarray) and any(map(_is_collection, labels)):
        return _from_lists(labels, who), True
    numbers = to_numpy(labels) if isinstance(labels, Tensor) else np.asarray(labels)
    if numbers.ndim != 1:
        return PackedBits.of(labels, who), False
    if numbers.dtype.kind not in "iu" and len(numbers):
        raise ValueError(
            f"{who} of one value an item must be class numbers, got {numbers.dtype}; count classes"
            " from 0, or give a matrix with one column a class."
        )
    return _from_numbers(np.arange(len(numbers)), numbers, len(numbers), who), True


def _is_collection(item: object) -> TypeGuard[Collection[object]]:
    return isinstance(item, Collection) and not isinstance(item, str | bytes)


def _from_lists(labels: Sequence[object], who: str) -> PackedBits:
    items: list[int] = []
    classes: list[Any] = []
    lengths = set()
    for item, own in enumerate(labels):
        if not _is_collection(own) or not all(isinstance(c, Integral) for c in own):
            raise ValueError(
                f"{who} must be a list of class numbers for each item, got {own!r} for item {item}"
                "; count classes from 0, an empty list is none."
            )
        items += [item] * len(own)
        classes += own
        lengths.add(-1 if isinstance(own, set | frozenset) else len(own))
    if classes and len(lengths) == 1 and -1 not in lengths and {0, 1}.issuperset(classes):
        raise ValueError(
            f"{who} could be columns of zeros and ones or lists of the classes 0 and 1; give an"
            " array for columns, and sets for lists."
        )
    return _from_numbers(np.array(items, int), np.array(classes, int), len(labels), who)


def _from_numbers(items: Array, classes: Array, n_items: int, who: str) -> PackedBits:
    """Set column `classes[i]` in row `items[i]` for each i; -1 sets none."""
    wrong = (classes < -1) | (classes >= MOST_CLASSES)
    if wrong.any():
        raise ValueError(
            f"{who} must be class numbers from 0 to {MOST_CLASSES - 1}, or -1 for none, got"
            f" {classes[wrong][0]} for item {items[wrong][0]}; count classes from 0."
        )
    items, classes = items[classes >= 0], classes[classes >= 0].astype(np.int64)
    width = int(classes.max(initial=0)) + 1
    rows = np.zeros((n_items, -(-width // 8)), np.uint8)
    np.bitwise_or.at(rows, (items, classes // 8), (128 >> classes % 8).astype(np.uint8))
    return PackedBits(rows, width)


def labels_of(data: RetrievalDataset, rows: Tensor) -> PackedBits:
    """Pack the labels of some rows."""
    return PackedBits(data.labels[rows].packed().numpy(), data.labels.n_classes)
