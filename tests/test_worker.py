"""One cell in one process: what it says while it works, and what comes of it."""

import json
import os
import sys
import threading
import time
from dataclasses import replace

import pytest

from benchmarks.features.cache import FeatureCache
from benchmarks.grid.flags import read_grids
from benchmarks.grid.planning import expand_grids
from benchmarks.machine.time_limit import CellTimeout
from benchmarks.runner import worker as run_leased
from benchmarks.runner.run_settings import RunSettings
from results.store.leases import SUFFIX, Lease
from results.store.store import ResultStore, StoreError

GRID = ["--methods", "cibhash", "--datasets", "synthetic", "--bits", "8", "--seeds", "1"]


@pytest.fixture(scope="module")
def cell():
    return expand_grids(read_grids([*GRID, "--epochs", "3"], "quick"))[0][0]


def settings(folder, **more):
    return RunSettings(out=folder / "out", cache=folder / "cache", device="cpu", **more)


def test_a_cell_tells_its_epochs_losses_and_speed(cell, tmp_path):
    told = []
    (outcome,) = run_leased.run_leased(settings(tmp_path), [cell], told.append)
    assert outcome.state == "done"
    assert outcome.note.startswith("mAP@100 0.")
    epochs = [line for line in told if line.startswith("epoch")]
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert "contrastive" in epochs[-1]
    assert epochs[-1].endswith(" images/s")
    assert any(line.startswith("features of synthetic: 600/600") for line in told)
    assert run_leased.run_leased(settings(tmp_path), [cell])[0].state == "stored"
    assert not list(tmp_path.rglob(f"*{SUFFIX}"))


def test_a_cell_of_another_runner_is_busy(cell, tmp_path):
    path = ResultStore(tmp_path / "out").lease_path(cell.address)
    with Lease.acquire(path):
        assert run_leased.run_leased(settings(tmp_path), [cell])[0].state == "busy"


@pytest.mark.parametrize("part", ["__init__", "noise", "loss", "project", "fit"])
def test_a_method_that_ends_the_process_is_a_failed_cell(cell, tmp_path, monkeypatch, part):
    def leaves(*given, **named):
        sys.exit(0)

    monkeypatch.setattr(cell.method.cls, part, leaves)
    (outcome,) = run_leased.run_leased(settings(tmp_path), [cell])
    assert outcome.state == "failed"
    assert "raised SystemExit(0), which would end the whole process" in outcome.note
    assert "in leaves" in json.loads(failed(tmp_path)[0].read_text())["traceback"]


def test_a_folder_that_cannot_be_written_fails_the_cell(cell, tmp_path):
    (tmp_path / "out").write_text("a file")
    (outcome,) = run_leased.run_leased(settings(tmp_path), [cell])
    assert outcome.state == "failed"
    assert outcome.note == f"results folder {tmp_path}/out: Not a directory"


def test_force_replaces_what_is_stored(cell, tmp_path):
    run_leased.run_leased(settings(tmp_path), [cell])
    store = ResultStore(tmp_path / "out")
    (first,) = store.records()
    time.sleep(0.01)
    assert run_leased.run_leased(settings(tmp_path, force=True), [cell])[0].state == "done"
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

    given = settings(tmp_path)
    monkeypatch.setattr(FeatureCache, "features", full)
    notes = [run_leased.run_leased(given, [cell])[0].note for _ in range(2)]
    assert [note.partition(";")[0] for note in notes] == ["[Errno 28] No space left on device"] * 2
    assert len(tried) == 1
    monkeypatch.undo()
    assert run_leased.run_leased(given, [cell])[0].state == "failed"
    assert run_leased.run_leased(settings(tmp_path), [cell])[0].state == "done"


def test_cells_of_one_process_take_turns(cell, tmp_path, monkeypatch):
    inside, most = [], []

    def slow(*given):
        inside.append(given)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return []

    monkeypatch.setattr(run_leased, "_run", slow)
    cells = [replace(cell, key=replace(cell.key, seed=seed)) for seed in range(3)]
    threads = [
        threading.Thread(target=run_leased.run_leased, args=(settings(tmp_path), [c]))
        for c in cells
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]


def seeds_of(cell, n):
    return [replace(cell, key=replace(cell.key, seed=seed)) for seed in range(n)]


def test_seeds_train_together_and_each_has_its_record(cell, tmp_path):
    told = []
    outcomes = run_leased.run_leased(settings(tmp_path), seeds_of(cell, 3), told.append)
    assert [outcome.state for outcome in outcomes] == ["done"] * 3
    assert len([line for line in told if line.startswith("epoch")]) == 3
    records = ResultStore(tmp_path / "out").records()
    assert {record.seed for record in records} == {0, 1, 2}
    assert [record.trained_with for record in records] == [[0, 1, 2]] * 3
    assert len({record.timings["fit"] for record in records}) == 1
    assert len({str(record.history) for record in records}) == 3
    assert not list(tmp_path.rglob(f"*{SUFFIX}"))


