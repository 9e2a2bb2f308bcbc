"""From codes and labels to counts, metrics and scores; exact over ties.

>>> query = Codes([[1, -1, 1]], labels=[0])
>>> database = Codes([[1, -1, 1], [1, 1, 1], [-1, 1, -1]], labels=[0, 1, 0])
>>> stats = evaluate(query, database, device="cpu")
>>> stats.items.tolist(), mean_average_precision(stats, 2)
([[1, 1, 0, 1]], 1.0)
"""

from benchmarks.evaluation.counts import Codes, RetrievalStats, evaluate
from benchmarks.evaluation.graded_metrics import ndcg
from benchmarks.evaluation.health import code_health
from benchmarks.evaluation.metrics import (
    average_precision,
    mean_average_precision,
    precision_at,
    recall_at,
)
from benchmarks.evaluation.packing import PackedBits

__all__ = [
    "Codes",
    "PackedBits",
    "RetrievalStats",
    "average_precision",
    "code_health",
    "evaluate",
    "mean_average_precision",
    "ndcg",
    "precision_at",
    "recall_at",
]
