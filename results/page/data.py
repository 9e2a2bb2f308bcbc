"""The data that the page's script sorts and filters: the leaderboard and the runs behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from results.analysis.board import Board, Section, colour_places
from results.analysis.curves import mean_curve
from results.analysis.frames import LOWER_IS_BETTER, metric_key
from results.store.record import RunRecord
from results.store.run_key import Table

COLUMNS = ("mean", "std", "n", "ci_low", "ci_high", "rank", "interval")
CURVES = {
    "precision_recall": ("radius", "recall", "precision"),
    "cutoffs": ("n", "precision", "recall"),
}
"""What the charts show of each entry, as lists of equal length."""
_DIGITS = 6
_CURVE_DIGITS = 4
_POINTS = 65


class Pool:
    """A list without repetition: others refer to a value by its place in it."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Return the place of a value, which is added if it is new."""
        place = self._places.setdefault(json.dumps(value), len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def page_data(board: Board) -> dict[str, Any]:
    """Return the data of the page, ready for JSON.

    An entry is a list: table, method, bits and metric by number, then `COLUMNS`, then 1 where the
    tables mark it as the best of its column, 2 as the second, else 0; what is missing is null. Runs
    of an entry and its curves are found by ``table method bits``. A method is a list: name, kind,
    title, and its place among the colours, null of yardsticks.
    """
    tables = {s.table: n for n, s in enumerate(board.sections)}
    methods, metrics, texts = Pool(), Pool(), Pool()
    places = colour_places(board)

    def place_of(method: str, kind: str) -> int:
        return methods.place([method, kind, board.title(method), places.get(method)])

    for name in sorted(set(board.leaderboard["metric"]), key=metric_key):
        metrics.place(name)
    marks = {key: mark for section in board.sections for key, mark in _marks(section)}
    entries = []
    names = ["dataset", "protocol", "backbone", "method", "kind", "bits", "metric", *COLUMNS]
    for row in board.leaderboard[names].itertuples(index=False, name=None):
        dataset, protocol, backbone, method, kind, bits, metric, *numbers, interval = row
        who = place_of(method, kind)
        place = [tables[Table(dataset, protocol, backbone)], who, bits, metrics.place(metric)]
        over = None if pd.isna(interval) else interval
        mark = marks.get((dataset, protocol, backbone, method, bits, metric), 0)
        entries.append([*place, *map(_number, numbers), over, mark])
    runs: dict[str, list[dict[str, Any]]] = {}
    of_entries: dict[str, list[RunRecord]] = {}
    for record in sorted(board.records, key=lambda record: record.seed):
        table = tables[record.table]
        key = f"{table} {place_of(record.method, record.kind)} {record.bits}"
        runs.setdefault(key, []).append(_run(record, metrics, texts))
        of_entries.setdefault(key, []).append(record)
    return {
        "tables": [
            {
                **s.table._asdict(),
                "metric": metrics.place(s.metric),
                "about": f"{s.sizes}. {s.rule}",
                "bits": s.bits,
            }
            for s in board.sections
        ],
        "methods": methods.values,
        "metrics": metrics.values,
        "lower": [n for n, m in enumerate(metrics.values) if m.startswith(LOWER_IS_BETTER)],
        "entries": entries,
        "runs": runs,
        "texts": texts.values,
        "curves": {key: _curves(of_entry) for key, of_entry in of_entries.items()},
    }


def _curves(runs: list[RunRecord]) -> dict[str, list[list[float]]]:
    """Return the mean curves of an entry, their lists as in `CURVES`, thinned to `_POINTS`."""
    found = {}
    for curve, names in CURVES.items():
        points = mean_curve(runs, curve, names)
        if points is not None and points.size:
            last = points.shape[1] - 1
            kept = np.unique(np.linspace(0, last, min(last + 1, _POINTS)).round().astype(int))
            found[curve] = points[:, kept].round(_CURVE_DIGITS).tolist()
    return found


def _marks(section: Section) -> Iterator[tuple[tuple[object, ...], int]]:
    """Yield the entries that a section marks, with 1 for the best of a column, 2 for the second."""
    for row in section.rows:
        for bits in section.bits:
            mark = 1 if section.best(row, bits) else 2 * section.second(row, bits)
            if mark:
                yield (*section.table, row.method, bits, section.metric), mark


def _run(record: RunRecord, metrics: Pool, texts: Pool) -> dict[str, Any]:
    return {
        "seed": record.seed,
        "values": {metrics.place(name): _number(value) for name, value in record.metrics.items()},
        "timings": {name: float(f"{value:.4g}") for name, value in record.timings.items()},
        "memory": round(record.peak_memory_mib),
        "created": record.created[:19],
        "digest": record.digest[:8],
        "epochs": len(record.history),
        "settings": texts.place(record.settings),
        "protocol": texts.place(record.protocol_info),
        "versions": texts.place(record.versions),
        "device": texts.place(record.device),
        "commit": texts.place(record.commit),
        "command": texts.place(record.command),
    }


def _number(value: Any) -> float | int | None:
    """Return a number that JSON has, or None."""
    if pd.isna(value):
        return None
    number = float(value)
    return int(number) if number.is_integer() else round(number, _DIGITS)
