"""Arrange the records of a store into a board, the sections and notes of a report.

Records can share a table or a mean only if data, protocol and settings are the same. Where they
differ, `select` keeps those of the newest record, and the notes count the others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import pandas as pd

from results.analysis.board import HEADINGS, About, Board, Entry, Row, Section
from results.analysis.frames import (
    OPTIONAL,
    costs_frame,
    leaderboard,
    method_key,
    metric_key,
    runs_frame,
)
from results.store.record import CHECKED, Failure, RunRecord
from results.store.run_key import Table
from results.store.scan import Scan
from results.store.wording import counted

LearntFrom = Callable[[str], str]
"""Says what the backbone of a table was trained on; nothing where that is not known."""


def build(
    scan: Scan,
    method_order: Sequence[str] = (),
    about: Mapping[str, About] = MappingProxyType({}),
    learnt_from: LearntFrom = lambda backbone: "",
) -> Board:
    """Arrange one reading of the store for the report; see `results.report.load_board`."""
    shown, superseded = select(scan.records)
    runs_of_rows: list[RunRecord | Failure] = [*scan.failures, *shown]
    kinds: dict[tuple[str, ...], str] = {run.row: run.kind for run in runs_of_rows}
    runs = runs_frame(shown, method_order)
    table = leaderboard(runs, method_order, kinds)
    costs = leaderboard(costs_frame(shown, method_order), method_order, kinds)
    cells = pd.concat([table, costs], ignore_index=True)
    titles = display_names({run.method for run in runs_of_rows}, about)
    for name, how in least_checked(shown).items():
        titles[name] += "" if how == "run" else f" ({how})"
    return Board(
        records=tuple(shown),
        runs=runs,
        leaderboard=table,
        costs=costs,
        sections=tuple(
            _sections(shown, cells, scan.failures, kinds, method_order, titles, learnt_from)
        ),
        notes=tuple(_notes(superseded, scan)),
        method_order=tuple(method_order),
        about=about,
    )


def display_names(methods: Iterable[str], about: Mapping[str, About]) -> dict[str, str]:
    """Return what tables and figures call each row: the title of its method, then its settings.

    A row from outside the suite keeps its name, and so do rows whose titles would be the same.

    Examples
    --------
    >>> about = {"kl_hash": About("KL-hash", "Arponen and Bishop, 2020")}
    >>> display_names(["kl_hash(tau=0.5)", "mine"], about)
    {'kl_hash(tau=0.5)': 'KL-hash(tau=0.5)', 'mine': 'mine'}
    """
    titles = {}
    for name in methods:
        base, opened, settings = name.partition("(")
        title = about[base].title if base in about else base
        titles[name] = f"{title}{opened}{settings}"
    count = Counter(titles.values())
    return {name: title if count[title] == 1 else name for name, title in titles.items()}


def least_checked(records: Iterable[RunRecord]) -> dict[str, str]:
    """Return the least that was checked of any record of a row, one of `CHECKED`, by its name."""
    found: dict[str, str] = {}
    for record in records:
        how = record.checked, found.get(record.method, CHECKED[-1])
        found[record.method] = min(how, key=CHECKED.index)
    return found


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
    protocols: dict[Table, tuple[str, str | None]] = {}
    kinds: dict[tuple[str, ...], str] = {}
    settings: dict[tuple[object, ...], str] = {}
    seeds: set[tuple[object, ...]] = set()
    kept: set[int] = set()
    for record in newest:
        table, entry = record.table, record.entry
        digest = (record.protocol_info["digest"], record.protocol_info.get("inputs"))
        if protocols.setdefault(table, digest) != digest:
            continue
        if kinds.setdefault(record.row, record.kind) != record.kind:
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
    titles: Mapping[str, str],
    learnt_from: LearntFrom,
) -> Iterable[Section]:
    cells: dict[Table, dict[str, dict[tuple[str, int], Entry]]] = {}
    for entry in table.itertuples(index=False, name=None):
        dataset, protocol, backbone, method, bits, metric, mean, std, n, *_, rank, _ = entry
        methods = cells.setdefault(Table(dataset, protocol, backbone), {})
        methods.setdefault(method, {})[metric, bits] = Entry(
            mean=mean,
            std=None if pd.isna(std) else std,
            n=n,
            best=not pd.isna(rank) and rank == 1,
        )
    failed: dict[Table, dict[str, set[int]]] = {}
    for failure in failures:
        of_table = failed.setdefault(failure.table, {})
        of_table.setdefault(failure.method, set()).add(failure.bits)
    first = {record.table: record for record in records}
    sizes = {record.row: record.size for record in records}
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
            sizes=_sizes(key, info, learnt_from(key.backbone)),
            rule=f"Split: {info['rule']}. Relevant: {info['relevance']}.{_without_relevant(info)}",
            metric=main,
            further=tuple(metric for metric in metrics if metric != main),
            bits=tuple(sorted(lengths - {0}) or (0,)),
            seeds=_usual_seeds(rows, main),
            n_queries=int(info["n_query"]),
            by_query=main == first[key].metric,
            rows=tuple(
                Row(
                    name,
                    titles[name],
                    kind=kind_of[name],
                    cells=rows.get(name, {}),
                    failed=frozenset(lost.get(name, ())),
                    size=sizes.get((*key, name), ""),
                )
                for name in sorted(names, key=lambda name: order[kind_of[name]])
            ),
        )


def _main_metric(record: RunRecord, metrics: Sequence[str]) -> str:
    """Return the protocol's own metric, or the nearest that the records have."""
    for wanted in (record.metric, "mAP"):
        if wanted in metrics:
            return wanted
    return metrics[0]


def _usual_seeds(rows: dict[str, dict[tuple[str, int], Entry]], metric: str) -> int:
    counts = Counter(
        cell.n for row in rows.values() for (name, _), cell in row.items() if name == metric
    )
    return counts.most_common(1)[0][0]


def _sizes(table: Table, info: dict[str, object], learnt_from: str) -> str:
    """Say how many rows ask, train and answer; a cutoff is that of mAP by labels."""
    items = "vectors" if table.backbone == "features" else "images"
    cutoff = f", cutoff {info['cutoff']:,}" if table.truth == "labels" else ""
    sizes = (
        f"{info['n_query']:,} queries, {info['n_train']:,} training {items}, "
        f"{info['n_database']:,} in the database{cutoff}"
    )
    return f"{sizes}; backbone learnt from: {learnt_from}" if learnt_from else sizes


def _without_relevant(info: dict[str, object]) -> str:
    """Say how many queries can find nothing, which score 0 in every row."""
    count = info.get("n_query_without_relevant", 0)
    return f" Queries without any relevant item, scored 0: {count:,}." if count else ""


def _notes(superseded: Sequence[RunRecord], scan: Scan) -> Iterable[str]:
    for failure in scan.failures:
        yield f"Failed: {_cell_name(failure)} seed {failure.seed}: {failure.error}"
    yield from scan.outdated
    for reason in scan.skipped:
        yield f"Skipped: {reason}"
    for name, count in Counter(map(_cell_name, superseded)).items():
        runs = counted(count, "older run")
        yield f"Superseded: {name}: {runs} with other settings or source, not shown"


def _cell_name(run: RunRecord | Failure) -> str:
    length = f"{run.bits} bits" if run.bits else "no codes"
    return f"{run.dataset}/{run.protocol} {run.backbone} {run.method} {length}"
