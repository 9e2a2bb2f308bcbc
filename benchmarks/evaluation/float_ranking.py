"""The yardstick without codes: a ranking by cosine as counts, one level an item or tie."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.evaluation.counters.choice import resolve
from benchmarks.evaluation.counts import RetrievalStats
from benchmarks.evaluation.graded_relevance import (
    GainTable,
    LabelSets,
    Similarity,
    checked_similarity,
)
from benchmarks.evaluation.packing import PackedBits, Values, to_torch

CHUNK = 2**22  # (query, item) pairs ranked at a time


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
    device = resolve(device)
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
        graded = checked_similarity(similarity, b_labels.shape[1])
    height = max(1, CHUNK // len(b))
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
            packed = PackedBits.of(q_labels[rows] > 0), PackedBits.of(b_labels > 0)
            asked, stored = map(LabelSets.of, packed)
            table = GainTable.of(asked, stored, graded)
            worth = table.gains[asked.of_item][:, stored.of_item]
            grades = table.grades(asked, stored)
            by_rank = to_torch(worth, order.device).gather(1, order)
            gain = torch.zeros_like(by_rank).scatter_add_(1, level, by_rank).cpu().numpy()
        counts = items.cpu().numpy(), relevant.cpu().numpy()
        yield RetrievalStats(*counts, gain, grades, hamming=False)


def _features(
    features: Values, labels: Values, who: str, device: str | torch.device
) -> tuple[Tensor, Tensor]:
    """Return unit features and labels as float32, checked."""
    x = to_torch(features, device).float()
    y = PackedBits.of(labels, f"rank_floats: {who} labels").unpack_on(device).float()
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
