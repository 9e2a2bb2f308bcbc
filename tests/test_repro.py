"""A stored cell explains itself, and can be run again."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy

from benchmarks import explain, repro, rescore, run, status
from benchmarks.runner import repeat_record
from benchmarks.training.trainer import TrainingError
from results.store.leases import SUFFIX, Lease
from results.store.planned_grid import read_plan, standings
from results.store.record import SCHEMA
from results.store.store import ResultStore

GRID = ["--methods", "lsh", "cibhash", "--datasets", "synthetic", "--bits", "8", "--seeds", "2"]
GRID += ["--epochs", "2", "--device", "cpu", "--matmul", "high", "--set", "cibhash.tau=0.5"]


@pytest.fixture
def grid(tmp_path):
    folders = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache"]
    assert run.main([*GRID, *folders, "--no-report"]) == 0
    return tmp_path


def record(folder, pattern):
    return next(iter(sorted((folder / "out/runs").rglob(pattern))))


def again(folder, path, *more):
    return repro.main([str(path), "--cache", f"{folder}/cache", "--device", "cpu", *more])


@pytest.mark.parametrize("method", ["lsh", "cibhash", "random", "float"])
def test_a_fresh_record_comes_out_the_same(grid, capsys, method):
    assert again(grid, record(grid, f"{method}/*.json")) == 0
    out = capsys.readouterr().out
    assert out.endswith("every number and code is the same\n")
    assert out.count("\n") == 1


def test_other_numbers_and_codes_are_told(grid, capsys):
    path = record(grid, "cibhash/*.json")
    data = json.loads(path.read_text())
    data["metrics"]["mAP@100"] += 0.25
    path.write_text(json.dumps(data))
    arrays = safetensors.numpy.load_file(path.with_suffix(".safetensors"))
    arrays["database_codes"] = arrays["database_codes"] ^ np.uint8(1)
    safetensors.numpy.save_file(arrays, path.with_suffix(".safetensors"))
    assert again(grid, path) == 1
    out = capsys.readouterr().out
    assert "difference -0.250000" in out
    assert "database_codes: 550 of 4,400 bits differ" in out
    assert "the same" not in out


def test_a_submission_cannot_be_run(grid, capsys):
    path = record(grid, "lsh/*.json")
    data = json.loads(path.read_text())
    data["settings"] = {"submission": "lsh"}
    path.write_text(json.dumps(data))
    assert again(grid, path) == 2
    assert "submitted as codes" in capsys.readouterr().err


def test_settings_that_no_run_writes_are_refused_in_one_line(grid, capsys):
    path = record(grid, "cibhash/*.json")
    whole = json.loads(path.read_text())
    method = whole["settings"]["method"]
    for name, wrong in (
        *[("backbone", None), ("backbone", [1]), ("backbone", {"name": 3, "input_size": None})],
        *[("method", "x"), ("method", method | {"params": {"nope": 1}})],
        *[("method", method | {"recipe": {wrong: -1}}) for wrong in ("nope", "epochs", "lr")],
        ("method", method | {"recipe": {"lr": "x"}}),
    ):
        path.write_text(json.dumps(whole | {"settings": whole["settings"] | {name: wrong}}))
        assert again(grid, path) == 2
        error = capsys.readouterr().err
        assert "its settings are not as a run writes them" in error
        assert error.count("\n") == 1


def test_a_method_from_a_file_is_run_again_by_the_name_of_its_class(tmp_path, capsys):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from methods.lsh import LSH\n\n\nclass Mine(LSH):\n    paper = 'none, http://localhost'\n"
    )
    grid = ["--methods", f"{mine}:Mine", "--datasets", "synthetic", "--bits", "8", "--seeds", "1"]
    folders = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache", "--no-report"]
    assert run.main([*grid, *folders, "--device", "cpu"]) == 0
    path = record(tmp_path, "mine/*.json")
    assert again(tmp_path, path, "--method", f"{mine}:Mine") == 0
    capsys.readouterr()
    for given in ([], ["--method", "lsh"], ["--method", f"{mine}:Yours"]):
        assert again(tmp_path, path, *given) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert "--method" in error


def test_a_run_that_fails_is_one_line(grid, capsys, monkeypatch):
    def diverge(*given, **settings):
        raise TrainingError("CIBHash: loss term 'x' must be finite, got nan")

    monkeypatch.setattr(repeat_record, "run_cells", diverge)
    assert again(grid, record(grid, "cibhash/*.json")) == 2
    assert capsys.readouterr().err == "error: CIBHash: loss term 'x' must be finite, got nan\n"


def test_two_records_are_told_apart_by_every_setting(grid, capsys):
    folders = ["--out", f"{grid}/out", "--cache", f"{grid}/cache", "--no-report"]
    other = [*GRID[:-1], "cibhash.lr=0.01", "--methods", "cibhash"]
    assert run.main([*other, *folders]) == 0
    capsys.readouterr()
    records = ResultStore(grid / "out").records()
    one = next(r for r in records if "tau=0.5" in r.method)
    other = next(r for r in records if "lr=0.01" in r.method and r.seed == one.seed)
    paths = [str(ResultStore(grid / "out").locate(r)) for r in (one, other)]
    assert explain.main(paths) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {line.split(":")[0] for line in lines}
    assert names == {"method", "settings.method.params.tau", "settings.method.recipe.lr"}
    assert "settings.method.params.tau: 0.5 | 0.3" in lines
    assert explain.main([paths[0], paths[0]]) == 0
    assert capsys.readouterr().out == "no setting differs\n"
    assert explain.main([paths[0], str(grid / "absent.json")]) == 2


def test_status_tells_done_running_failed_and_missing(grid, capsys):
    store = ResultStore(grid / "out")
    cells = read_plan(store)
    assert len(cells) == 7
    for cell in cells[:3]:
        path = store.locate(cell)
        path.unlink()
    store.mark_failed(cells[0], kind="method", error="no luck today")
    with Lease.acquire(store.locate(cells[1]).with_suffix(SUFFIX)):
        assert status.main(["--out", f"{grid}/out"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "7 cells: 4 done, 1 running, 1 failed, 1 missing"
    assert out[1].startswith(f"running  {cells[1]}: (")
    assert out[2] == f"failed   {cells[0]}: no luck today"
    assert out[3] == f"missing  {cells[2]}"
    assert [s.state for s in standings(store, store.scan())][:3] == ["failed", "missing", "missing"]


def test_a_run_and_its_status_say_once_that_older_records_are_not_read(grid, capsys):
    store = ResultStore(grid / "out")
    for old in store.records():
        path = store.locate(old)
        path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', '"schema": 3'))
    line = f"records of schema 3 under {store.runs}: this version reads schema {SCHEMA}; "
    folders = ["--out", f"{grid}/out", "--cache", f"{grid}/cache", "--no-report"]
    capsys.readouterr()
    assert status.main(folders[:2]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith(f"7 {line}")
    assert shown.err.count("\n") == 1
    assert shown.out.startswith("7 cells: 0 done, 0 running, 0 failed, 7 missing\n")
    assert run.main([*GRID[:-1], "cibhash.tau=0.4", *folders]) == 0
    shown = capsys.readouterr()
    assert shown.err.count(f"7 {line}") == 1
    assert "7 cells, 0 stored, 7 to run" in shown.out
    assert shown.out.count(f"2 {line}") == 1  # cells of the same digest were run again
    assert "Skipped" not in shown.out
    assert rescore.main([*folders[:2], "--no-report"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(f"left as it is: 2 {line}")
    assert shown.out.startswith("7 records: 0 changed, 6 the same, 1 without codes, 0 left")


def test_status_without_a_plan_is_an_error(tmp_path, capsys):
    assert status.main(["--out", str(tmp_path)]) == 2
    assert "no grid was planned there" in capsys.readouterr().err
    (tmp_path / "plan.json").write_text("[{}]")
    assert status.main(["--out", str(tmp_path)]) == 2
    assert "damaged" in capsys.readouterr().err


def test_the_plan_tells_how_long_such_cells_took(grid, capsys):
    folders = ["--out", f"{grid}/out", "--cache", f"{grid}/cache"]
    assert run.main([*GRID, *folders, "--dry-run", "--seeds", "3"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"10 cells, 7 stored, 3 to run, about \d+ s of training and scoring", out)
