"""Yardsticks without codes: a ranking by similarity of vectors as counts, one level a tie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.evaluation.counters.choice import resolve
from benchmarks.evaluation.counters.cpu import on_all_cores
from benchmarks.evaluation.counts import RetrievalStats
from benchmarks.evaluation.graded_relevance import (
    GainTable,
    Graded,
    LabelSets,
    Similarity,
    checked_similarity,
    shared_labels,
)
from benchmarks.evaluation.packing import PackedBits, Values, to_numpy, to_torch
from benchmarks.evaluation.ties import Ints

CHUNK = 2**23  # (query, item) pairs ranked at a time
BLOCK = 1024  # rows in float64 at a time
UNITS = 2**30  # steps of the cosine from 0 to 1

Rule = Literal["cosine", "inner product", "jaccard"]
"""By what vectors are ranked, the largest first. Jaccard's index is of vectors of 0 and 1: how many
ones two have in common, over how many either has."""


def rank_floats(
    query: Values,
    query_labels: Values | PackedBits,
    database: Values,
    database_labels: Values | PackedBits,
    *,
    rule: Rule = "cosine",
    similarity: Similarity | None = None,
    device: str | torch.device = "auto",
) -> Iterator[RetrievalStats]:
    """Rank the database by cosine, inner product or Jaccard's index, exactly.

    Items of equal similarity share a level, which counts as a distance of its own, so that the
    metrics for codes apply. Similarities are computed in float64. Cosines are rounded to a multiple
    of 2^-30, inner products to 24 binary digits as float32 has them, and so is Jaccard's index to a
    multiple of 2^-30, which tells all its values apart up to 32,767 dimensions. Items of the same
    features are equal wherever they lie. A vector of zeros has 0 to all.

    Parameters
    ----------
    query, database : Tensor or ndarray, shapes (Q, D) and (M, D)
        Features, finite and of any scale.
    query_labels, database_labels : Tensor, ndarray or PackedBits, shapes (Q, C) and (M, C)
        bool, or 0 and 1.
    rule : "cosine", "inner product" or "jaccard"
    similarity : array, shape (C, C), or a name, optional
        Graded relevance, as for `evaluate`.
    device : str or torch.device
        Where to multiply; "auto" is CUDA where present.

    Yields
    ------
    RetrievalStats
        For the next queries in order, at most 8 million (query, item) pairs at a time. Levels in a
        row that hold one kind of items alone, relevant or not and of one gain, are put together:
        no metric tells them apart.

    Raises
    ------
    ValueError
        If features or labels are no matrices that belong together, or features are not finite, or
        not 0 and 1 where Jaccard's index is asked for.
    """
    device = resolve(device)
    q, b = _Vectors(query, "query", device, rule), _Vectors(database, "database", device, rule)
    q_labels = _labels(query_labels, "query", len(query))
    b_labels = _labels(database_labels, "database", len(database))
    for what, one, other in (
        ("features", q.x.shape[1], b.x.shape[1]),
        ("classes", q_labels.width, b_labels.width),
    ):
        if one != other:
            raise ValueError(
                f"rank_floats: query and database must have equally many {what}, got {one} and"
                f" {other}; take both from the same backbone."
            )
    graded = None if similarity is None else checked_similarity(similarity, b_labels.width)
    items = LabelSets.of(b_labels)
    height = max(1, CHUNK // len(b.x))
    for start in range(0, len(q.x), height):
        rows = slice(start, start + height)
        yield count_levels(q.similarities(rows, b), LabelSets.of(q_labels[rows]), items, graded)


class _Vectors:
    """Vectors, with what brings their products to the same range and to equal neighbours.

    Attributes
    ----------
    x : Tensor, shape (N, D)
        As they were given, on the device.
    scale : Tensor, float64, shape (N,)
        The power of two that brings the largest entry near 1: nothing overflows or is lost. That of
        the row for cosines, which do not know the scale, else that of all rows.
    length : Tensor, float64, shape (N,)
        Of the scaled row; 1 where all are zeros, so that nothing is divided by 0.
    repeated, first : ndarray, int64
        Numbers of the rows that equal an earlier one, and of the first that they equal.
    """

    def __init__(self, features: Values, who: str, device: torch.device, rule: Rule) -> None:
        self.rule = rule
        self.x = to_torch(np.asarray(features) if isinstance(features, list) else features, device)
        if self.x.ndim != 2 or 0 in self.x.shape:
            raise ValueError(
                f"rank_floats: {who} needs at least one row of features, got shape"
                f" {tuple(self.x.shape)}; give one row an item."
            )
        most = torch.cat([rows.double().abs().amax(1) for rows in self.x.split(BLOCK)])
        if not (finite := most.isfinite()).all():
            raise ValueError(
                f"rank_floats: {who} features must be finite, got NaN or infinity in row"
                f" {int((~finite).nonzero()[0])}; check the backbone's output."
            )
        if rule == "jaccard" and not (ones := (self.x == 0) | (self.x == 1)).all():
            raise ValueError(
                f"rank_floats: {who} features must be 0 and 1 for Jaccard's index, got"
                f" {self.x[~ones][0]:g}; take another rule."
            )
        if rule == "inner product":
            most = most.amax().expand_as(most)
        self.scale = torch.ldexp(torch.ones_like(most), -most.frexp().exponent.clamp(-1000, 1000))
        self.length = torch.ones_like(self.scale)
        known: dict[bytes, int] = {}
        n_rows = len(self.x)
        first = np.arange(n_rows)
        for start in range(0, n_rows, BLOCK):
            rows = slice(start, start + BLOCK)
            scaled = self.rows(rows)
            length = torch.linalg.vector_norm(scaled, dim=1)
            self.length[rows] = length.where(length > 0, 1)
            for i, row in enumerate(to_numpy(scaled + 0.0), start):  # + 0.0: no negative zeros
                first[i] = known.setdefault(hashlib.sha256(row).digest(), i)
        self.repeated = np.flatnonzero(first != np.arange(n_rows))
        self.first = first[self.repeated]

    def rows(self, rows: slice) -> Tensor:
        """Return some rows scaled, float64."""
        return self.x[rows].double() * self.scale[rows, None]

    def similarities(self, rows: slice, others: _Vectors) -> NDArray[np.int32]:
        """Return similarities to the rows of others as integers that keep their order, (rows, M).

        Cosines and Jaccard's indices in steps of 1 / `UNITS`; inner products as the floats of 32
        bits around them, counted.
        """
        q, n_others = self.rows(rows), len(others.x)
        found = torch.empty(len(q), n_others, dtype=torch.int32, device=q.device)
        for start in range(0, n_others, BLOCK):
            block = slice(start, start + BLOCK)
            products = q @ others.rows(block).T
            one, other = self.length[rows, None], others.length[block]
            if self.rule == "inner product":
                found[:, block] = _places(products)
                continue
            below = one * other  # signs stay exact
            if self.rule == "jaccard":
                below = one.square() + other.square() - products  # the ones that either has
            found[:, block] = (products / below * UNITS).round()
        array = to_numpy(found)
        array[:, others.repeated] = array[:, others.first]
        return array


def _places(values: Tensor) -> Tensor:
    """Round to float32, and number these: equal ones alike, and larger ones higher; int32.

    Examples
    --------
    >>> _places(torch.tensor([-1.0, -0.0, 0.0, 1e-45])).tolist()
    [-1065353217, 0, 0, 1]
    """
    bits = (values.float() + 0.0).view(torch.int32)  # + 0.0: no negative zeros
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)  # below zero, larger bits are smaller numbers


def _labels(labels: Values | PackedBits, who: str, n_rows: int) -> PackedBits:
    packed = PackedBits.of(labels, f"rank_floats: {who} labels")
    if len(packed) != n_rows:
        raise ValueError(
            f"rank_floats: {who} needs one row of labels for each row of features, got"
            f" {len(packed)} for {n_rows}; select both by the same rows."
        )
    return packed


def count_levels(
    similarity: NDArray[np.int32], query: LabelSets, items: LabelSets, graded: Graded | None = None
) -> RetrievalStats:
    """Count items, relevant items and gains by level, for queries that rank all items.

    Parameters
    ----------
    similarity : ndarray, int32, shape (Q, M)
        The largest first; equal ones share a level.
    query, items : LabelSets
        Of Q queries and M items.
    graded : array or str, optional
        Graded relevance, as `checked_similarity` gives it.
    """
    kind = (shared_labels(query.sets, items.sets) > 0).astype(np.int64)  # of a pair of label sets
    values, grades = np.zeros(1), None
    if graded is not None:
        table = GainTable.of(query, items, graded)
        values, grades = table.values, table.grades(query, items)
        kind += 2 * table.grade
    levels: list[tuple[Ints, Ints]] = [(np.zeros(0, np.int64),) * 2] * len(similarity)

    def rank(rows: slice) -> None:
        for i in range(rows.start, rows.stop):
            levels[i] = _levels(similarity[i], kind[query.of_item[i]][items.of_item])

    on_all_cores(rank, len(similarity))
    shape = len(levels), max(len(starts) for starts, _ in levels)
    n_items, relevant = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    gain = None if graded is None else np.zeros(shape)
    for i, (starts, kinds) in enumerate(levels):
        end = len(starts)
        n_items[i, :end] = np.diff(starts, append=len(kinds))
        relevant[i, :end] = np.add.reduceat(kinds & 1, starts)
        if gain is not None:
            gain[i, :end] = np.add.reduceat(values[kinds >> 1], starts)
    return RetrievalStats(n_items, relevant, gain, grades, hamming=False)


def _levels(similarity: NDArray[np.int32], kind: Ints) -> tuple[Ints, Ints]:
    """Rank items by falling similarity; return where levels start, and the kinds in this order."""
    key = -similarity.astype(np.int64) << 32 | kind
    key.sort()
    kind = key & 0xFFFFFFFF
    is_tied, is_other = np.diff(key >> 32) == 0, np.diff(kind) != 0  # than the item before
    if not (is_tied & is_other).any():
        is_start = is_other
    else:  # ties of several kinds are levels of their own
        level = np.append(0, (~is_tied).cumsum())
        is_mixed = np.zeros(level[-1] + 1, bool)
        is_mixed[level[1:][is_tied & is_other]] = True
        mixed = is_mixed[level]
        is_start = ~is_tied & (is_other | mixed[1:] | mixed[:-1])
    return np.append(0, np.flatnonzero(is_start) + 1), kind