def test_only_what_is_missing_of_a_stack_is_run(cell, tmp_path):
    cells = seeds_of(cell, 3)
    run_leased.run_leased(settings(tmp_path), cells[1:2])
    with Lease.acquire(ResultStore(tmp_path / "out").lease_path(cells[2].address)):
        states = {o.key.seed: o.state for o in run_leased.run_leased(settings(tmp_path), cells)}
    assert states == {0: "done", 1: "stored", 2: "busy"}
    records = ResultStore(tmp_path / "out").records()
    assert {r.seed: r.trained_with for r in records} == {0: [0], 1: [1]}


def test_a_stack_that_fails_is_run_one_by_one_so_that_one_failure_is_one_cell(
    cell, tmp_path, monkeypatch
):
    real, tried = run_leased.run_cells, []

    def run_cells(cells, *rest, **asked):
        seeds = [cell.key.seed for cell in cells]
        tried.append(seeds)
        if 1 in seeds:
            raise ValueError("out of luck")
        return real(cells, *rest, **asked)

    monkeypatch.setattr(run_leased, "run_cells", run_cells)
    states = {
        o.key.seed: o.state for o in run_leased.run_leased(settings(tmp_path), seeds_of(cell, 3))
    }
    assert states == {0: "done", 1: "failed", 2: "done"}
    assert tried == [[0, 1, 2], [0], [1], [2]]
    assert len(list(tmp_path.rglob("*.failed.json"))) == 1


class Overtaken:
    """What another runner does with a cell while this process is stopped in the middle of it."""

    def __init__(self, folder, cell, monkeypatch):
        self.store, self.cell = ResultStore(folder / "out"), cell
        self.real, self.theirs = run_leased.run_cells, None
        monkeypatch.setattr(run_leased, "run_cells", self.run_cells)
        self.then = lambda: None

    def run_cells(self, cells, *rest, **asked):
        """Train; before this process goes on, another one does its part."""
        found = self.real(cells, *rest, **asked)
        lease = self.store.lease_path(self.cell.address)
        os.utime(lease, (0, 0))
        self.theirs = Lease.acquire(lease)
        self.found = next(result for result in found if result[0].seed == self.cell.key.seed)
        self.then()
        return found

    def stores(self):
        self.store.save(*self.found)
        self.theirs.release()


def failed(folder):
    return list(folder.rglob("*.failed.json"))


def test_a_cell_that_another_runner_stored_meanwhile_is_stored(cell, tmp_path, monkeypatch):
    other = Overtaken(tmp_path, cell, monkeypatch)
    other.then = other.stores
    (outcome,) = run_leased.run_leased(settings(tmp_path), [cell])
    assert (outcome.state, outcome.note) == ("stored", "stored by another runner")
    assert not failed(tmp_path)


@pytest.mark.parametrize("error", [ValueError("out of luck"), CellTimeout("took longer")])
def test_a_failure_counts_for_nothing_once_another_runner_has_the_cell(
    cell, tmp_path, monkeypatch, error
):
    other = Overtaken(tmp_path, cell, monkeypatch)
    checkpoint = other.store.checkpoint_path(cell.address)

    def fails():
        checkpoint.touch()  # theirs: they go on from it
        raise error

    other.then = fails
    (outcome,) = run_leased.run_leased(settings(tmp_path), [cell])
    assert (outcome.state, outcome.note) == ("busy", "another runner has taken it over")
    assert checkpoint.exists()
    assert not failed(tmp_path)
    other.theirs.release()


def test_a_cell_that_another_runner_works_on_by_now_is_left_to_it(cell, tmp_path, monkeypatch):
    other = Overtaken(tmp_path, cell, monkeypatch)
    (outcome,) = run_leased.run_leased(settings(tmp_path), [cell])
    assert outcome.state == "busy"
    assert not other.store.has(cell.address)
    other.theirs.release()


def test_a_cell_that_another_runner_took_and_gave_up_is_stored(cell, tmp_path, monkeypatch):
    other = Overtaken(tmp_path, cell, monkeypatch)
    other.then = lambda: other.theirs.release()
    (outcome,) = run_leased.run_leased(settings(tmp_path), [cell])
    assert outcome.state == "done"


def test_of_a_stack_the_cells_that_nobody_took_are_stored(cell, tmp_path, monkeypatch):
    cells = seeds_of(cell, 3)
    other = Overtaken(tmp_path, cells[1], monkeypatch)
    other.then = other.stores
    outcomes = run_leased.run_leased(settings(tmp_path), cells)
    assert [outcome.state for outcome in outcomes] == ["done", "stored", "done"]
    assert not failed(tmp_path)


def test_of_a_stack_one_record_that_cannot_be_written_fails_alone(cell, tmp_path, monkeypatch):
    real = ResultStore.save

    def save(store, record, arrays, **more):
        if record.seed == 1:
            raise StoreError("no room")
        return real(store, record, arrays, **more)

    monkeypatch.setattr(ResultStore, "save", save)
    outcomes = run_leased.run_leased(settings(tmp_path), seeds_of(cell, 3))
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]
    assert [path.name.split("-")[1] for path in failed(tmp_path)] == ["1"]
