"""From codes to what a record says of them: the same for a run, a re-scoring and a submission."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.evaluation.asymmetric import (
    QueryScores,
    asymmetric_neighbours,
    rank_asymmetric,
    reranked_recall,
)
from benchmarks.evaluation.counts import Codes, RetrievalStats, evaluate
from benchmarks.evaluation.float_ranking import Rule, rank_floats
from benchmarks.evaluation.graded_relevance import Similarity
from benchmarks.evaluation.health import code_health
from benchmarks.evaluation.labels import labels_of
from benchmarks.evaluation.metrics import (
    average_precision,
    cutoff_curves,
    precision_recall_curve,
    retrieval_metrics,
)
from benchmarks.evaluation.neighbours import (
    Neighbours,
    evaluate_neighbours,
    neighbour_cutoffs,
    neighbour_metrics,
    oversampling,
    rank_neighbours,
)
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.ties import Floats, Ints
from benchmarks.machine.memory import halving
from datasets.base import RetrievalDataset
from datasets.digests import tensor_digest
from datasets.protocols.training_part import query_groups

HIERARCHY_CUTOFF = 2500
"""k of mAHP@k where a data set has a hierarchy; smaller data bases end it."""


@dataclass(frozen=True)
class Scores:
    """What a record says of codes.

    Attributes
    ----------
    metrics : dict
        Metric to its mean over queries, and the health of the database's codes.
    curves : dict
        Precision and recall by radius and by cutoff; pairs, and relevant ones, by distance;
        activation and entropy by bit. By cutoff alone where there are no codes.
    query_ap : ndarray, float32, shape (Q,)
        AP at the protocol's cutoff.
    """

    metrics: dict[str, float]
    curves: dict[str, dict[str, list[float]]]
    query_ap: NDArray[np.float32]


def score_codes(
    query: PackedBits,
    database: PackedBits,
    data: RetrievalDataset,
    device: str | torch.device,
    truth: Neighbours | None = None,
    asked: QueryScores | None = None,
) -> Scores:
    """Score the codes of a data set's queries and database.

    Parameters
    ----------
    query, database : PackedBits, shapes (Q, K) and (M, K)
        In the order of ``data.query`` and ``data.database``.
    data : RetrievalDataset
    device : str or torch.device
        Where distances are counted.
    truth : Neighbours, optional
        What is relevant, where the protocol goes by neighbours.
    asked : ndarray, int16, shape (Q, K), optional
        Scores of the queries, for the ranking by asymmetric distance: its metrics are told apart by
        ``asym.`` before their names.
    """
    scores = _score_codes(query, database, data, device, truth)
    if asked is None:
        return scores
    by_asym = _asymmetric_metrics(asked, query, database, data, truth)
    return replace(scores, metrics=scores.metrics | by_asym)


def _score_codes(
    query: PackedBits,
    database: PackedBits,
    data: RetrievalDataset,
    device: str | torch.device,
    truth: Neighbours | None,
) -> Scores:
    """Score codes by Hamming distance."""
    if truth is not None:
        counts = _neighbour_counts(data)
        nearest = [truth.nearest(k) for k in counts]
        found = evaluate_neighbours(query, database, nearest, device)
        by_k = {k: [one] for k, one in zip(counts, found, strict=True)}
        return _neighbour_scores(by_k, data, database)
    asked = Codes(query, labels_of(data, data.query))
    stored = Codes(database, labels_of(data, data.database))
    per_query: dict[str, Floats] = {}
    for similarity in _gains(data):

        def count(size: int, similarity: Similarity | None = similarity) -> RetrievalStats:
            pieces = (stored[start : start + size] for start in range(0, len(stored), size))
            return evaluate(asked, pieces, similarity=similarity, device=device)

        stats = halving(count, len(stored))
        per_query |= _metrics(stats, data, similarity)
    health = code_health(database)
    n = _cutoffs(stats)
    curves = {
        "precision_recall": _curve(stats),
        "cutoffs": _by_cutoff(n, *cutoff_curves(stats, n)),
        "distances": _pairs(stats),
        "bits": health.curve(),
    }
    return _scores(per_query, data, health.metrics(), curves)


def _asymmetric_metrics(
    asked: QueryScores,
    query: PackedBits,
    database: PackedBits,
    data: RetrievalDataset,
    truth: Neighbours | None,
) -> dict[str, float]:
    """Score codes by asymmetric distance: metrics by name, ``asym.`` before each."""
    if truth is None:
        labels = labels_of(data, data.query), labels_of(data, data.database)
        cutoffs = {"mAP": None, data.protocol.metric: data.protocol.cutoff}
        found = [
            {name: average_precision(stats, k) for name, k in cutoffs.items()}
            for stats in rank_asymmetric(asked, labels[0], database, labels[1])
        ]
        per_query, means = _joined(found), dict[str, float]()
    else:
        counts, k = _neighbour_counts(data), data.protocol.neighbours
        nearest = {k: truth.nearest(k) for k in counts}
        parts = asymmetric_neighbours(asked, database, list(nearest.values()))
        stats = dict(zip(counts, map(list, zip(*parts, strict=True)), strict=True))
        per_query, means = _neighbour_metrics(stats, data)
        looked_at = neighbour_cutoffs(k, len(database))[1:]  # the first k stay the first k
        again = reranked_recall(asked, query, database, nearest[k], k, looked_at)
        per_query |= {f"rerank{k}@{n}": recall for n, recall in again.items()}
    means |= {name: float(values.mean()) for name, values in per_query.items()}
    return {f"asym.{name}": value for name, value in means.items()}


def _neighbour_counts(data: RetrievalDataset) -> list[int]:
    """Numbers k of neighbours whose recall is told: 1, 10, 100, and that of the protocol."""
    size = data.protocol.n_database
    if data.neighbours is not None:
        size = data.neighbours.shape[1]
    return sorted({k for k in (1, 10, 100) if k <= size} | {data.protocol.neighbours})


def most_neighbours(data: RetrievalDataset) -> int:
    """Count the neighbours of a query that `score_codes` looks at, at most."""
    return _neighbour_counts(data)[-1]


def _neighbour_scores(
    stats: dict[int, list[RetrievalStats]], data: RetrievalDataset, codes: PackedBits | None
) -> Scores:
    """Score counts of T_k, by k; of parts of the queries, in their order."""
    per_query, health = _neighbour_metrics(stats, data)
    whole = stats[data.protocol.neighbours]
    n = _cutoffs(whole[0])
    by_cutoff = [cutoff_curves(part, n) for part in whole]
    precision, recall = (np.concatenate(parts) for parts in zip(*by_cutoff, strict=True))
    curves = {"cutoffs": _by_cutoff(n, precision, recall)}
    if codes is not None:
        quality = code_health(codes)
        health |= quality.metrics()
        curves |= {"distances": _pairs(whole[0]), "bits": quality.curve()}
        curves["precision_recall"] = _curve(whole[0])
    return _scores(per_query, data, health, curves)


def _neighbour_metrics(
    stats: dict[int, list[RetrievalStats]], data: RetrievalDataset
) -> tuple[dict[str, Floats], dict[str, float]]:
    """Metrics of counts of T_k: those that are means over queries, and those of all queries."""
    per_query: dict[str, Floats] = {}
    for k, parts in stats.items():
        per_query |= _joined([neighbour_metrics(part, k) for part in parts])
    whole = stats[data.protocol.neighbours]
    per_query["mAP"] = np.concatenate([average_precision(part) for part in whole])
    return per_query, {f"oversample{k}@95": oversampling(parts, k) for k, parts in stats.items()}


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    """Put metrics of parts of the queries behind each other, by name."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def score_floats(
    query: Tensor,
    database: Tensor,
    data: RetrievalDataset,
    rule: Rule = "cosine",
    truth: Neighbours | None = None,
) -> Scores:
    """Score the ranking of vectors, (Q, D) and (M, D), by a rule."""
    if truth is not None:
        by_k = {
            k: list(rank_neighbours(query, database, truth.nearest(k), rule, query.device))
            for k in _neighbour_counts(data)
        }
        return _neighbour_scores(by_k, data, None)
    labels = labels_of(data, data.query), labels_of(data, data.database)
    per_query: dict[str, Floats] = {}
    for similarity in _gains(data):
        chunks, by_cutoff = [], []
        for stats in rank_floats(
            *(query, labels[0], database, labels[1]),
            rule=rule,
            similarity=similarity,
            device=query.device,
        ):
            n = _cutoffs(stats)
            by_cutoff.append(cutoff_curves(stats, n))
            chunks.append(_metrics(stats, data, similarity))
        per_query |= _joined(chunks)
        precision, recall = (np.concatenate(parts) for parts in zip(*by_cutoff, strict=True))
    return _scores(per_query, data, {}, {"cutoffs": _by_cutoff(n, precision, recall)})


