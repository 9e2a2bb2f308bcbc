"""Graded relevance: how much a database item is worth to a query, from the labels of both.

A gain is rounded to a multiple of 2^-26 (1.5e-8): sums of such numbers are exact in float64 up to
134 million items of gain 1, in any order, on any device and over any number of shards. So are sums
of gains 2^r - 1 up to r = 30 labels in common and 8 million items; beyond, they are rounded as
float64 rounds, and the order of the items may move their last digit. More than 960 labels in
common count as 960.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.counters import choice as counting
from benchmarks.evaluation.packing import BITS_SET, PackedBits, Values, to_numpy
from datasets.sources.class_tree import set_similarity

Similarity = Values | Literal["shared", "exponential", "jaccard"]
Graded = NDArray[np.float64] | str
"""A similarity that was checked."""

GAIN_UNIT = 2.0**-26
MAX_GRADES = 2**14  # different gains for which an ideal ranking is kept
MOST_SHARED = 960  # labels in common whose gain 2^r - 1 adds up over any database
_TABLE = 2**22  # entries of a table of gains


@dataclass(frozen=True, eq=False)
class Grades:
    """How often each gain occurs in the database; the ideal ranking follows from it.

    Parameters
    ----------
    values : ndarray, float64, shape (G,)
        The different gains, in ascending order.
    items : ndarray, int64, shape (Q, G)
        Database items that have this gain for the query.
    """

    values: NDArray[np.float64]
    items: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.values) > MAX_GRADES:
            raise ValueError(
                f"Grades: at most {MAX_GRADES} different gains can be kept, got"
                f" {len(self.values)}; round the similarity, for example to 3 digits."
            )

    def __add__(self, other: Grades) -> Grades:
        values = np.union1d(self.values, other.values)
        return Grades(values, self.over(values).items + other.over(values).items)

    def over(self, values: NDArray[np.float64]) -> Grades:
        """Return the same counts for a longer list of gains."""
        items = np.zeros((len(self.items), len(values)), np.int64)
        items[:, np.searchsorted(values, self.values)] = self.items
        return Grades(values, items)


def checked_similarity(similarity: Similarity, n_classes: int) -> Graded:
    """Return the similarity as an array in [0, 1], or as one of the three names.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(similarity, str):
        if similarity not in ("shared", "exponential", "jaccard"):
            raise ValueError(
                "evaluate: similarity must be 'shared', 'exponential', 'jaccard' or a matrix, got"
                f" {similarity!r}; choose one of these."
            )
        return similarity
    values = np.asarray(to_numpy(similarity), np.float64)
    if values.shape != (n_classes, n_classes):
        raise ValueError(
            f"evaluate: similarity must have a row and a column for each of the {n_classes} classes"
            f", got shape {values.shape}; order it as the label columns are ordered."
        )
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row, column = (int(i[0]) for i in wrong.nonzero())
        raise ValueError(
            f"evaluate: similarity must lie in [0, 1], got {values[row, column]} in row {row},"
            f" column {column}; rescale it."
        )
    return values


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The different label sets among some items: items of one set have the same gains.

    Attributes
    ----------
    sets : PackedBits, shape (P, C)
    of_item : ndarray, int64, shape (N,)
        Which of the sets an item has.
    """

    sets: PackedBits
    of_item: NDArray[np.int64]

    @classmethod
    def of(cls, labels: PackedBits) -> LabelSets:
        """Find the different rows of a label matrix (N, C)."""
        rows, of_item = np.unique(labels.rows, axis=0, return_inverse=True)
        return cls(PackedBits(rows, labels.width), of_item.reshape(-1).astype(np.int64))

    def parts_for(self, query_labels: PackedBits) -> Iterator[tuple[slice, LabelSets]]:
        """Cut queries into parts whose tables of gains stay small, a row for each set."""
        height = max(1, _TABLE // max(1, len(self.sets)))
        for start in range(0, len(query_labels), height):
            rows = slice(start, start + height)
            yield rows, LabelSets.of(query_labels[rows])


@dataclass(frozen=True, eq=False)
class GainTable:
    """What an item is worth to a query, from the label sets of both.

    Attributes
    ----------
    values : ndarray, float64, shape (G,)
        The different gains, in ascending order.
    grade : ndarray, int64, shape (S, P)
        Which of them an item of set p has for a query of set s.
    """

    values: NDArray[np.float64]
    grade: NDArray[np.int64]

    @classmethod
    def of(cls, query: LabelSets, items: LabelSets, similarity: Graded) -> GainTable:
        """Grade every pair of label sets."""
        values, grade = _graded(query.sets, items.sets, similarity)
        occurs = np.bincount(grade.ravel(), minlength=len(values)) > 0
        return cls(values[occurs], (occurs.cumsum() - 1)[grade])

    @property
    def gains(self) -> NDArray[np.float64]:
        """The gains themselves, float64 (S, P)."""
        return self.values[self.grade]

    def grades(self, query: LabelSets, items: LabelSets) -> Grades:
        """Count how often each gain occurs among the items, for each query."""
        sizes = np.bincount(items.of_item, minlength=len(items.sets))
        by_set = [np.bincount(row, sizes, len(self.values)) for row in self.grade]
        return Grades(self.values, np.array(by_set, np.int64)[query.of_item])


def gain(
    query: PackedBits,
    query_labels: PackedBits,
    codes: PackedBits,
    labels: PackedBits,
    similarity: Graded,
    backend: counting.Backend,
) -> tuple[NDArray[np.float64], Grades]:
    """Return the gain per distance, and how often each gain occurs in this piece."""
    items = LabelSets.of(labels)
    gains, parts = [], []
    for rows, asked in items.parts_for(query_labels):
        table = GainTable.of(asked, items, similarity)
        pairs = asked.of_item, items.of_item, table.gains
        gains.append(backend.gains(query[rows], codes, *pairs))
        parts.append(table.grades(asked, items))
    values = np.unique(np.concatenate([part.values for part in parts]))
    counts = np.concatenate([part.over(values).items for part in parts])
    return np.concatenate(gains), Grades(values, counts)


def shared_labels(sets: PackedBits, others: PackedBits) -> NDArray[np.int64]:
    """Count the labels that each of S sets has in common with each of P others, (S, P)."""
    planes = np.ascontiguousarray(others.rows.T)  # (bytes, P)
    shared = np.zeros((len(sets), len(others)), np.int64)
    for count, own in zip(shared, sets.rows, strict=True):
        for byte in np.flatnonzero(own):
            count += BITS_SET[planes[byte] & own[byte]]
    return shared


def _graded(
    sets: PackedBits, others: PackedBits, similarity: Graded
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return gains in ascending order, and which of them each pair of label sets has."""
    if not isinstance(similarity, str):
        known = np.append(_rounded(similarity), 0.0)  # 0: one of the sets is empty
        values, grade = np.unique(known, return_inverse=True)
        of_classes = grade.reshape(-1)[:-1].reshape(similarity.shape)  # in the same order
        return values, set_similarity(sets.unpack(), others.unpack(), of_classes)
    shared = shared_labels(sets, others)
    if similarity == "jaccard":
        union = np.add.outer(sets.counts(), others.counts()) - shared
        values, grade = np.unique(_rounded(shared / np.maximum(union, 1)), return_inverse=True)
        return values, grade.reshape(shared.shape)
    if similarity == "exponential":
        shared = np.minimum(shared, MOST_SHARED)
    number = np.arange(shared.max(initial=0) + 1.0)
    return number if similarity == "shared" else 2.0**number - 1, shared


def _rounded(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.round(gain / GAIN_UNIT) * GAIN_UNIT
    return rounded
