"""What a report shows, computed once from the records; every output is a view of this.

A `Section` is one table of the report: one data set, protocol and backbone, so numbers that cannot
be compared never share a column. Records that an equal cell with other settings or another source
made obsolete are set aside here and counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from results.frames import (
    OPTIONAL,
    costs_frame,
    leaderboard,
    method_key,
    metric_key,
    runs_frame,
)
from results.store import Failure, RunRecord, Scan

if TYPE_CHECKING:
    from results.comparisons import Comparisons

TIES = "Equal Hamming distances count as the mean over all their orders."
HEADINGS = {
    "method": "",
    "captions": "learn from captions too, ranked apart",
    "hierarchy": "learn from the classes' hierarchy too, ranked apart",
    "yardstick": "yardsticks, not ranked",
}
"""What stands above the rows of each kind, in the order of a table."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table: a method at one number of bits under one metric."""

    mean: float
    std: float | None  # None where one seed gives no spread
    n: int  # seeds
    best: bool  # rank 1 among the rows of its kind in its column


@dataclass(frozen=True)
class Row:
    """One method or yardstick."""

    method: str
    kind: str  # one of `results.schema.KINDS`
    cells: dict[tuple[str, int], Cell]  # by metric and bits
    failed: frozenset[int]  # bits at which a run failed

    def cell(self, metric: str, bits: int) -> Cell | None:
        """Return the entry at `bits`; a yardstick without codes holds for every length."""
        return self.cells.get((metric, bits), self.cells.get((metric, 0)))

    @property
    def yardstick(self) -> bool:
        """Whether the row only helps to judge the others."""
        return self.kind == "yardstick"

    @property
    def codeless(self) -> bool:
        """Whether one value holds for every length, as for a yardstick without codes."""
        return bool(self.cells) and {bits for _, bits in self.cells} == {0}