def _gains(data: RetrievalDataset) -> list[Similarity | None]:
    """Say by what items are graded: shared labels where there are several, and the hierarchy."""
    gains: list[Similarity | None] = []
    if (data.labels.counts() > 1).any():
        gains.append("exponential")
    if data.hierarchy is not None:
        gains.append(data.hierarchy)
    return gains or [None]


def _metrics(
    stats: RetrievalStats, data: RetrievalDataset, similarity: Similarity | None
) -> dict[str, Floats]:
    by_tree = similarity is not None and not isinstance(similarity, str)
    k = min(HIERARCHY_CUTOFF, data.protocol.n_database)
    return retrieval_metrics(stats, data.protocol.cutoff, hierarchy_cutoff=k if by_tree else None)


def _scores(
    per_query: dict[str, Floats],
    data: RetrievalDataset,
    health: dict[str, float],
    curves: dict[str, dict[str, list[float]]],
) -> Scores:
    means = {name: float(values.mean()) for name, values in per_query.items()}
    groups = _group_means(per_query[data.protocol.metric], data)
    query_ap = per_query[data.protocol.metric].astype(np.float32)
    return Scores(means | groups | health, curves, query_ap)


def _group_means(values: Floats, data: RetrievalDataset) -> dict[str, float]:
    """Means over the queries that the protocol tells apart, and how far the second is behind."""
    protocol, metric = data.protocol, data.protocol.metric
    if protocol.neighbours:  # classes are not what is relevant
        return {}
    masks = query_groups(
        protocol.label, data.labels, data.query, protocol.unseen, protocol.imbalance
    )
    means = {n: float(values[mask.numpy()].mean()) for n, mask in masks.items() if mask.any()}
    found = {f"{metric}:{name}": mean for name, mean in means.items()}
    if len(means) == 2:
        first, second = means.values()
        found[f"{metric}:gap"] = first - second
    return found


