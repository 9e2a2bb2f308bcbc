"""Codes and labels in, counts per Hamming distance out; no metric is computed here.

Every metric of `benchmarks.metrics` follows from how many database items lie at each distance from
a query and how many of them are relevant (share a label with it), so a database is read once, in
pieces of any size, and the counts of pieces add up to the last digit; so do the gains of
`benchmarks.grading`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import counting, grading
from benchmarks.grading import Grades, Similarity, Values

PIECE = 2**20  # database rows packed at a time
GRADED_PIECE = 2**16  # the same with graded relevance, whose table may have a column a row


@dataclass(frozen=True, eq=False)
class Codes:
    """Binary codes and the labels of the same items; `evaluate` checks them.

    Parameters
    ----------
    bits : Tensor or ndarray, shape (N, K)
        bool, or numbers that are all 0 or 1.
    labels : Tensor or ndarray, shape (N, C)
        bool, or 0 and 1: which of the C classes an item belongs to.
    """

    bits: Values
    labels: Values


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
        An iterable is read piece by piece; nothing but the counts is kept. Pieces may be empty.
    similarity : array, shape (C, C), or "shared", "exponential" or "jaccard", optional
        Graded relevance. With an array of class similarities in [0, 1], the gain of an item is the
        highest similarity of a label of the query (row) and a label of the item (column);
        "shared" is the number r of labels in common, "exponential" is 2^r - 1, "jaccard" is r over
        the size of the union. An item without labels has gain 0.
    by_grade : bool
        Also count each gain at each distance, which the best and worst order of ties need where
        relevance is graded. For G different gains it takes G more passes and 8 Q G (K + 1) bytes.
    device : str or torch.device
        "cpu" (numba, all cores), "cuda" (torch), or "auto": CUDA where present.

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
    query = _checked(query, "query")
    n_query, n_bits = query.bits.shape
    n_classes = query.labels.shape[1]
    if n_query == 0:
        raise ValueError("evaluate: expected at least 1 query, got 0; check the protocol's split.")
    if by_grade and similarity is None:
        raise ValueError("evaluate: by_grade counts gains, got no similarity; choose one as well.")
    graded = None if similarity is None else grading.checked_similarity(similarity, n_classes)
    step = PIECE if graded is None else GRADED_PIECE
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
        whole = _checked(given, who)
        for what, a, b in (
            ("bits a code", n_bits, whole.bits.shape[1]),
            ("classes", n_classes, whole.labels.shape[1]),
        ):
            if a != b:
                raise ValueError(
                    f"evaluate: query and {who} must have equally many {what}, got {a} and {b};"
                    " encode and label both in the same way."
                )
        for start in range(0, len(whole.bits), step):
            rows = slice(start, start + step)
            piece = Codes(whole.bits[rows], whole.labels[rows])
            pairs = (query.bits, query.labels, piece.bits, piece.labels)
            counts = backend.counts(*pairs)
            if graded is None:
                total += RetrievalStats(*counts)
            else:
                gains = grading.gain(*pairs, graded, backend, by_grade)
                total += RetrievalStats(*counts, *gains)
    return total


def _checked(codes: Codes, who: str) -> Codes:
    """Return the codes as booleans, or say which value is not one."""
    bits = _as_bool(codes.bits, f"{who} codes")
    labels = _as_bool(codes.labels, f"{who} labels")
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


def _as_bool(values: Values, who: str) -> Values:
    if not isinstance(values, Tensor):
        values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(
            f"evaluate: {who} must be a matrix with one row an item, got shape"
            f" {tuple(values.shape)}; give one column a bit or class."
        )
    if values.dtype in (torch.bool, np.bool_):
        return values
    wrong = (values != 0) & (values != 1)  # NaN differs from both
    if wrong.any():
        row, column = (int(i[0]) for i in counting.to_numpy(wrong).nonzero())
        raise ValueError(
            f"evaluate: {who} must be bool or 0/1, got {values[row, column].item()} in row {row},"
            f" column {column}; threshold scores first, for example `scores > 0`."
        )
    return values != 0


# --------------------------------------------------------------------------- ranking by floats


def rank_floats(
    query_features: Values,
    query_labels: Values,
    database_features: Values,
    database_labels: Values,
    *,
    similarity: Similarity | None = None,
    device: str | torch.device = "auto",
) -> Iterator[RetrievalStats]:
    """Rank the database by cosine similarity, exactly: the yardstick without codes.

    Each level of equal similarity is a distance of its own, so the metrics for codes apply. Equal
    means equal in float32; features that differ only by rounding are not ties.

    Parameters
    ----------
    query_features, database_features : Tensor or ndarray, shapes (Q, D) and (M, D)
    query_labels, database_labels : Tensor or ndarray, bool or 0/1, shapes (Q, C) and (M, C)
    similarity : array, shape (C, C), or a name, optional
        Graded relevance, as for `evaluate`.
    device : str or torch.device
        Where to multiply and sort; "auto" is CUDA where present.

    Yields
    ------
    RetrievalStats
        For the next queries in order, at most 4 million (query, item) pairs at a time; shape
        (queries, M).
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    q, q_labels = _features(query_features, query_labels, "query", device)
    b, b_labels = _features(database_features, database_labels, "database", device)
    for what, one, other in (("features", q, b), ("classes", q_labels, b_labels)):
        if one.shape[1] != other.shape[1]:
            raise ValueError(
                f"rank_floats: query and database must have equally many {what}, got"
                f" {one.shape[1]} and {other.shape[1]}; take both from the same backbone."
            )
    graded = None
    if similarity is not None:
        graded = grading.checked_similarity(similarity, b_labels.shape[1])
    height = max(1, 2**22 // len(b))
    for start in range(0, len(q), height):
        rows = slice(start, start + height)
        cosine, order = torch.sort(q[rows] @ b.T, dim=1, descending=True)
        related = (q_labels[rows] @ b_labels.T > 0).gather(1, order).long()
        level = torch.zeros_like(order)
        level[:, 1:] = (cosine[:, 1:] != cosine[:, :-1]).cumsum(dim=1)
        items = torch.zeros_like(order).scatter_add_(1, level, torch.ones_like(order))
        relevant = torch.zeros_like(order).scatter_add_(1, level, related)
        gain = grades = None
        if graded is not None:
            worth, grades = grading.gain_of_items(q_labels[rows] > 0, b_labels > 0, graded)
            by_rank = torch.as_tensor(worth, device=order.device).gather(1, order)
            gain = torch.zeros_like(by_rank).scatter_add_(1, level, by_rank).cpu().numpy()
        counts = items.cpu().numpy(), relevant.cpu().numpy()
        yield RetrievalStats(*counts, gain, grades, hamming=False)


def _features(
    features: Values, labels: Values, who: str, device: str | torch.device
) -> tuple[Tensor, Tensor]:
    """Return unit features and labels as float32, checked."""
    x = torch.as_tensor(features, device=device).float()
    y = torch.as_tensor(_as_bool(labels, f"{who} labels"), device=device).float()
    if x.ndim != 2 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"rank_floats: {who} needs at least one row of features, and one row of labels each,"
            f" got shapes {tuple(x.shape)} and {tuple(y.shape)}; select both by the same rows."
        )
    finite = x.isfinite().all(dim=1)
    if not finite.all():
        raise ValueError(
            f"rank_floats: {who} features must be finite, got NaN or infinity in row"
            f" {int((~finite).nonzero()[0])}; check the backbone's output."
        )
    return torch.nn.functional.normalize(x), y
