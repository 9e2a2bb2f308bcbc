"""A results folder after processes have died over it."""

import os

import numpy as np
import pytest

from benchmarks import report, repro, rescore, run, score
from results.store.files import process_space
from results.store.leases import Lease
from results.store.store import ResultStore
from results.store.tidy import tidy
from tests.record_factory import ARRAYS, make_record


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "out")


def test_what_the_dead_have_left_is_tidied_and_no_more(store, monkeypatch):
    monkeypatch.setattr("results.store.files.has_died", lambda pid: pid == 7)
    path = store.save(make_record(), ARRAYS)
    half = f"@{process_space()}-7-0123abcd.tmp"
    left = [
        path.with_name(f".{path.name}{half}"),
        store.root / f".plan.json{half}",
        store.runs / f".writable{half}",
        store.root / f"report/figures/.a.pdf{half}",
        store.root / f"samples/digits/.a.safetensors{half}",
        path.with_suffix(".lease"),
        path.with_suffix(".checkpoint"),
    ]
    kept = [
        path,
        path.with_suffix(".safetensors"),
        path.with_name("16-1-abababab.checkpoint"),  # of a cell that is still to be done
        store.root / f"mine/.plan.json{half}",
    ]
    for file in [*left, *kept[2:]]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    os.utime(path.with_suffix(".lease"), (0, 0))
    tidy(store)
    assert sorted(p for p in store.root.rglob("*") if p.is_file()) == sorted(kept)


def test_the_checkpoint_of_a_cell_under_work_stays(store):
    path = store.save(make_record(), ARRAYS)
    path.with_suffix(".checkpoint").touch()
    with Lease.acquire(path.with_suffix(".lease")):
        tidy(store)
        assert path.with_suffix(".checkpoint").exists()
        assert path.with_suffix(".lease").exists()
    tidy(store)
    assert not path.with_suffix(".checkpoint").exists()


def arguments_of(command, store, folder):
    """Let a command do little, in a store."""
    folders = ["--out", str(store.root), "--cache", f"{folder}/cache"]
    if command is run:
        grid = ["--methods", "lsh", "--datasets", "synthetic", "--bits", "8", "--seeds", "2"]
        return [*grid, *folders, "--no-report"]
    if command is report:
        return [*folders, "--figures", "map_against_bits", "--format", "png"]
    if command is repro:
        return [str(next(store.runs.rglob("lsh/*.json"))), "--cache", f"{folder}/cache"]
    np.save(folder / "c.npy", np.random.default_rng(0).random((600, 8)) < 0.5)
    codes = ["--codes", f"{folder}/c.npy", "--dataset", "synthetic"] if command is score else []
    return [*codes, *folders, "--no-report"]


@pytest.mark.parametrize("command", [run, rescore, score, report, repro])
def test_every_command_that_writes_removes_what_the_dead_have_left(
    stored, tmp_path, monkeypatch, command
):
    monkeypatch.setattr("results.store.files.has_died", lambda pid: pid == 7)
    record = next(stored.runs.rglob("lsh/*.json"))
    half = record.with_name(f".{record.stem}.safetensors@{process_space()}-7-0123abcd.tmp")
    lease = record.with_name("8-9-abababab.lease")
    for path in (half, lease):
        path.touch()
    os.utime(lease, (0, 0))
    assert command.main(arguments_of(command, stored, tmp_path)) == 0
    assert not half.exists()
    assert not lease.exists()


def test_one_file_that_stays_does_not_keep_the_others(store, monkeypatch):
    path = store.save(make_record(), ARRAYS)
    leases = [path.with_name(f"16-{i}-abababab.lease") for i in range(3)]
    for lease in leases:
        lease.touch()
        os.utime(lease, (0, 0))
    rename = type(path).rename

    def refuse(self, target):
        if self == leases[0]:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", refuse)
    tidy(store)
    assert [lease.exists() for lease in leases] == [True, False, False]
