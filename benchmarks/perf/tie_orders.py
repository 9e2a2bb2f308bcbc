"""What the order of ties does to a number: ``python -m benchmarks.perf.tie_orders RECORD.json``.

Ranks a stored cell's codes as published code does, by sorting distances, in several orders of the
database, and prints mAP at the protocol's cutoff beside the exact mean over all orders and its
bounds. Takes the flags by which a run finds the data.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import OK, Parser, fail, run_command
from benchmarks.evaluation import Codes, PackedBits, average_precision, evaluate
from benchmarks.runner.compare_records import read_record, store_of
from datasets import DatasetError, load
from datasets.arguments import add_data_arguments, load_options
from results.store import StoreError

Ints = NDArray[np.int64]
_CHUNK = 64  # queries sorted at a time


def sorted_average_precision(
    distances: NDArray[Any], relevant: NDArray[np.bool_], k: int, kind: Literal["stable", None]
) -> NDArray[np.float64]:
    """AP@k of a sort, ties as they fall: precision at each hit, over the hits in the top k.

    Parameters
    ----------
    distances : ndarray, int16, shape (Q, M)
    relevant : ndarray, bool, shape (Q, M)
    k : int
    kind : "stable" or None
        Of the sort; None is NumPy's default, which keeps no order among equals.

    Returns
    -------
    ndarray, float64, shape (Q,)
    """
    top = np.argsort(distances, axis=1, kind=kind)[:, :k]
    hits = np.take_along_axis(relevant, top, 1)
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(1) / np.maximum(hits.sum(1), 1))


def orders(labels: NDArray[np.bool_]) -> dict[str, tuple[Ints, Literal["stable", None]]]:
    """Return orders of the database, and the sort of each, by what they are called."""
    data = np.arange(len(labels))
    by_class = np.argsort(labels.argmax(1), kind="stable")
    return {
        "data order, stable": (data, "stable"),
        "reversed, stable": (data[::-1], "stable"),
        "by class, stable": (by_class, "stable"),
        "by class, NumPy's default": (by_class, None),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code."""
    parser = Parser("benchmarks.perf.tie_orders", __doc__)
    parser.add_argument("record", type=Path, metavar="RECORD.json")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        record = read_record(options.record)
        arrays = store_of(options.record).arrays(options.record)
        data = load(f"{record.dataset}/{record.protocol}", load_options(options))
    except (DatasetError, StoreError) as error:
        return fail(error)
    k, labels = data.protocol.cutoff, data.labels.dense().numpy()
    query, database = (
        Codes(PackedBits(arrays[f"{part}_codes"], record.bits), labels[rows.numpy()])
        for part, rows in (("query", data.query), ("database", data.database))
    )
    stats = evaluate(query, database, device="cpu")
    for ties in ("worst", "expected", "best"):
        print(f"{ties:<28} {average_precision(stats, k, ties=ties).mean():.4f}")
    q, b = (PackedBits(arrays[f"{part}_codes"], record.bits) for part in ("query", "database"))
    signs = [part.unpack().astype(np.float32) * 2 - 1 for part in (q, b)]
    of_query, of_database = labels[data.query.numpy()], labels[data.database.numpy()]
    for name, (order, kind) in orders(of_database).items():
        found = []
        for start in range(0, len(of_query), _CHUNK):
            rows = slice(start, start + _CHUNK)
            distances = ((record.bits - signs[0][rows] @ signs[1][order].T) / 2).astype(np.int16)
            shared = of_query[rows].astype(np.float32) @ of_database[order].T > 0
            found.append(sorted_average_precision(distances, shared, k, kind))
        print(f"{name:<28} {np.concatenate(found).mean():.4f}")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
