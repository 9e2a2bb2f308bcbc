"""Several processes train one method: two ranks with half a batch are one with the whole."""

import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed import HashStore

from benchmarks import run
from benchmarks.features.backbones import backbone
from benchmarks.grid.cells import expand
from benchmarks.grid.method_settings import GridError, method_spec
from benchmarks.grid.tasks import Task
from benchmarks.machine.environment import own_device
from benchmarks.runner import follower, run_grids
from benchmarks.runner.follower import follow
from benchmarks.runner.run_settings import RunSettings
from benchmarks.training.distributed.rank_group import RankGroup
from datasets import load
from results.store.store import ResultStore
from tests.rank_steps import learned
from tests.small_vit import small_vit

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return small_vit(tmp_path_factory.mktemp("vit"))


def torchrun(*arguments):
    """Run a module on two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node", "2", "-m", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def of_two_ranks(vit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned")
    done = torchrun("tests.rank_steps", vit, str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kept", "name"),
    [("cibhash", "cibhash"), ("wch", "wch"), ("nsh", "nsh"), ("resumed", "cibhash")],
)
def test_two_ranks_with_half_a_batch_learn_what_one_learns_with_the_whole(
    vit, of_two_ranks, kept, name
):
    alone = learned(name, vit)
    first, second = (load_file(of_two_ranks / f"{kept}-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in alone)
    torch.testing.assert_close(first, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_ranks_that_draw_different_batches_do_not_train(of_two_ranks):
    for rank in (0, 1):
        told = (of_two_ranks / f"refused-{rank}").read_text()
        assert told.startswith("the ranks have drawn different batches")


def arguments(vit, out, *methods):
    grid = ["--datasets", "synthetic", "--backbone", vit, "--input-size", "32", "--bits", "8"]
    grid += ["--seeds", "1", "--epochs", "2", "--finetune", "--device", "cpu", "--no-report"]
    return ["--methods", *methods, *grid, "--out", f"{out}/out", "--cache", f"{out}/cache"]


@pytest.mark.slow
def test_the_command_on_two_ranks_does_what_it_does_on_one(vit, tmp_path):
    """Of three methods one trains, one cannot be built on rank 1, and one has no room on either."""
    faulty = [f"tests.faulty_ranks:{name}" for name in ("Absent", "TooLarge")]
    done = torchrun("tests.faulty_ranks", *arguments(vit, tmp_path / "two", "cibhash", *faulty))
    assert done.returncode == 1
    store = ResultStore(tmp_path / "two/out")
    assert done.stdout.count("5 cells, 0 stored, 5 to run") == 1
    two = {record.method: record for record in store.records()}
    assert set(two) == {"cibhash(finetune,epochs=2)", "random", "float"}
    errors = {failure.method.split("(")[0]: failure for failure in store.failures()}
    assert errors["absent"].error == "rank 1: RuntimeError: not on this rank"
    assert "in __init__" in errors["absent"].traceback
    assert "as CUDA says it" in errors["too_large"].error

    assert run.main(arguments(vit, tmp_path / "one", "cibhash")) == 0
    alone = ResultStore(tmp_path / "one/out")
    one = {record.method: record for record in alone.records()}["cibhash(finetune,epochs=2)"]
    shared = two[one.method]
    assert shared.digest == one.digest
    assert shared.device == f"2 x {two['random'].device}"
    assert agreement(store, shared, alone, one) > 0.99


def agreement(store, record, other_store, other):
    """Share of the bits in which two records agree."""
    arrays = store.arrays(store.locate(record)), other_store.arrays(other_store.locate(other))
    parts = ("query_codes", "database_codes")
    return min(
        (np.unpackbits(arrays[0][part], axis=1) == np.unpackbits(arrays[1][part], axis=1)).mean()
        for part in parts
    )


@pytest.mark.gpu
def test_two_gpus_do_what_one_does(vit, tmp_path):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    on = ("--device", "cuda")
    done = torchrun("benchmarks.run", *arguments(vit, tmp_path / "two", "cibhash", "wch"), *on)
    assert done.returncode == 0, done.stderr
    assert run.main([*arguments(vit, tmp_path / "one", "cibhash", "wch"), *on]) == 0
    stores = [ResultStore(tmp_path / name / "out") for name in ("two", "one")]
    two, one = ({record.method: record for record in store.records()} for store in stores)
    assert set(two) == set(one)
    for method in two.keys() - {"random", "float"}:
        assert two[method].device.startswith("2 x ")
        assert agreement(stores[0], two[method], stores[1], one[method]) > 0.95  # of bfloat16


@pytest.mark.slow
def test_a_rank_that_fails_within_a_step_ends_all_and_the_cell_is_a_failed_one(vit, tmp_path):
    start = time.monotonic()
    done = torchrun("tests.faulty_ranks", *arguments(vit, tmp_path, "tests.faulty_ranks:Stumbles"))
    assert done.returncode == 1
    assert time.monotonic() - start < 120
    assert "rank 1 failed in the middle of a step, so all ranks end" in done.stderr
    (failure,) = ResultStore(tmp_path / "out").failures()
    assert "in the middle of a step" in failure.error
    assert not list(tmp_path.rglob("*.checkpoint"))


@pytest.fixture
def two(monkeypatch):
    """As rank 0 of two."""
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--methods", "itq"], "--methods itq: torchrun shares the steps of --finetune"),
        (["--methods", "cibhash", "--set", "cibhash.batch_size=9"], "2 ranks cannot share the bat"),
        (["--methods", "cibhash", "--jobs", "2"], "--executor loky: torchrun has started"),
        (["--methods", "cibhash", "--device", "cuda:1"], "each rank has a GPU of its own"),
    ],
)
def test_what_ranks_cannot_share_is_refused(two, vit, tmp_path, capsys, more, words):
    assert run.main([*arguments(vit, tmp_path, "cibhash"), *more]) == 2
    assert words in capsys.readouterr().err


def test_cells_of_frozen_backbones_that_are_stored_are_no_hindrance(vit, tmp_path, monkeypatch):
    assert run.main(arguments(vit, tmp_path, "lsh")) == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run.main([*arguments(vit, tmp_path, "lsh", "cibhash"), "--dry-run"]) == 0


def test_a_cell_that_failed_before_comes_last(two, vit, tmp_path, monkeypatch):
    """It may end all ranks again, and no other cell should wait for that."""
    store, orders = ResultStore(tmp_path / "out"), []
    monkeypatch.setattr(
        run_grids, "joined", lambda device: nullcontext(RankGroup(0, 2, HashStore()))
    )
    monkeypatch.setattr(
        run_grids, "run_all", lambda executor, settings, todo, *_: orders.append(todo) or []
    )
    run.main(arguments(vit, tmp_path, "cibhash", "wch"))
    store.mark_failed(orders[0][0].address, kind="method", error="once")
    run.main(arguments(vit, tmp_path, "cibhash", "wch"))
    first, *others = orders[0]
    assert [cell.digest for cell in orders[1]] == [cell.digest for cell in (*others, first)]


@pytest.mark.parametrize(
    ("name", "device"), [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cpu", "cpu")]
)
def test_each_rank_has_a_gpu_of_its_own(monkeypatch, name, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert own_device(name) == name
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device(name) == device


def test_a_rank_with_other_data_than_rank_0_does_not_follow(tmp_path):
    store = HashStore()
    RankGroup(0, 2, store).announce("ab")
    with pytest.raises(GridError, match="rank 1 has other code or data than rank 0"):
        follow(RunSettings(tmp_path, tmp_path), [], RankGroup(1, 2, store))


def test_a_follower_that_cannot_tell_rank_0_notes_the_failure(vit, tmp_path, monkeypatch):
    task, spec = Task(load("synthetic"), backbone(vit, 32)), method_spec("cibhash", finetune=True)
    (cell,) = expand([task], [spec], [8], 1)
    store = HashStore()
    RankGroup(0, 2, store).announce(cell.digest)
    group = RankGroup(1, 2, store)

    def fit_and_encode(cells, inputs, watch, trainers):
        trainers[0].checkpoint.write({"weight": torch.zeros(1)}, [])
        group.out_of_step = True
        raise ValueError("alone")

    monkeypatch.setattr(follower, "fit_and_encode", fit_and_encode)
    with pytest.raises(SystemExit):
        follow(RunSettings(tmp_path, tmp_path), [cell], group)
    (failure,) = ResultStore(tmp_path).failures()
    assert failure.error == "alone"
    assert "in fit_and_encode" in failure.traceback
    assert not list(tmp_path.rglob("*.checkpoint"))
