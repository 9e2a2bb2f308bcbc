"""Codes and labels in, counts per Hamming distance out; no metric is computed here.

Every metric of `benchmarks.evaluation.metrics` follows from how many database items lie at each
distance from a query and how many of them are relevant (share a label with it), so a database is
read once, in pieces of any size, and the counts of pieces add up to the last digit; so do the gains
of `benchmarks.evaluation.graded_relevance`. Memory holds the queries, one piece and the counts: a
database on disk is given as memory maps, of which a piece at a time is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation import graded_relevance as grading
from benchmarks.evaluation.counters import choice as counting
from benchmarks.evaluation.graded_relevance import Grades, Similarity
from benchmarks.evaluation.packing import PackedBits, Values, as_bool, matrix

PIECE = 2**18  # database rows read at a time
GRADED_PIECE = 2**16  # the same with graded relevance, whose table may have a column a row


@dataclass(frozen=True, eq=False)
class Codes:
    """Binary codes and the labels of the same items; `evaluate` checks them.

    Parameters
    ----------
    bits : Tensor, ndarray or PackedBits, shape (N, K)
        bool, or numbers that are all 0 or 1. Any of them may be a `numpy.memmap`.
    labels : Tensor, ndarray or PackedBits, shape (N, C)
        bool, or 0 and 1: which of the C classes an item belongs to.

    Examples
    --------
    Ten million codes of 64 bits on disk, as `numpy.packbits` wrote them::

        rows = np.load("codes.npy", mmap_mode="r")  # uint8, shape (10_000_000, 8)
        labels = np.load("labels.npy", mmap_mode="r")  # bool, shape (10_000_000, 10)
        stats = evaluate(query, Codes(PackedBits(rows, 64), labels))
    """

    bits: Values | PackedBits
    labels: Values | PackedBits


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
    by_grade: bool = False,
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
    by_grade : bool
        Also count each gain at each distance, which the best and worst order of ties need where
        relevance is graded. For G different gains it takes G more passes and 8 Q G (K + 1) bytes.
    device : str or torch.device
        "cpu" (numba, all cores), "cuda" (Triton, or torch without it), or "auto": CUDA where
        present.

    Returns
    -------
    RetrievalStats

    Raises
    ------
    ValueError
        If codes are not binary, widths or numbers of classes differ, there is no query, or
        `by_grade` is set without a similarity.

    Examples
    --------
    >>> query = Codes(np.array([[1, 0, 1]]), np.array([[1, 0]]))
    >>> database = Codes(np.array([[1, 0, 1], [1, 1, 1], [0, 1, 0]]), np.eye(2)[[0, 1, 0]])
    >>> stats = evaluate(query, database, device="cpu")
    >>> stats.items.tolist(), stats.relevant.tolist()
    ([[1, 1, 0, 1]], [[1, 0, 0, 1]])
    """
    query = checked(query, "query")
    n_query, n_bits = query.bits.shape
    n_classes = query.labels.shape[1]
    if n_query == 0:
        raise ValueError("evaluate: expected at least 1 query, got 0; check the protocol's split.")
    if by_grade and similarity is None:
        raise ValueError("evaluate: by_grade counts gains, got no similarity; choose one as well.")
    graded = None if similarity is None else grading.checked_similarity(similarity, n_classes)
    step = PIECE if graded is None else GRADED_PIECE
    whole_query = _bools(query.bits), _bools(query.labels)
    backend = counting.backend(device)
    zeros = np.zeros((n_query, n_bits + 1), np.int64)
    if graded is None:
        total = RetrievalStats(zeros, zeros)
    else:
        by_distance = np.zeros((n_query, 0, n_bits + 1), np.int64) if by_grade else None
        none = Grades(np.zeros(0), np.zeros((n_query, 0), np.int64), by_distance)
        total = RetrievalStats(zeros, zeros, zeros.astype(np.float64), none)
    for number, given in enumerate([database] if isinstance(database, Codes) else database):
        who = "database" if isinstance(database, Codes) else f"database piece {number}"
        whole = check_shapes(given, who)
        check_match(query, whole, who)
        for start in range(0, len(whole.bits), step):
            piece = _read(whole, slice(start, start + step), who)
            counts = backend.counts(query.bits, query.labels, piece.bits, piece.labels)
            if graded is None:
                total += RetrievalStats(*counts)
            else:
                bits, labels = _bools(piece.bits), _bools(piece.labels)
                gains = grading.gain(*whole_query, bits, labels, graded, backend, by_grade)
                total += RetrievalStats(*counts, *gains)
    return total


def checked(codes: Codes, who: str) -> Codes:
    """Return the codes with booleans or packed bits, or say which value is neither 0 nor 1."""
    return _read(check_shapes(codes, who), slice(None), who)


def check_shapes(codes: Codes, who: str) -> Codes:
    """Return the codes as matrices that belong together; no value is read."""
    bits, labels = matrix(codes.bits, f"{who} codes"), matrix(codes.labels, f"{who} labels")
    if len(bits) != len(labels):
        raise ValueError(
            f"evaluate: {who} needs one row of labels a code, got {len(bits)} codes and"
            f" {len(labels)} rows of labels; select both by the same row numbers."
        )
    if not 1 <= bits.shape[1] <= counting.MAX_BITS:
        raise ValueError(
            f"evaluate: {who} codes must have 1 to {counting.MAX_BITS} bits, got {bits.shape[1]};"
            " set the code length of the method."
        )
    return Codes(bits, labels)


def check_match(query: Codes, other: Codes, who: str) -> None:
    """Refuse codes that cannot be compared with the queries."""
    for what, a, b in (
        ("bits a code", query.bits.shape[1], other.bits.shape[1]),
        ("classes", query.labels.shape[1], other.labels.shape[1]),
    ):
        if a != b:
            raise ValueError(
                f"evaluate: query and {who} must have equally many {what}, got {a} and {b};"
                " encode and label both in the same way."
            )


def _read(codes: Codes, rows: slice, who: str) -> Codes:
    """Take some rows, and look at their values."""
    first = rows.start or 0
    return Codes(
        as_bool(codes.bits[rows], f"{who} codes", first),
        as_bool(codes.labels[rows], f"{who} labels", first),
    )


def _bools(bits: Values | PackedBits) -> Values:
    return bits.unpack() if isinstance(bits, PackedBits) else bits
