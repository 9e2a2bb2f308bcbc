"""Which queries of a run the gallery shows, and which rows of the data set that takes.

The queries with the highest and with the lowest average precision, each with its nearest items.
Items at equal distance stand in the order of the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.analysis.board import Row, Section
from results.gallery.view import View
from results.store.record import RunRecord

BEST = WORST = 3
TOP = 10
POINTS = 400
"""Database items on a map of codes."""


@dataclass(frozen=True)
class Answer:
    """A query and the nearest items of the database.

    Attributes
    ----------
    row : int
        Of the query, in the data set.
    ap : float
        At the protocol's cutoff.
    found : ndarray, int64, shape (TOP,)
        Rows of the nearest items, nearest first.
    distances : ndarray, int64, shape (TOP,)
        In bits.
    right : ndarray, bool, shape (TOP,)
        Whether an item shares a label with the query.
    """

    row: int
    ap: float
    found: NDArray[np.int64]
    distances: NDArray[np.int64]
    right: NDArray[np.bool_]

    @property
    def items(self) -> list[tuple[int, int, bool]]:
        """Row, distance and whether it is right, of each item found."""
        columns = (self.found.tolist(), self.distances.tolist(), self.right.tolist())
        return list(zip(*columns, strict=True))


@dataclass(frozen=True)
class Exhibit:
    """The best and the worst answers of one run, with thumbnails of their rows."""

    row: Row
    record: RunRecord
    best: tuple[Answer, ...]
    worst: tuple[Answer, ...]


@dataclass(frozen=True)
class NeededRows:
    """Rows of one data set that a report shows and the results folder lacks, both ascending."""

    record: RunRecord  # one of those made on the data set
    rows: NDArray[np.int64]  # whose labels are needed
    image_rows: NDArray[np.int64]  # whose images are needed too


def rows_needed(view: View) -> list[NeededRows]:
    """Return the rows that gallery and maps of codes lack, one entry a data set."""
    rows: dict[tuple[str, str, str], set[int]] = {}
    images: dict[tuple[str, str, str], set[int]] = {}
    records: dict[tuple[str, str, str], RunRecord] = {}
    for section in view.board.sections:
        for _, record in view.examples(section):
            key = (record.dataset, record.protocol, str(record.protocol_info.get("labels")))
            nearest = _nearest(view, record)
            if nearest is None:
                continue
            records.setdefault(key, record)
            queries, _, found, _ = nearest
            images.setdefault(key, set()).update(queries.tolist(), found.ravel().tolist())
            rows.setdefault(key, set()).update(map_rows(view, record).tolist(), images[key])
    lacking = []
    for key, record in records.items():
        need = NeededRows(record, *(np.array(sorted(part[key])) for part in (rows, images)))
        have = view.samples(record)
        if have is None or have.labels_of(need.rows) is None:
            lacking.append(need)
        elif len(have.image_rows) and have.images_of(need.image_rows) is None:
            lacking.append(need)  # a data set without images has labels alone
    return lacking


def exhibits(view: View, section: Section) -> list[Exhibit]:
    """Return the best and worst answers of each method whose rows are all kept.

    There are none where neighbours are what is relevant: samples hold labels, which would tell
    right from wrong by another truth than the table.
    """
    shown: list[Exhibit] = []
    if section.table.truth == "neighbours":
        return shown
    for row, record in view.examples(section):
        nearest, samples = _nearest(view, record), view.samples(record)
        if nearest is None or samples is None:
            continue
        queries, ap, found, distances = nearest
        of_queries, of_found = samples.labels_of(queries), samples.labels_of(found.ravel())
        pictured = samples.images_of(np.concatenate([queries, found.ravel()])) is not None
        if of_queries is None or of_found is None or not pictured:
            continue
        shared = of_queries[:, None] & of_found.reshape(*found.shape, -1)  # (Q, TOP, C)
        right: NDArray[np.bool_] = np.any(shared, axis=-1)
        answers = [
            Answer(int(queries[q]), float(ap[q]), found[q], distances[q], right[q])
            for q in range(len(queries))
        ]
        half = len(answers) - min(WORST, len(answers) // 2)
        shown.append(Exhibit(row, record, tuple(answers[:half]), tuple(answers[half:])))
    return shown


def map_rows(view: View, record: RunRecord) -> NDArray[np.int64]:
    """Return the rows on a map of codes, int64 (at most POINTS,), evenly over the database."""
    rows = view.arrays(record).get("database_rows", np.zeros(0, np.int64)).astype(np.int64)
    return rows[map_places(len(rows))]


def map_places(n: int) -> NDArray[np.int64]:
    """Return the places in a database of n items that a map of codes shows."""
    return np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(np.int64))


_Nearest = tuple[
    NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]
]  # queries (Q,), their AP (Q,), rows found (Q, TOP), distances (Q, TOP)


def _nearest(view: View, record: RunRecord) -> _Nearest | None:
    """Search for the best and the worst queries of a run; None if its arrays are not whole."""
    arrays = view.arrays(record)
    query, database = (view.codes(record, part) for part in ("query", "database"))
    names = ("query_rows", "database_rows", "query_ap")
    if query is None or database is None or not set(names) <= set(arrays):
        return None
    query_rows, database_rows, ap = (arrays[name] for name in names)
    if (
        len(query_rows) != len(query)
        or len(ap) != len(query)
        or len(database_rows) != len(database)
    ):
        return None
    places = _extremes(ap)
    distances = np.array([(database != query[place]).sum(1) for place in places])  # (Q, M)
    first = np.argsort(distances, axis=1, kind="stable")[:, :TOP]
    return (
        query_rows[places].astype(np.int64),
        ap[places].astype(np.float64),
        database_rows[first].astype(np.int64),
        np.take_along_axis(distances, first, axis=1),
    )


def _extremes(ap: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the places of the best queries and then of the worst, none twice."""
    order: Sequence[int] = np.argsort(-ap.astype(np.float64), kind="stable").tolist()
    worst = min(WORST, len(order) // 2)
    best = min(BEST, len(order) - worst)
    return np.array([*order[:best], *order[len(order) - worst :]], np.int64)
