import argparse
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks.grid.flags import read_grids
from benchmarks.grid.planning import expand_grids
from benchmarks.machine.threads import StepTime, best_threads, step_times, threads
from benchmarks.runner import run_settings
from benchmarks.runner.run_settings import RunSettings, with_threads
from benchmarks.runner.worker import run_leased
from methods import METHODS
from results.store.store import ResultStore

GRID = ["--methods", "lsh", "cibhash", "--datasets", "synthetic", "--bits", "8", "--seeds", "1"]
GRID += ["--epochs", "1", "--device", "cpu"]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _all_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def chosen(tmp_path, monkeypatch, times, *flags):
    """What a call on two threads chooses, given what its steps took; its timer's calls too."""
    asked = []
    monkeypatch.setattr(run_settings, "step_times", lambda most: asked.append(most) or times)
    (options,) = read_grids([*GRID, *flags])
    cells, _ = expand_grids([options])
    settings = RunSettings(out=tmp_path / "out", cache=tmp_path / "cache")
    return *with_threads(settings, options, cells, CPU), asked


FAST = [StepTime(1, 2e-3, 2e-3), StepTime(2, 1.2e-3, 2.4e-3)]


def test_more_threads_are_taken_where_a_step_gains_and_each_has_a_core():
    assert best_threads(FAST) == 2
    assert best_threads([FAST[0], StepTime(2, 1.7e-3, 3.4e-3)]) == 1  # too little
    assert best_threads([StepTime(1, 4e-3, 2e-3), StepTime(2, 2.4e-3, 2.4e-3)]) == 1  # one core
    assert best_threads([*FAST, StepTime(4, 1.1e-3, 4.4e-3), StepTime(8, 0.6e-3, 4.8e-3)]) == 8


def test_steps_are_timed_on_powers_of_two_and_on_the_most():
    state = torch.random.get_rng_state()
    times = step_times(3)
    assert [one.threads for one in times] == [1, 2, 3]
    assert all(one.wall > 0 and one.cpu > 0 for one in times)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_call_trains_heads_on_what_was_measured_and_says_so(tmp_path, monkeypatch):
    settings, line, asked = chosen(tmp_path, monkeypatch, FAST)
    assert asked == [2]
    assert (settings.threads, settings.head_threads) == (None, 2)
    assert line == (
        "threads: 2 to train a head (a step takes 2 ms on 1, 1.2 ms on 2), 2 for all else; "
        "--threads N sets both"
    )


def test_the_flag_overrides_the_measurement(tmp_path, monkeypatch):
    settings, line, asked = chosen(tmp_path, monkeypatch, FAST, "--threads", "3")
    assert (settings.threads, settings.head_threads, line, asked) == (3, 3, None, [])


def test_workers_choose_among_their_share_of_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(run_settings, "threads_of_a_job", lambda jobs: 8 // jobs)
    settings, _, asked = chosen(tmp_path, monkeypatch, FAST, "--jobs", "2")
    assert (settings.head_threads, asked) == (2, [4])
    settings, line, asked = chosen(tmp_path, monkeypatch, FAST, "--jobs", "8")
    assert (settings.head_threads, line, asked) == (1, None, [])


def test_nothing_is_measured_where_no_head_is_trained_on_a_cpu(tmp_path, monkeypatch):
    flags = ["--methods", "lsh", "itq"]
    assert chosen(tmp_path, monkeypatch, FAST, *flags)[1:] == (None, [])
    given = argparse.Namespace(threads=None, scheduler=None, executor="local", jobs=None)
    cells, _ = expand_grids(read_grids(GRID))
    settings = RunSettings(out=tmp_path / "out", cache=tmp_path / "cache")
    assert with_threads(settings, given, cells, torch.device("cuda")) == (settings, None)


def test_a_head_trains_on_its_threads_and_the_rest_runs_on_all(tmp_path, monkeypatch):
    seen = {"loss": set(), "project": set()}
    cls = METHODS["cibhash"]
    for name in seen:
        plain = getattr(cls, name)

        def spy(self, *given, _name=name, _plain=plain):
            seen[_name].add(torch.get_num_threads())
            return _plain(self, *given)

        monkeypatch.setattr(cls, name, spy)
    cells, _ = expand_grids(read_grids([*GRID, "--methods", "cibhash"]))
    cell = next(cell for cell in cells if cell.method.name.startswith("cibhash"))
    settings = RunSettings(tmp_path / "out", tmp_path / "cache", threads=2, head_threads=1)
    (outcome,) = run_leased(settings, [cell])
    assert outcome.state == "done", outcome.note
    assert seen["loss"] == {1}
    (record,) = ResultStore(settings.out).records()
    assert record.device == "cpu (1 threads)"
    assert 2 in seen["project"]  # when it encodes


def test_codes_are_the_same_bit_by_bit_on_one_and_two_threads(tmp_path):
    grid = ["--methods", "itq", "cibhash", "--datasets", "digits", "--bits", "64", "--seeds", "1"]
    cells, _ = expand_grids(read_grids([*grid, "--epochs", "2", "--device", "cpu"]))
    found = []
    for n in (1, 2):
        settings = RunSettings(tmp_path / str(n), tmp_path / "cache", threads=n, head_threads=n)
        with threads(n):
            for cell in cells:
                (outcome,) = run_leased(settings, [cell])
                assert outcome.state == "done", outcome.note
        store = ResultStore(tmp_path / str(n))
        found.append({r.digest: store.arrays(store.locate(r)) for r in store.records()})
    one, two = found
    assert one.keys() == two.keys() == {cell.digest for cell in cells}
    for digest, arrays in one.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, two[digest][name])


SAYS = "import os, sys; from benchmarks import run; run.main(['--list', 'presets']); "
SAYS += "print(os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.parametrize(("given", "then"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_asleep_unless_the_user_says_otherwise(given, then):
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env |= {} if given is None else {"OMP_WAIT_POLICY": given}
    done = subprocess.run(
        [sys.executable, "-c", SAYS], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == then
