"""One cell in one process: what it says while it works, and what comes of it."""

import threading
import time
from dataclasses import replace

import pytest

from benchmarks import work
from benchmarks.features import FeatureCache
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


def test_what_failed_for_one_cell_fails_for_all_of_a_call_and_is_tried_again_by_the_next(
    cell, tmp_path, monkeypatch
):
    tried = []

    def full(cache, *rest):
        tried.append(rest)
        raise OSError(28, "No space left on device")

    given = bench(tmp_path)
    monkeypatch.setattr(FeatureCache, "features", full)
    notes = [work.work(given, cell).note for _ in range(2)]
    assert notes == ["[Errno 28] No space left on device"] * 2
    assert len(tried) == 1
    monkeypatch.undo()
    assert work.work(given, cell).state == "failed"
    assert work.work(bench(tmp_path), cell).state == "done"


def test_cells_of_one_process_take_turns(cell, tmp_path, monkeypatch):
    inside, most = [], []

    def slow(*given):
        inside.append(given)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return "done"

    monkeypatch.setattr(work, "_run", slow)
    cells = [replace(cell, key=replace(cell.key, seed=seed)) for seed in range(3)]
    threads = [threading.Thread(target=work.work, args=(bench(tmp_path), c)) for c in cells]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]
