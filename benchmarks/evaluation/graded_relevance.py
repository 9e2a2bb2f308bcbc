"""Graded relevance: how much a database item is worth to a query, from the labels of both.

A gain is rounded to a multiple of 2^-26 (1.5e-8): sums of such numbers are exact in float64 up to
134 million items of gain 1, in any order, on any device and over any number of shards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.counters import choice as counting
from benchmarks.evaluation.packing import PackedBits, Values, to_numpy

Similarity = Values | Literal["shared", "exponential", "jaccard"]

GAIN_UNIT = 2.0**-26
MAX_GRADES = 2**14  # different gains for which an ideal ranking is kept
MAX_SHARED = 30  # labels in common whose gain 2^r - 1 adds up exactly over millions of items


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


def checked_similarity(similarity: Similarity, n_classes: int) -> NDArray[np.float64] | str:
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


def gain(
    query: PackedBits,
    query_labels: PackedBits,
    codes: PackedBits,
    labels: PackedBits,
    similarity: NDArray[np.float64] | str,
    backend: counting.Backend,
) -> tuple[NDArray[np.float64], Grades]:
    """Return the gain per distance, and how often each gain occurs in this piece.

    Items with the same labels have the same gain, so gains are computed between label sets.
    """
    sets, item_set = _label_sets(labels)
    gains, parts = [], []
    for start in range(0, len(query), 64):  # bounds the table of gains: 64 sets x M sets
        rows = slice(start, start + 64)
        query_sets, query_set = _label_sets(query_labels[rows])
        table = _gain_table(query_sets, sets, similarity)
        gains.append(backend.gains(query[rows], codes, query_set, item_set, table))
        parts.append(_grades(table, query_set, item_set))
    values = np.unique(np.concatenate([part.values for part in parts]))
    items = np.concatenate([part.over(values).items for part in parts])
    return np.concatenate(gains), Grades(values, items)


def gain_of_items(
    query_labels: PackedBits, labels: PackedBits, similarity: NDArray[np.float64] | str
) -> tuple[NDArray[np.float64], Grades]:
    """Return the gain of every item for a few queries, (Q, M), and how often each occurs."""
    sets, item_set = _label_sets(labels)
    query_sets, query_set = _label_sets(query_labels)
    table = _gain_table(query_sets, sets, similarity)
    return table[query_set][:, item_set], _grades(table, query_set, item_set)


def _grades(
    table: NDArray[np.float64], query_set: NDArray[np.int64], item_set: NDArray[np.int64]
) -> Grades:
    """Count how often each gain of a table occurs in a piece, for each query."""
    sizes = np.bincount(item_set, minlength=table.shape[1])
    values, grade = np.unique(table, return_inverse=True)
    by_set = [np.bincount(row, sizes, len(values)) for row in grade.reshape(table.shape)]
    return Grades(values, np.array(by_set, np.int64)[query_set])


def _label_sets(labels: PackedBits) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the different rows (P, C) of a label matrix, and for each item which one it has."""
    unique, which = np.unique(labels.rows, axis=0, return_inverse=True)
    sets = PackedBits(unique, labels.width).unpack()
    return sets, which.reshape(-1).astype(np.int64)


def _gain_table(
    query_sets: NDArray[np.bool_], sets: NDArray[np.bool_], similarity: NDArray[np.float64] | str
) -> NDArray[np.float64]:
    """Return the gain of label set p for a query with label set s, float64 (S, P)."""
    if isinstance(similarity, str):
        shared = query_sets.astype(np.float64) @ sets.T.astype(np.float64)
        if similarity == "shared":
            return shared
        if similarity == "exponential":
            if (most := shared.max(initial=0)) > MAX_SHARED:
                raise ValueError(
                    f"evaluate: gains 2^r - 1 are exact up to {MAX_SHARED} labels in common, got"
                    f" {int(most)}; use similarity='shared' or 'jaccard'."
                )
            return np.asarray(2.0**shared - 1.0)
        union = query_sets.sum(axis=1)[:, None] + sets.sum(axis=1) - shared
        gain = shared / np.maximum(union, 1)
    else:
        # nearest[s, c]: how similar class c is to the closest label of query set s
        nearest = [similarity[own].max(axis=0, initial=0.0) for own in query_sets]
        gain = np.array([(sets * row).max(axis=1, initial=0.0) for row in nearest])
    rounded: NDArray[np.float64] = np.round(gain / GAIN_UNIT) * GAIN_UNIT
    return rounded
