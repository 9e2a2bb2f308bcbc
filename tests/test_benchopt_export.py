import pandas as pd
import pytest

from results.store.files import process_space
from results.store.store import StoreError
from results.tables.benchopt_export import benchopt_frame, write_benchopt
from tests.record_factory import ORDER, board_of, grid, make_record

NEEDED = ["objective_name", "dataset_name", "solver_name", "idx_rep", "stop_val", "time"]


def test_every_run_is_a_row_with_what_benchopt_needs(tmp_path):
    records = grid(seeds=2)
    write_benchopt(board_of(records), tmp_path / "a/runs.parquet")
    frame = pd.read_parquet(tmp_path / "a/runs.parquet")
    assert len(frame) == len(records)
    assert frame[NEEDED].notna().all(axis=None)
    assert not frame.duplicated(NEEDED[:5]).any()
    assert {"objective_value", "objective_mAP@1000", "run_date", "version-numpy"} <= set(frame)
    one = frame.query("solver_name == 'itq' and stop_val == 32 and idx_rep == 1").iloc[0]
    assert one["objective_value"] == one["objective_mAP@1000"] == pytest.approx(0.436)
    assert one["time"] == 0.5


def test_tables_that_cannot_be_compared_are_data_sets_of_their_own():
    records = [make_record(), make_record(backbone="x"), make_record(protocol="y")]
    assert benchopt_frame(board_of(records))["dataset_name"].nunique() == 3


def test_a_metric_that_a_run_lacks_is_empty():
    records = [make_record(), make_record(method="itq", metrics={"mAP": 0.2})]
    frame = benchopt_frame(board_of(records)).set_index("solver_name")
    assert pd.isna(frame.loc["itq", "objective_value"])


@pytest.mark.parametrize(
    ("name", "records", "words"),
    [
        ("runs.csv", [make_record()], r"ends in \.parquet, got 'runs\.csv'"),
        ("runs.parquet", [], "no run can be shown"),
        ("file/runs.parquet", [make_record()], "cannot be written.*another folder"),
    ],
    ids=["suffix", "empty", "folder"],
)
def test_what_cannot_be_written_is_one_line(tmp_path, name, records, words):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=words):
        write_benchopt(board_of(records), tmp_path / name)


def test_a_file_that_a_killed_command_left_half_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("results.store.files.has_died", lambda pid: pid == 7)
    half = tmp_path / f".runs.parquet@{process_space()}-7-0123abcd.tmp"
    half.touch()
    write_benchopt(board_of(grid(seeds=2)), tmp_path / "runs.parquet")
    assert not half.exists()


def test_benchopt_reads_it(tmp_path):
    results = pytest.importorskip("benchopt.results", reason="benchopt is not installed")
    write_benchopt(board_of(grid(seeds=2)), tmp_path / "runs.parquet")
    frame = results.read_results(tmp_path / "runs.parquet")
    assert set(frame["solver_name"]) == {*ORDER, "random", "float"}
