"""Codes and labels in, counts per Hamming distance out; no metric is computed here.

Every metric of `benchmarks.evaluation.metrics` follows from how many database items lie at each
distance from a query and how many of them are relevant (share a label with it), so a database is
read once, in pieces of any size, and the counts of pieces add up to the last digit; so do the gains
of `benchmarks.evaluation.graded_relevance`. Memory holds the queries, one piece and the counts: a
database on disk is given as memory maps, of which a piece at a time is read.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation import graded_relevance as grading
from benchmarks.evaluation.counters import choice as counting
from benchmarks.evaluation.graded_relevance import Grades, Similarity
from benchmarks.evaluation.labels import Labels, packed_labels
from benchmarks.evaluation.packing import PackedBits, Values

PIECE = 2**18  # database rows read at a time
GRADED_PIECE = 2**16  # the same with graded relevance, whose table may have a column a row


class Codes:
    """Binary codes and the labels of the same items, checked and packed where they enter.

    Parameters
    ----------
    codes : Tensor, ndarray or PackedBits, shape (N, K)
        bool, 0 and 1, or -1 and +1; 1 to 32767 bits.
    labels : Tensor, ndarray, PackedBits, or list
        Of the same items: a matrix (N, C) of the same values, class numbers (N,) or lists of class
        numbers, as `benchmarks.evaluation.labels.packed_labels` reads them.

    Attributes
    ----------
    codes, labels : PackedBits, shapes (N, K) and (N, C)
    by_number : bool
        Whether classes were given by number, so that more than C may be known elsewhere.

    Raises
    ------
    ValueError
        If one of them has another form, or they are not of the same items.

    Examples
    --------
    >>> codes = Codes([[-1, 1], [1, 1]], labels=[3, 0])
    >>> codes.codes.shape, codes.labels.shape
    ((2, 2), (2, 4))

    Ten million codes of 64 bits on disk, as `numpy.packbits` wrote them; rows that are packed are
    read a piece at a time, when they are counted::

        rows = np.load("codes.npy", mmap_mode="r")  # uint8, shape (10_000_000, 8)
        labels = np.load("labels.npy", mmap_mode="r")  # uint8, shape (10_000_000, 2)
        stats = evaluate(query, Codes(PackedBits(rows, 64), PackedBits(labels, 10)))
    """

    def __init__(self, codes: Values | PackedBits | Sequence[Any], labels: Labels) -> None:
        self.codes = PackedBits.of(codes, "Codes: codes")
        self.labels, self.by_number = packed_labels(labels, "Codes: labels")
        if len(self.codes) != len(self.labels):
            raise ValueError(
                f"Codes: expected one row of labels a code, got {len(self.codes)} codes and"
                f" {len(self.labels)} rows of labels; select both by the same row numbers."
            )
        if not 1 <= self.codes.width <= counting.MAX_BITS:
            raise ValueError(
                f"Codes: codes must have 1 to {counting.MAX_BITS} bits, got {self.codes.width};"
                " set the code length of the method."
            )

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "Codes":
        part = copy(self)
        part.codes, part.labels = self.codes[rows], self.labels[rows]
        return part

    def of_classes(self, n_classes: int) -> "Codes":
        """Return the same with columns for so many classes, as far as that is open."""
        if not self.by_number or n_classes < self.labels.width:
            return self
        return Codes(self.codes, self.labels.widened(n_classes))


@dataclass(frozen=True, eq=False)
class RetrievalStats:
    """Counts per query and distance; `a + b` merges two shards of a database.

    Parameters
    ----------
    items : ndarray, int64, shape (Q, K + 1)
        Database items at distance 0..K.
    relevant : ndarray, int64, shape (Q, K + 1)
        Those relevant to the query.
    gain : ndarray, float64, shape (Q, K + 1), optional
        Summed graded relevance, where asked for.
    grades : Grades, optional
        Present with `gain`: how often each gain occurs, over all distances.
    hamming : bool
        Whether column d means Hamming distance d; False for a ranking by floats, where columns are
        the levels of equal similarity in falling order, filled up with empty ones.
    """

    items: NDArray[np.int64]
    relevant: NDArray[np.int64]
    gain: NDArray[np.float64] | None = None
    grades: Grades | None = None
    hamming: bool = True

    @property
    def n_without_relevant(self) -> int:
        """Queries with no relevant item in the whole database; every metric scores them 0."""
        return int((self.relevant.sum(axis=1) == 0).sum())

    def __add__(self, other: "RetrievalStats") -> "RetrievalStats":
        if self.items.shape != other.items.shape or not (self.hamming and other.hamming):
            raise ValueError(
                "RetrievalStats: shards add up only for the same queries and code length over"
                f" Hamming distances, got shapes {self.items.shape} and {other.items.shape};"
                " evaluate every shard with the same queries."
            )
        if (self.gain is None) != (other.gain is None):
            raise ValueError(
                "RetrievalStats: all shards or none hold graded relevance, got one of each;"
                " evaluate every shard with the same similarity."
            )
        return RetrievalStats(
            self.items + other.items,
            self.relevant + other.relevant,
            None if self.gain is None or other.gain is None else self.gain + other.gain,
            None if self.grades is None or other.grades is None else self.grades + other.grades,
        )


def evaluate(
    query: Codes,
    database: Codes | Iterable[Codes],
    *,
    similarity: Similarity | None = None,
    device: str | torch.device = "auto",
) -> RetrievalStats:
    """Count database items, relevant items and gain at every Hamming distance from each query.

    Parameters
    ----------
    query : Codes
        Q codes of K bits with labels over C classes.
    database : Codes or iterable of Codes
        An iterable is read piece by piece; nothing but the counts is kept. Pieces may be empty: the
        stats of an empty one change nothing that they are added to.
    similarity : array, shape (C, C), or "shared", "exponential" or "jaccard", optional
        Graded relevance. With an array of class similarities in [0, 1], the gain of an item is the
        highest similarity of a label of the query (row) and a label of the item (column);
        "shared" is the number r of labels in common, "exponential" is 2^r - 1, "jaccard" is r over
        the size of the union. An item without labels has gain 0.
    device : str or torch.device
        "cpu" (numba, or torch without it; all cores), "cuda" (Triton, or torch without it), or
        "auto": CUDA where present.

    Returns
    -------
    RetrievalStats

    Raises
    ------
    ValueError
        If code lengths or numbers of classes differ, packed rows hold more than their width, or
        there is no query.

    Examples
    --------
    >>> query = Codes(np.array([[1, 0, 1]]), np.array([[1, 0]]))
    >>> database = Codes(np.array([[1, 0, 1], [1, 1, 1], [0, 1, 0]]), np.eye(2)[[0, 1, 0]])
    >>> stats = evaluate(query, database, device="cpu")
    >>> stats.items.tolist(), stats.relevant.tolist()
    ([[1, 1, 0, 1]], [[1, 0, 0, 1]])
    """
    _check_type(query, "query")
    if similarity is not None and not isinstance(similarity, str):
        query = query.of_classes(len(similarity))
    n_query, n_bits = query.codes.shape
    if n_query == 0:
        raise ValueError("evaluate: expected at least 1 query, got 0; check the protocol's split.")
    graded = None
    if similarity is not None:
        graded = grading.checked_similarity(similarity, query.labels.width)
    _check_ends(query, "query")
    step = PIECE if graded is None else GRADED_PIECE
    backend = counting.backend(device)
    zeros = np.zeros((n_query, n_bits + 1), np.int64)
    if graded is None:
        total = RetrievalStats(zeros, zeros)
    else:
        none = Grades(np.zeros(0), np.zeros((n_query, 0), np.int64))
        total = RetrievalStats(zeros, zeros, zeros.astype(np.float64), none)
    for number, whole in enumerate([database] if isinstance(database, Codes) else database):
        who = "database" if isinstance(database, Codes) else f"database piece {number}"
        asked, stored = _matched(query, whole, who)
        for start in range(0, len(stored), step):
            piece = stored[start : start + step]
            _check_ends(piece, who, start)
            problem = asked.codes, asked.labels, piece.codes, piece.labels
            counts = backend.counts(*problem)
            if graded is None:
                total += RetrievalStats(*counts)
            else:
                total += RetrievalStats(*counts, *grading.gain(*problem, graded, backend))
    return total


def _matched(query: Codes, other: Codes, who: str) -> tuple[Codes, Codes]:
    """Return both with equally many classes, or refuse what cannot be compared."""
    _check_type(other, who)
    n_classes = max(query.labels.width, other.labels.width)
    query, other = query.of_classes(n_classes), other.of_classes(n_classes)
    for what, a, b in (
        ("bits a code", query.codes.width, other.codes.width),
        ("classes", query.labels.width, other.labels.width),
    ):
        if a != b:
            raise ValueError(
                f"evaluate: query and {who} must have equally many {what}, got {a} and {b};"
                " encode and label both in the same way."
            )
    return query, other


def _check_type(given: object, who: str) -> None:
    if not isinstance(given, Codes):
        raise TypeError(
            f"evaluate: {who} must be Codes, got {type(given).__name__}; give Codes(codes, labels)."
        )


def _check_ends(codes: Codes, who: str, first: int = 0) -> None:
    codes.codes.check_ends(f"evaluate: {who} codes", first)
    codes.labels.check_ends(f"evaluate: {who} labels", first)