@dataclass(frozen=True)
class Section:
    """One table: rows by kind, methods first and yardsticks last; columns are bits."""

    dataset: str
    protocol: str
    backbone: str
    sizes: str  # "1,000 queries, 5,000 training images, ..."
    rule: str  # how the split was made, and what counts as relevant
    metric: str  # of the main table
    further: tuple[str, ...]  # the other metrics
    bits: tuple[int, ...]
    seeds: int  # the usual number of seeds of an entry
    rows: tuple[Row, ...]
    by_query: bool = False  # the main table's metric is the mean of the AP kept for each query
    marks: Mapping[tuple[str, int], str] | None = None
    """What tests allow to say: "best" or "second" by method and bits; None where none was made."""

    @property
    def title(self) -> str:
        """Name of the section, as headings show it."""
        return f"{self.dataset} / {self.protocol} / {self.backbone}"

    @property
    def blocks(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """The rows of each kind that has any, under their heading; that of methods is empty."""
        by_kind = [(text, self._of_kind(kind)) for kind, text in HEADINGS.items()]
        return tuple((text, rows) for text, rows in by_kind if rows)

    def _of_kind(self, kind: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == kind)

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the columns."""
        return tuple(f"{bits} bits" if bits else "no codes" for bits in self.bits)

    def label(self, row: Row) -> str:
        """Return the name of a row, marked where the yardstick has no codes."""
        return f"{row.method} (no codes)" if row.codeless and self.bits != (0,) else row.method

    def entry(self, row: Row, bits: int) -> str:
        """Return the main table's entry: ``0.457 ± 0.003``, ``failed`` or ``-`` (not run)."""
        cell = row.cell(self.metric, bits)
        if cell is None:
            return "failed" if row.failed & {bits, 0} else "-"
        spread = "" if cell.std is None else f" ± {cell.std:.3f}"
        # One value of a row without codes is no gap: nothing in it depends on a seed.
        usual = cell.n == self.seeds or (row.codeless and cell.n == 1)
        count = "" if usual else f" (n={cell.n})"
        return f"{cell.mean:.3f}{spread}{count}"

    def best(self, row: Row, bits: int) -> bool:
        """Whether the entry is the best of its column: by a test, or untested by its mean."""
        if self.marks is not None:
            return self.marks.get((row.method, bits)) == "best"
        cell = row.cell(self.metric, bits)
        return cell is not None and cell.best

    def second(self, row: Row, bits: int) -> bool:
        """Whether a test says that the entry beats all but the best of its column."""
        return self.marks is not None and self.marks.get((row.method, bits)) == "second"

    def means(self, row: Row, metric: str) -> str:
        """Return a further metric's means at all bits: ``0.41 / 0.44 / 0.47``."""
        cells = [row.cell(metric, bits) for bits in self.bits]
        shown = ["-" if cell is None else f"{cell.mean:.3f}" for cell in cells]
        return shown[0] if row.codeless else " / ".join(shown)

    @property
    def slashed_bits(self) -> str:
        """The lengths in the order in which `means` shows them."""
        return " / ".join(str(bits) for bits in self.bits)

    def caption(self, best: str = "in bold", second: str = "underlined") -> str:
        """Say what the main table's numbers are, and how it marks the best and the second."""
        if self.seeds == 1:
            spread = "one seed, so no spread and no interval"
        else:
            spread = f"mean ± standard deviation over n = {self.seeds} seeds"
        entries = [self.entry(row, bits) for row in self.rows for bits in self.bits]
        uneven = any("(n=" in entry for entry in entries)
        other = " unless an entry says otherwise" if uneven else ""
        kinds = {row.kind for row in self.rows} - {"yardstick"}
        by_kind = ", by kind" if len(kinds) > 1 else ""
        marked = f"Best mean of a column {best}, untested{by_kind}."
        if self.marks is not None:
            over = "queries" if self.seeds == 1 else "queries and seeds"
            marked = (
                f"Best of a column {best} and second {second}{by_kind}, where the difference to "
                f"the next is significant (paired bootstrap over {over}, Holm over the column, "
                "5 %)."
            )
        return f"{self.metric}, {spread}{other}. {marked}"


@dataclass(frozen=True)
class Board:
    """Everything that the outputs of one report show."""

    records: tuple[RunRecord, ...]  # those shown
    runs: pd.DataFrame
    leaderboard: pd.DataFrame
    costs: pd.DataFrame  # what runs cost, in the columns of the leaderboard
    sections: tuple[Section, ...]
    notes: tuple[str, ...]  # superseded, skipped and failed, one line each
    method_order: tuple[str, ...]
    comparisons: Comparisons | None = None  # None where nothing was tested


def build(scan: Scan, method_order: Sequence[str] = ()) -> Board:
    """Arrange one reading of the store for the report."""
    shown, superseded = select(scan.records)
    runs_of_rows: list[RunRecord | Failure] = [*scan.failures, *shown]
    kinds = {row_of(run): run.kind for run in runs_of_rows}
    runs = runs_frame(shown, method_order)
    table = leaderboard(runs, method_order, kinds)
    costs = leaderboard(costs_frame(shown, method_order), method_order, kinds)
    cells = pd.concat([table, costs], ignore_index=True)
    return Board(
        records=tuple(shown),
        runs=runs,
        leaderboard=table,
        costs=costs,
        sections=tuple(_sections(shown, cells, scan.failures, kinds, method_order)),
        notes=tuple(_notes(superseded, scan)),
        method_order=tuple(method_order),
    )


def select(records: Iterable[RunRecord]) -> tuple[list[RunRecord], list[RunRecord]]:
    """Set aside the records that newer ones made obsolete.

    Three rules, in this order. Records under one protocol name whose protocol or inputs (copy of
    the data, weights) differ cannot share a table: those of the newest record stay. Records of one
    method whose kinds differ cannot share a row: those of the newest record's kind stay. Records
    of one method and number of bits whose settings differ cannot share a mean: the settings of the
    newest record stay, and of these the newest record of each seed.

    Returns
    -------
    shown, superseded : list of RunRecord
        Both in the order given.
    """
    records = list(records)
    made = {id(record): datetime.fromisoformat(record.created) for record in records}
    newest = sorted(records, key=lambda record: made[id(record)], reverse=True)
    protocols: dict[tuple[str, ...], tuple[str, str | None]] = {}
    kinds: dict[tuple[str, ...], str] = {}
    settings: dict[tuple[object, ...], str] = {}
    seeds: set[tuple[object, ...]] = set()
    kept: set[int] = set()
    for record in newest:
        table = (record.dataset, record.protocol, record.backbone)
        entry = (*table, record.method, record.bits)
        digest = (record.protocol_info["digest"], record.protocol_info.get("inputs"))
        if protocols.setdefault(table, digest) != digest:
            continue
        if kinds.setdefault(row_of(record), record.kind) != record.kind:
            continue
        group = json.dumps(record.settings, sort_keys=True)
        if settings.setdefault(entry, group) != group or (*entry, record.seed) in seeds:
            continue
        seeds.add((*entry, record.seed))
        kept.add(id(record))
    shown = [record for record in records if id(record) in kept]
    return shown, [record for record in records if id(record) not in kept]


def _sections(
    records: Sequence[RunRecord],
    table: pd.DataFrame,
    failures: Sequence[Failure],
    kinds: Mapping[tuple[str, ...], str],
    method_order: Sequence[str],
) -> Iterable[Section]:
    cells: dict[tuple[str, str, str], dict[str, dict[tuple[str, int], Cell]]] = {}
    for entry in table.itertuples(index=False, name=None):
        dataset, protocol, backbone, method, bits, metric, mean, std, n, _, _, rank, _ = entry
        methods = cells.setdefault((dataset, protocol, backbone), {})
        methods.setdefault(method, {})[metric, bits] = Cell(
            mean=mean,
            std=None if pd.isna(std) else std,
            n=n,
            best=not pd.isna(rank) and rank == 1,
        )
    failed: dict[tuple[str, str, str], dict[str, set[int]]] = {}
    for failure in failures:
        key = (failure.dataset, failure.protocol, failure.backbone)
        failed.setdefault(key, {}).setdefault(failure.method, set()).add(failure.bits)
    first = {(record.dataset, record.protocol, record.backbone): record for record in records}
    order = {kind: place for place, kind in enumerate(HEADINGS)}
    for key, rows in cells.items():
        lost = failed.get(key, {})
        found = {metric for row in rows.values() for metric, _ in row}
        usual = {metric for metric in found if not OPTIONAL.search(metric)}
        metrics = sorted(usual or found, key=metric_key)
        lengths = {bits for row in rows.values() for _, bits in row}.union(*lost.values())
        main = _main_metric(first[key], metrics)
        names = sorted({*rows, *lost}, key=lambda name: method_key(name, method_order))
        kind_of = {name: kinds[*key, name] for name in names}
        info = first[key].protocol_info
        yield Section(
            *key,
            sizes=_sizes(info),
            rule=f"Split: {info['rule']}. Relevant: {info['relevance']}.{_without_relevant(info)}",
            metric=main,
            further=tuple(metric for metric in metrics if metric != main),
            bits=tuple(sorted(lengths - {0}) or (0,)),
            seeds=_usual_seeds(rows, main),
            by_query=main == f"mAP@{first[key].protocol_info['cutoff']}",
            rows=tuple(
                Row(
                    name,
                    kind=kind_of[name],
                    cells=rows.get(name, {}),
                    failed=frozenset(lost.get(name, ())),
                )
                for name in sorted(names, key=lambda name: order[kind_of[name]])
            ),
        )


def _main_metric(record: RunRecord, metrics: Sequence[str]) -> str:
    """Return the protocol's own metric, or the nearest that the records have."""
    for wanted in (f"mAP@{record.protocol_info['cutoff']}", "mAP"):
        if wanted in metrics:
            return wanted
    return metrics[0]


def _usual_seeds(rows: dict[str, dict[tuple[str, int], Cell]], metric: str) -> int:
    counts = Counter(
        cell.n for row in rows.values() for (name, _), cell in row.items() if name == metric
    )
    return counts.most_common(1)[0][0]


def _sizes(info: dict[str, object]) -> str:
    return (
        f"{info['n_query']:,} queries, {info['n_train']:,} training images, "
        f"{info['n_database']:,} in the database, cutoff {info['cutoff']:,}"
    )


def _without_relevant(info: dict[str, object]) -> str:
    """Say how many queries can find nothing, which score 0 in every row."""
    count = info.get("n_query_without_relevant", 0)
    return f" Queries without any relevant item, scored 0: {count:,}." if count else ""


def _notes(superseded: Sequence[RunRecord], scan: Scan) -> Iterable[str]:
    for failure in scan.failures:
        yield f"Failed: {_cell_name(failure)} seed {failure.seed}: {failure.error}"
    for reason in scan.skipped:
        yield f"Skipped: {reason}"
    for name, count in Counter(map(_cell_name, superseded)).items():
        runs = "1 older run" if count == 1 else f"{count} older runs"
        yield f"Superseded: {name}: {runs} with other settings or source, not shown"


def row_of(run: RunRecord | Failure) -> tuple[str, ...]:
    """Return data set, protocol, backbone and method: a row of one table."""
    return run.dataset, run.protocol, run.backbone, run.method


def _cell_name(run: RunRecord | Failure) -> str:
    length = f"{run.bits} bits" if run.bits else "no codes"
    return f"{run.dataset}/{run.protocol} {run.backbone} {run.method} {length}"
