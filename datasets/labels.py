"""Which classes the items of a data set belong to.

Kept by the numbers of the classes, so that an item costs what is said of it, 8 bytes and 4 for each
of its classes, however many classes there are. As a matrix of a byte for each item and class the
labels of 120,000 images of 22,000 classes would take 2.5 GB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 2**22  # entries of a matrix that are held at a time


@dataclass(frozen=True, eq=False)
class Labels:
    """The classes of N items, of C classes in all; an item may have several, or none.

    Made by `of`, `of_blocks`, `one_each` or `from_pairs`.

    Parameters
    ----------
    starts : Tensor, int64, shape (N + 1,)
        Item i has the classes from ``starts[i]`` to before ``starts[i + 1]``.
    classes : Tensor, int32, shape (L,)
        Ascending for each item.
    n_classes : int
        C, at least 1.

    Examples
    --------
    >>> labels = Labels.of(torch.tensor([[True, False, True], [False, True, False]]))
    >>> labels.shape, labels.counts().tolist(), labels[[1, 0]].classes.tolist()
    ((2, 3), [2, 1], [1, 0, 2])
    """

    starts: Tensor
    classes: Tensor
    n_classes: int

    @classmethod
    def of(cls, labels: Labels | Tensor) -> Labels:
        """Take a matrix that says of each item and class whether the item belongs to it.

        Parameters
        ----------
        labels : Tensor, bool, shape (N, C)
            Labels are returned as they are.

        Raises
        ------
        ValueError
            If it is none.
        """
        if isinstance(labels, Labels):
            return labels
        if labels.dtype != torch.bool or labels.ndim != 2 or labels.shape[1] < 1:
            raise ValueError(
                f"labels must be bool (N, C), got {labels.dtype} {tuple(labels.shape)}; "
                "turn class numbers into one-hot rows"
            )
        return cls.of_blocks(labels.split(rows_of(labels.shape[1])), labels.shape[1])

    @classmethod
    def of_blocks(cls, blocks: Iterable[Tensor], n_classes: int) -> Labels:
        """Take such a matrix in pieces of some rows, see `rows_of`; at least one of them."""
        counts, classes = [], []
        for block in blocks:
            counts.append(block.sum(1))
            classes.append(block.nonzero()[:, 1].int())
        return cls(_starts(torch.cat(counts)), torch.cat(classes), n_classes)

    @classmethod
    def one_each(cls, classes: Tensor, n_classes: int) -> Labels:
        """Take the class number of each item, int64 (N,), from 0 to C - 1."""
        return cls(torch.arange(len(classes) + 1), classes.int(), n_classes)

    @classmethod
    def from_pairs(cls, items: Tensor, classes: Tensor, n_items: int, n_classes: int) -> Labels:
        """Take pairs of an item and a class, each int64 (L,); repeated ones count once.

        Examples
        --------
        >>> pairs = torch.tensor([2, 0, 2]), torch.tensor([1, 0, 1])
        >>> Labels.from_pairs(*pairs, n_items=3, n_classes=2).dense().int().tolist()
        [[1, 0], [0, 0], [0, 1]]
        """
        pairs = (items * n_classes + classes).unique()
        counts = (pairs // n_classes).bincount(minlength=n_items)
        return cls(_starts(counts), (pairs % n_classes).int(), n_classes)

    def __len__(self) -> int:
        """Count the items, N."""
        return len(self.starts) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """N and C, the shape of the matrix."""
        return len(self), self.n_classes

    @property
    def dtype(self) -> torch.dtype:
        """Of the matrix: bool."""
        return torch.bool

    def __getitem__(self, items: Tensor | slice | Sequence[int]) -> Labels:
        """Take some items, by their numbers, a slice or a mask."""
        chosen = torch.arange(len(self))[items]
        counts = self.counts()[chosen]
        starts = _starts(counts)
        moved = (self.starts[chosen] - starts[:-1]).repeat_interleave(counts)
        return Labels(starts, self.classes[moved + torch.arange(len(moved))], self.n_classes)

    def counts(self) -> Tensor:
        """Count the classes of each item, int64 (N,)."""
        return self.starts.diff()

    def class_sizes(self) -> Tensor:
        """Count the items of each class, int64 (C,)."""
        return self.classes.bincount(minlength=self.n_classes)

    def pairs(self) -> tuple[Tensor, Tensor]:
        """List each item with each of its classes, ascending; two tensors, int64 (L,)."""
        return torch.arange(len(self)).repeat_interleave(self.counts()), self.classes.long()

    def packed(self) -> Tensor:
        """Return the matrix as `numpy.packbits` writes its rows: uint8 (N, ceil(C / 8))."""
        items, classes = self.pairs()
        width = -(-self.n_classes // 8)
        rows = torch.zeros(len(self) * width, dtype=torch.uint8)
        bits = (128 >> classes % 8).byte()  # each is of one class, so their sum is their union
        return rows.index_add_(0, items * width + classes // 8, bits).view(len(self), width)

    def dense(self) -> Tensor:
        """Return the matrix, bool (N, C): for few items or few classes."""
        matrix = torch.zeros(self.shape, dtype=torch.bool)
        matrix[self.pairs()] = True
        return matrix

    def blocks(self) -> Iterator[Tensor]:
        """Yield the matrix in pieces of some rows."""
        height = rows_of(self.n_classes)
        for start in range(0, len(self), height):
            yield self[start : start + height].dense()


def rows_of(n_classes: int) -> int:
    """Rows of a matrix of so many classes that are held at a time."""
    return max(1, _BLOCK // n_classes)


def _starts(counts: Tensor) -> Tensor:
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))
