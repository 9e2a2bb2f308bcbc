"""The leaderboard for other programs: ``leaderboard.parquet``, and what each of its columns means.

`COLUMNS` says what is written, and [the page of the schema](docs/schema.md) is made from it, so
that no column is without its type, unit and meaning.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from results.analysis.arrange import least_checked
from results.analysis.board import Board
from results.analysis.frames import ENTRY, LOWER_IS_BETTER, UNRANKED
from results.store.record import CHECKED, KINDS
from results.store.run_key import TRUTHS, Table

NAME = "leaderboard.parquet"


class Column(NamedTuple):
    """A column of the file."""

    name: str
    kind: str  # of its values, as pandas names it
    unit: str
    meaning: str


def _one_of(names: Mapping[str, str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


UNITS = {
    r"cost\.fit_s$": "s",
    r"cost\.images_per_s$": "images/s",
    r"cost\.memory_mib$": "MiB",
    r"bits\.entropy$|codes\.dead_bits$": "bits",
    r"codes\.distinct$": "codes",
    r"codes\.largest_bucket$": "items",
    r"codes\.bytes$": "bytes",
    r"(?:asym\.)?oversample": "items an item wanted",
}
"""Unit of the metrics whose names begin with a pattern; all others are shares of 1."""

COLUMNS = (
    Column("dataset", "str", "", "Data set."),
    Column("protocol", "str", "", "Split of the data set; `~` is followed by the rows of a copy."),
    Column("backbone", "str", "", "What gives the features, and at which side of its input."),
    Column("truth", "str", "", f"What makes an item relevant: one of {_one_of(TRUTHS)}."),
    Column("method", "str", "", "Row of the table, with the settings that are not its own."),
    Column("title", "str", "", "What tables call the row."),
    Column("kind", "str", "", f"What the row counts as: one of {_one_of(KINDS)}."),
    Column("paper", "str", "", "Paper of the method; empty from outside of the suite."),
    Column("bits", "int64", "bits", "Code length; 0 where there are no codes."),
    Column("metric", "str", "", "Name of the metric, or of a cost where it begins with `cost.`."),
    Column("main", "bool", "", "Whether it is the metric of the table, which tests compare."),
    Column("unit", "str", "", f"Of the metric: one of {_one_of(('1', *UNITS.values()))}."),
    Column("better", "str", "", "Which values are better: `large`, `small`, or `neither`."),
    Column("mean", "float64", "`unit`", "Mean over seeds."),
    Column("std", "float64", "`unit`", "Standard deviation over seeds; null with one seed."),
    Column("n", "int64", "seeds", "Number of seeds."),
    Column("ci_low", "float64", "`unit`", "Lower end of the 95 % interval; null below 3 seeds."),
    Column("ci_high", "float64", "`unit`", "Upper end of it."),
    Column("interval", "str", "", "What it is over: `seeds`, or `seeds and queries`."),
    Column("rank", "Int64", "places", "1 is the best mean of its kind in its column, or null."),
    Column("mark", "str", "", "`best` or `second`, where a test tells it from the next; or null."),
    Column("checked", "str", "", f"How it was checked, least first: {_one_of(CHECKED)}."),
    Column("n_query", "int64", "items", "Queries of the split."),
    Column("n_train", "int64", "items", "Training items of the split."),
    Column("n_database", "int64", "items", "Items that are searched."),
)
"""In the order of the file."""


def leaderboard_frame(board: Board) -> pd.DataFrame:
    """Return every mean of a board, costs too, one a row, in the columns of `COLUMNS`."""
    table = pd.concat([board.leaderboard, board.costs], ignore_index=True)
    tables = [Table(*names) for names in zip(*(table[name] for name in Table._fields), strict=True)]
    mains = {section.table: section.metric for section in board.sections}
    sizes = {record.table: record.protocol_info for record in board.records}
    papers = {name: about.paper for name, about in board.about.items()}
    marks = dict(_marks(board))
    table = table.assign(
        truth=[table.truth for table in tables],
        title=table["method"].map(board.titles),
        paper=[papers.get(name.partition("(")[0], "") for name in table["method"]],
        main=[
            mains[names] == metric for names, metric in zip(tables, table["metric"], strict=True)
        ],
        unit=table["metric"].map(unit),
        better=table["metric"].map(_better),
        mark=pd.Series(
            map(marks.get, table[ENTRY].itertuples(index=False, name=None)), dtype="str"
        ),
        checked=table["method"].map(least_checked(board.records)),
        **{name: [sizes[names][name] for names in tables] for name in _SIZES},
    )
    kinds = {column.name: column.kind for column in COLUMNS}
    return table[list(kinds)].astype(kinds)


_SIZES = ("n_query", "n_train", "n_database")


def leaderboard_parquet(board: Board) -> bytes:
    """Return ``leaderboard.parquet``."""
    buffer = io.BytesIO()
    leaderboard_frame(board).to_parquet(buffer, engine="pyarrow", index=False, compression="zstd")
    return buffer.getvalue()


def unit(metric: str) -> str:
    """Return the unit of a metric or a cost.

    Examples
    --------
    >>> unit("mAP@1000"), unit("cost.fit_s"), unit("codes.dead_bits")
    ('1', 's', 'bits')
    """
    return next((of for pattern, of in UNITS.items() if re.match(pattern, metric)), "1")


def _better(metric: str) -> str:
    if re.match(UNRANKED, metric):
        return "neither"
    return "small" if metric.startswith(LOWER_IS_BETTER) else "large"


def _marks(board: Board) -> Iterator[tuple[tuple[object, ...], str]]:
    """Yield the entries that tests mark, with their marks."""
    for section in board.sections:
        for (method, bits), mark in (section.marks or {}).items():
            yield (*section.table, method, bits, section.metric), mark
