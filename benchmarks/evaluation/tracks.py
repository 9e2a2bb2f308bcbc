"""Further questions to the codes of a run: queries that are worse, a database that grows.

Both go by labels, at the cutoff of the protocol.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.evaluation.counts import Codes, RetrievalStats, evaluate
from benchmarks.evaluation.float_ranking import Rule, rank_floats
from benchmarks.evaluation.labels import labels_of
from benchmarks.evaluation.metrics import average_precision, precision_at
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import Scores
from datasets.base import RetrievalDataset
from datasets.protocols.rules import fixed_order

STEPS = (1, 2, 5, 10)
"""How many times as large as at first a database grows."""
PRECISION_AT = 100
SHIFTED, DISTRACTORS = "query_codes.", "distractor_codes"
"""Names under which codes are stored: of worse queries, before what was done; of distractors."""


def with_tracks(
    scores: Scores,
    tracks: Mapping[str, PackedBits | Tensor],
    encoded: tuple[PackedBits, PackedBits] | tuple[Tensor, Tensor],
    data: RetrievalDataset,
    device: str | torch.device,
    rule: Rule = "cosine",
) -> Scores:
    """Add what further codes say to the scores of a run.

    Parameters
    ----------
    scores : Scores
        Of `encoded`.
    tracks : mapping from str to PackedBits or Tensor
        By `DISTRACTORS`, or by `SHIFTED` and what was done to the queries.
    encoded : tuple
        Queries and database.
    data, device, rule
        As `shift_metrics` and `growth_curve` take them.
    """
    query, database = encoded
    worse = {n.removeprefix(SHIFTED): one for n, one in tracks.items() if n.startswith(SHIFTED)}
    metrics = shift_metrics(worse, database, data, device, rule)
    curves = scores.curves
    others = tracks.get(DISTRACTORS)
    if isinstance(others, PackedBits):
        assert isinstance(query, PackedBits), "distractors are codes, and so are the others"
        assert isinstance(database, PackedBits), "distractors are codes, and so are the others"
        curves = curves | {"growth": growth_curve(query, database, others, data, device)}
        metrics |= growth_metrics(curves["growth"], data.protocol.metric)
    return replace(scores, metrics=scores.metrics | metrics, curves=curves)


def stored_tracks(arrays: Mapping[str, NDArray[Any]], n_bits: int) -> dict[str, PackedBits]:
    """Find what `with_tracks` takes among the arrays of a record."""
    return {
        name: PackedBits(rows, n_bits)
        for name, rows in arrays.items()
        if name == DISTRACTORS or name.startswith(SHIFTED)
    }


def shift_metrics(
    queries: Mapping[str, PackedBits | Tensor],
    database: PackedBits | Tensor,
    data: RetrievalDataset,
    device: str | torch.device,
    rule: Rule = "cosine",
) -> dict[str, float]:
    """Score queries whose images were made worse against the database as it is.

    Parameters
    ----------
    queries : mapping from str to PackedBits or Tensor, shape (Q, K) or (Q, D)
        Codes or vectors by what was done to the images, in the order of ``data.query``.
    database : PackedBits or Tensor, shape (M, K) or (M, D)
    data : RetrievalDataset
    device : str or torch.device
        Where distances are counted.
    rule : str
        By which vectors are ranked.

    Returns
    -------
    dict
        ``mAP@1000:noise-3`` and its like, and ``mAP@1000:shift``, the mean of all; nothing without
        queries.
    """
    metric, found = data.protocol.metric, {}
    for name, query in queries.items():
        stats = _stats(query, database, data, device, rule)
        values = [average_precision(one, data.protocol.cutoff) for one in stats]
        found[f"{metric}:{name}"] = float(np.concatenate(values).mean())
    if found:
        found[f"{metric}:shift"] = math.fsum(found.values()) / len(found)  # in any order
    return found


def _stats(
    query: PackedBits | Tensor,
    database: PackedBits | Tensor,
    data: RetrievalDataset,
    device: str | torch.device,
    rule: Rule,
) -> Iterator[RetrievalStats]:
    asked, stored = labels_of(data, data.query), labels_of(data, data.database)
    if isinstance(query, PackedBits) and isinstance(database, PackedBits):
        yield evaluate(Codes(query, asked), Codes(database, stored), device=device)
    elif isinstance(query, Tensor) and isinstance(database, Tensor):
        yield from rank_floats(query, asked, database, stored, rule=rule, device=query.device)


def growth_curve(
    query: PackedBits,
    database: PackedBits,
    distractors: PackedBits,
    data: RetrievalDataset,
    device: str | torch.device,
) -> dict[str, list[float]]:
    """Score the queries while a database grows tenfold with items that are relevant to none.

    At first it holds so many of the database's own rows, in the fixed order, that the distractors
    make it ten times as large. Each part is counted once, and the counts are added up.

    Parameters
    ----------
    query, database, distractors : PackedBits, shapes (Q, K), (M, K), (D, K)
    data : RetrievalDataset
    device : str or torch.device

    Returns
    -------
    dict
        ``n``, items; ``map``, at the protocol's cutoff; ``precision``, of the nearest 100. A point
        for each of `STEPS`.

    Raises
    ------
    ValueError
        If there are fewer distractors than that takes of a single row.
    """
    n = min(len(database), len(distractors) // (STEPS[-1] - 1))
    if n < 1:
        raise ValueError(
            f"growth: expected {STEPS[-1] - 1} distractors at least, got {len(distractors)}"
        )
    rows = fixed_order(len(database))[:n]
    asked = Codes(query, labels_of(data, data.query))
    labels = labels_of(data, data.database[rows])
    stats = evaluate(asked, Codes(database[rows.numpy()], labels), device=device)
    none = np.zeros((len(distractors), labels.rows.shape[1]), np.uint8)
    others = Codes(distractors, PackedBits(none, data.labels.n_classes))
    curve: dict[str, list[float]] = {"n": [], "map": [], "precision": []}
    for before, step in zip((1, *STEPS), STEPS, strict=False):
        if step > before:
            part = others[(before - 1) * n : (step - 1) * n]
            stats = stats + evaluate(asked, part, device=device)
        curve["n"].append(float(step * n))
        curve["map"].append(float(average_precision(stats, data.protocol.cutoff).mean()))
        curve["precision"].append(float(precision_at(stats, PRECISION_AT).mean()))
    return curve


def growth_metrics(curve: Mapping[str, list[float]], metric: str) -> dict[str, float]:
    """Name the ends of a curve of growth: ``mAP@1000:x1``, ``mAP@1000:x10``, ``P@100:x1``, ..."""
    return {
        f"{name}:x{step}": curve[values][place]
        for name, values in ((metric, "map"), (f"P@{PRECISION_AT}", "precision"))
        for place, step in enumerate(STEPS)
        if step in (STEPS[0], STEPS[-1])
    }
