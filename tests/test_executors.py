"""Every executor leaves the same records."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor

from benchmarks import run
from benchmarks.grid import planning
from benchmarks.grid import tasks as tasks
from benchmarks.grid.flags import read_grids
from benchmarks.grid.method_settings import GridError
from benchmarks.runner import executors
from benchmarks.runner.executors import in_processes, local, on_dask, run_all
from benchmarks.runner.run_settings import Outcome, RunSettings
from results.store.files import process_space
from results.store.leases import Holder
from results.store.store import ResultStore

GRID = ["--methods", "lsh", "itq", "cibhash", "--datasets", "synthetic", "--bits", "8"]
GRID += ["--seeds", "2", "--epochs", "2", "--device", "cpu"]
N_CELLS = 9  # three methods and random twice, float once


@pytest.fixture(scope="module")
def cells():
    return planning.expand_grids(read_grids(GRID, "quick"))[0]


def settings(folder, **more):
    return RunSettings(out=folder / "out", cache=folder / "cache", threads=1, **more)


def do(executor, folder, cells, done=lambda outcome: None):
    return run_all(executor, settings(folder), cells, lambda key, doing: None, done)


def content(folder):
    """Metrics and arrays of every record."""
    store = ResultStore(folder / "out")
    return {r.digest: (r.metrics, store.arrays(store.locate(r))) for r in store.records()}


def same(one, other):
    assert one.keys() == other.keys()
    for digest, (metrics, arrays) in one.items():
        assert metrics == other[digest][0]
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, other[digest][1][name])


@pytest.fixture(scope="module")
def expected(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    assert do(local, folder, cells) == []
    found = content(folder)
    assert len(found) == N_CELLS
    return found


@pytest.mark.slow
def test_processes_leave_the_same_records_and_extract_once(cells, expected, tmp_path):
    outcomes = []
    assert do(in_processes(2), tmp_path, cells, outcomes.append) == []
    assert sorted(o.state for o in outcomes) == ["done"] * N_CELLS
    same(content(tmp_path), expected)
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 2  # features and one bank of views


KEPT = []


def grow(given):
    """What a worker does, and some memory that it keeps."""
    executors._open(given, [])
    KEPT.append(np.ones(40_000_000))  # 320 MB
    time.sleep(1.1)  # loky looks once a second
    return os.getpid()


@pytest.mark.slow
def test_a_worker_stays_though_it_grows_by_mapped_features(tmp_path):
    pytest.importorskip("psutil", reason="loky looks at memory only where psutil is installed")
    workers = get_reusable_executor(max_workers=1)
    try:
        pids = [workers.submit(grow, settings(tmp_path)).result(timeout=120) for _ in range(3)]
    finally:
        workers.shutdown(kill_workers=True)
    assert len(set(pids)) == 1


@pytest.mark.parametrize(
    "executor", [local, pytest.param(in_processes(2), marks=pytest.mark.slow)], ids=["here", "two"]
)
def test_seeds_that_train_together_leave_the_records_of_the_cells_alone(
    executor, cells, expected, tmp_path
):
    done = lambda outcome: None  # noqa: E731
    tell = lambda key, doing: None  # noqa: E731
    assert run_all(executor, settings(tmp_path, stack=True), cells, tell, done) == []
    found = content(tmp_path)
    assert found.keys() == expected.keys()
    for digest, (_, arrays) in found.items():
        for name in set(arrays) - {"query_ap"}:
            assert (arrays[name] == expected[digest][1][name]).mean() > 0.95
    seeds = {r.method: r.trained_with for r in ResultStore(tmp_path / "out").records()}
    assert seeds["cibhash(epochs=2)"] == [0, 1]
    assert len(seeds["lsh"]) == len(seeds["random"]) == 1


@pytest.mark.slow
def test_a_killed_dask_worker_costs_nothing_that_is_finished(cells, expected, tmp_path):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    outcomes, killed = [], []

    def kill_after_the_second(outcome):
        outcomes.append(outcome)
        if len(outcomes) == 2:
            address, pid = next(iter(client.run(os.getpid).items()))
            os.kill(pid, signal.SIGKILL)
            killed.append(address)

    from distributed import Client

    with on_dask(None, 2), on_dask(Client.current().scheduler.address, 2) as executor:
        client = Client.current()
        assert do(executor, tmp_path, cells, kill_after_the_second) == []
    assert len(killed) == 1
    assert len(outcomes) == N_CELLS
    same(content(tmp_path), expected)


def test_cells_are_tried_again_when_workers_die(cells, expected, tmp_path):
    deaths = []

    def dying(given, waiting, tell):
        """Does one cell and dies, twice."""
        if len(deaths) < 2:
            yield from local(given, waiting[:1], tell)
            deaths.append(len(waiting))
            raise BrokenPipeError("a worker died")
        yield from local(given, waiting, tell)

    assert do(dying, tmp_path, cells) == []
    assert deaths == [N_CELLS, N_CELLS - 1]
    same(content(tmp_path), expected)


def test_workers_that_always_die_leave_failed_cells(cells, tmp_path):
    def dying(given, waiting, tell):
        raise BrokenPipeError("a worker died")
        yield

    failed = do(dying, tmp_path, cells)
    assert len(failed) == N_CELLS
    assert failed[0].note == "workers died 3 times, last: BrokenPipeError: a worker died"


def test_a_cell_that_workers_die_of_fails_alone(cells, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "_WAIT", 0)
    store, (first, culprit) = ResultStore(tmp_path / "out"), cells[1:3]
    batches = []

    def dying(given, waiting, tell):
        """Dies on one cell, with another one under work beside it."""
        batches.append(len(waiting))
        for (cell,) in waiting:
            if cell is culprit:
                held = [cell, first] if len(waiting) > 1 else [cell]
                for other in held:
                    path = store.lease_path(other.address)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(
                        json.dumps(asdict(Holder("here", gone, "", 0, "", process_space())))
                    )
                raise BrokenPipeError("killed")
            if cell is not first or len(waiting) == 1:
                yield from local(given, [[cell]], tell)

    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = process.pid
    failed = do(dying, tmp_path, cells)
    assert [outcome.key for outcome in failed] == [culprit.key]
    assert failed[0].note == "workers died 3 times, last: BrokenPipeError: killed"
    assert batches == [N_CELLS, N_CELLS - 3, 1, 1, 1]  # all, what was not begun, each suspect
    assert [f.digest for f in store.failures()] == [culprit.digest]
    assert do(local, tmp_path, [culprit]) == []
    same(content(tmp_path), expected)
    assert store.failures() == []


def test_a_cell_is_no_failure_if_the_last_worker_to_die_on_it_had_stored_it(
    cells, monkeypatch, tmp_path
):
    monkeypatch.setattr(executors, "_WAIT", 0)
    told = []

    def dying(given, waiting, tell):
        if len(told) == executors.MOST_CRASHES - 1:
            list(local(given, waiting, tell))
        told.append(len(waiting))
        raise BrokenPipeError("killed")
        yield

    states = []
    assert do(dying, tmp_path, cells[:1], lambda outcome: states.append(outcome.state)) == []
    assert states == ["stored"]
    assert not list(tmp_path.rglob("*.failed.json"))


def letter(cell):
    return cell.key, cell.digest, bytes(ForkingPickler.dumps(cell))


def test_a_worker_that_finds_no_data_fails_the_cell_and_says_so(cells, monkeypatch, tmp_path):
    sent = letter(cells[0])
    tasks._opened.cache_clear()
    monkeypatch.setattr(tasks, "load", lambda name, options: 1 / 0)
    (outcome,) = executors._open(settings(tmp_path), [sent])
    assert (outcome.state, outcome.digest) == ("failed", cells[0].digest)
    assert outcome.note == "division by zero"


def test_data_that_end_the_process_fail_the_cell_and_not_the_worker(cells, monkeypatch, tmp_path):
    sent = letter(cells[0])
    tasks._opened.cache_clear()
    monkeypatch.setattr(tasks, "load", lambda name, options: sys.exit(0))
    (outcome,) = executors._open(settings(tmp_path), [sent])
    assert (outcome.state, outcome.digest) == ("failed", cells[0].digest)
    assert outcome.note.startswith("raised SystemExit(0)")


def test_a_worker_with_other_code_stores_nothing(cells, monkeypatch, tmp_path):
    sent = letter(cells[0])
    monkeypatch.setattr("benchmarks.grid.method_settings.source_digest", lambda cls: "another")
    (outcome,) = executors._open(settings(tmp_path), [sent])
    assert outcome.state == "failed"
    assert "has other code or data than the runner; start it again" in outcome.note
    assert not list(tmp_path.rglob("*.json"))


def test_a_busy_cell_is_asked_for_again(cells, monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "_WAIT", 0)
    answers = iter(["busy", "busy", "stored"])

    def executor(given, waiting, tell):
        yield Outcome(waiting[0][0].key, waiting[0][0].digest, next(answers), "")

    outcomes = []
    assert do(executor, tmp_path, cells[:1], outcomes.append) == []
    assert [o.state for o in outcomes] == ["stored"]


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_said():
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with pytest.raises(GridError, match="--scheduler tcp://127"), on_dask("tcp://127.0.0.1:9", 1):
        pass


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--jobs", "0"], "--jobs: must be at least 1, got 0"),
        (["--executor", "local", "--jobs", "2"], "one cell at a time"),
        (["--executor", "loky", "--scheduler", "tcp://x:1"], "takes no --scheduler"),
    ],
)
def test_flags_that_contradict_each_other_are_errors(tmp_path, capsys, flags, words):
    folders = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache"]
    assert run.main([*GRID, *folders, *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_no_thread_is_left_behind(cells, tmp_path):
    before = threading.active_count()
    do(local, tmp_path, cells[:2])
    assert threading.active_count() == before
