"""A board together with its store: all that figures and the gallery draw from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from results.analysis.board import Board, Row, Section
from results.gallery.row_samples import Samples, read_samples
from results.store.record import RunRecord
from results.store.run_key import Table
from results.store.store import ResultStore, StoreError

Width = Literal["column", "page"]


@dataclass(frozen=True)
class View:
    """A board with its store; without one, what needs codes or images is left out.

    Attributes
    ----------
    board : Board
    store : ResultStore, optional
    width : "column" or "page"
        Of the figures: one of two columns of a paper, or both.
    """

    board: Board
    store: ResultStore | None = None
    width: Width = "page"

    @cached_property
    def _runs(self) -> dict[Table, dict[tuple[str, int], list[RunRecord]]]:
        runs: dict[Table, dict[tuple[str, int], list[RunRecord]]] = {}
        for record in sorted(self.board.records, key=lambda record: record.seed):
            section = runs.setdefault(record.table, {})
            section.setdefault((record.method, record.bits), []).append(record)
        return runs

    def runs(self, section: Section) -> dict[tuple[str, int], list[RunRecord]]:
        """Return a section's records by method and bits, in the order of their seeds."""
        return self._runs.get(section.table, {})

    def longest(self, section: Section, row: Row) -> list[RunRecord]:
        """Return the runs of a row at the section's longest codes."""
        return self.runs(section).get((row.method, section.bits[-1]), [])

    def examples(self, section: Section) -> list[tuple[Row, RunRecord]]:
        """Return one run of each method with a panel at the longest codes: of the lowest seed."""
        ranked = [row for row in section.with_panels if not row.yardstick]
        runs = [(row, self.longest(section, row)) for row in ranked]
        return [(row, of_row[0]) for row, of_row in runs if of_row]

    def arrays(self, record: RunRecord) -> dict[str, NDArray[np.generic]]:
        """Return a record's arrays, or none of them where they cannot be read."""
        if self.store is None:
            return {}
        try:
            return self.store.arrays(self.store.locate(record))
        except StoreError:
            return {}

    def codes(self, record: RunRecord, part: str) -> NDArray[np.bool_] | None:
        """Return the codes of a record's "query" or "database", bool (N, K), if they are there."""
        packed = self.arrays(record).get(f"{part}_codes")
        if packed is None or packed.ndim != 2 or packed.shape[1] != -(-record.bits // 8):
            return None
        return np.unpackbits(packed.astype(np.uint8), axis=1, count=record.bits).astype(np.bool_)

    def samples(self, record: RunRecord) -> Samples | None:
        """Return labels and thumbnails of some rows of a record's data set."""
        return None if self.store is None else read_samples(self.store, record)
