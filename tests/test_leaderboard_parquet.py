"""``leaderboard.parquet``: what it holds, and that its page says what each column is."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from results.analysis.comparisons import compare
from results.report import Options, load_board, render_board
from results.store.store import ResultStore
from results.tables.leaderboard_parquet import COLUMNS, leaderboard_frame
from tests.record_factory import ORDER, board_of, by_neighbours, fill, grid, make_record

PAGE = Path(__file__).parents[1] / "docs/schema.md"


def told():
    """Name, type, unit and meaning of each column, as the page has them."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: tuple(cells) for name, *cells in rows}


def test_every_column_of_the_file_is_on_its_page(tmp_path):
    store = ResultStore(tmp_path)
    fill(store, grid())
    render_board(load_board(store, ORDER), store, Options(figures=("map_against_bits",)))
    written = pq.read_schema(tmp_path / "report/leaderboard.parquet")
    assert list(told()) == written.names
    types = {"large_string": "text", "int64": "int64", "double": "float64", "bool": "bool"}
    assert [cells[0] for cells in told().values()] == [types[str(of)] for of in written.types]
    assert all(cells[2] for cells in told().values())


def test_numbers_have_a_unit_and_no_text_has_one():
    for column in COLUMNS:
        assert bool(column.unit) == (column.kind.lower() in ("int64", "float64")), column.name


def test_it_holds_every_mean_with_what_it_takes_to_read_it():
    board = board_of([*grid(), *by_neighbours(grid())])
    frame = leaderboard_frame(board)
    assert len(frame) == len(board.leaderboard) + len(board.costs)
    one = frame.query(
        "truth == 'labels' and method == 'itq' and bits == 32 and metric == 'mAP@1000'"
    ).iloc[0]
    assert one["main"]
    assert (one["unit"], one["better"], one["checked"]) == ("1", "large", "run")
    assert one["mean"] == pytest.approx(0.436)
    assert (one["n"], one["n_query"], one["n_database"]) == (3, 300, 1497)
    seconds = frame.query("metric == 'cost.fit_s' and method == 'itq'")
    assert set(seconds["unit"]) == {"s"}
    assert not seconds["main"].any()
    assert set(frame.query("truth == 'neighbours' and main")["metric"]) == {"recall10@10"}
    assert frame.query("metric.str.startswith('oversample')")["better"].unique() == ["small"]
    assert pd.isna(frame.query("method == 'random'")["rank"]).all()


def test_what_a_test_marks_is_marked():
    records = grid(methods=("lsh", "itq"), bits=(16,))
    entries = {record.entry[:5]: None for record in records if record.kind == "method"}
    values = {e: np.full((3, 20), 0.1 * n, np.float32) for n, e in enumerate(entries)}
    board = compare(board_of(records), values)
    frame = leaderboard_frame(board)
    assert frame[frame["mark"].notna()][["method", "metric", "mark"]].to_numpy().tolist() == [
        ["itq", "mAP@1000", "best"]
    ]


def test_a_spread_that_no_seed_gives_is_null_and_not_zero():
    frame = leaderboard_frame(board_of([make_record()]))
    assert frame["std"].isna().all()
    assert set(frame["n"]) == {1}


def test_nothing_to_show_is_a_file_without_rows():
    assert list(leaderboard_frame(board_of([]))) == [column.name for column in COLUMNS]