def _curve(stats: RetrievalStats) -> dict[str, list[float]]:
    precision, recall = precision_recall_curve(stats)
    return {
        "radius": [float(r) for r in range(len(precision))],
        "precision": precision.tolist(),
        "recall": recall.tolist(),
    }


def _cutoffs(stats: RetrievalStats) -> Ints:
    """Cutoffs from 1 to the whole database, at 1, 2, 5, 10, 20, 50, ..."""
    size = int(stats.items[0].sum())
    steps = np.outer(10 ** np.arange(len(str(size))), [1, 2, 5]).ravel()
    return np.append(steps[steps < size], size)


def _by_cutoff(n: Ints, precision: Floats, recall: Floats) -> dict[str, list[float]]:
    """Return the means over queries."""
    return {
        "n": n.astype(float).tolist(),
        "precision": precision.mean(0).tolist(),
        "recall": recall.mean(0).tolist(),
    }


def _pairs(stats: RetrievalStats) -> dict[str, list[float]]:
    """Count the pairs of a query and a database item at each distance, and the relevant ones."""
    return {
        "pairs": stats.items.sum(0).astype(float).tolist(),
        "relevant": stats.relevant.sum(0).astype(float).tolist(),
    }


def protocol_info(data: RetrievalDataset, inputs: str) -> dict[str, str | int]:
    """Describe a protocol for a record.

    Parameters
    ----------
    data : RetrievalDataset
    inputs : str
        Digest of what the codes were made from; records that differ in it share no table.
    """
    protocol = data.protocol
    found = np.bitwise_or.reduce(labels_of(data, data.database).rows)
    related = labels_of(data, data.query).rows & found
    return {
        "n_rows": len(data.labels),
        "n_query": protocol.n_query,
        "n_train": protocol.n_train,
        "n_database": protocol.n_database,
        "n_query_without_relevant": int((~related.any(1)).sum()),
        "cutoff": protocol.cutoff,
        "metric": protocol.metric,
        "rule": protocol.split_rule,
        "relevance": protocol.relevance,
        "source": protocol.source,
        "digest": protocol.digest,
        "labels": tensor_digest(data.labels),
        "inputs": inputs,
    }
