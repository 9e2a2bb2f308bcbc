"""One cell in one process: what it says while it works, and what comes of it."""

import time

import pytest

from benchmarks import work
from benchmarks.planning import expand_grids
from benchmarks.run import _grids
from benchmarks.work import Bench
from results.leases import SUFFIX, Lease
from results.store import ResultStore

GRID = ["--methods", "cibhash", "--datasets", "synthetic", "--bits", "8", "--seeds", "1"]


@pytest.fixture(scope="module")
def cell():
    return expand_grids(_grids([*GRID, "--epochs", "3"], "quick"))[0][0]


def bench(folder, **more):
    return Bench(out=folder / "out", cache=folder / "cache", device="cpu", **more)


def test_a_cell_tells_its_epochs_losses_and_speed(cell, tmp_path):
    told = []
    outcome = work.work(bench(tmp_path), cell, told.append)
    assert outcome.state == "done"
    assert outcome.note.startswith("mAP@100 0.")
    epochs = [line for line in told if line.startswith("epoch")]
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert "contrastive" in epochs[-1]
    assert epochs[-1].endswith(" images/s")
    assert any(line.startswith("features of synthetic: 600/600") for line in told)
    assert work.work(bench(tmp_path), cell).state == "stored"
    assert not list(tmp_path.rglob(f"*{SUFFIX}"))


def test_a_cell_of_another_runner_is_busy(cell, tmp_path):
    path = ResultStore(tmp_path / "out").lease_path(**cell.place)
    with Lease.acquire(path):
        assert work.work(bench(tmp_path), cell).state == "busy"


def test_a_folder_that_cannot_be_written_fails_the_cell(cell, tmp_path):
    (tmp_path / "out").write_text("a file")
    outcome = work.work(bench(tmp_path), cell)
    assert outcome.state == "failed"
    assert outcome.note == f"results folder {tmp_path}/out: Not a directory"


def test_force_replaces_what_is_stored(cell, tmp_path):
    work.work(bench(tmp_path), cell)
    store = ResultStore(tmp_path / "out")
    (first,) = store.records()
    time.sleep(0.01)
    assert work.work(bench(tmp_path, force=True), cell).state == "done"
    (second,) = store.records()
    assert second.created > first.created
    assert second.metrics == first.metrics
