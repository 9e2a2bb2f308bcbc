"""A results folder after processes have died over it."""

import os
import socket

import pytest

from results.store.leases import Lease
from results.store.leftovers import tidy
from results.store.store import ResultStore
from tests.record_factory import ARRAYS, make_record


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "out")


def test_what_the_dead_have_left_is_tidied_and_no_more(store, monkeypatch):
    monkeypatch.setattr("results.store.files.has_died", lambda pid: pid == 7)
    path = store.save(make_record(), ARRAYS)
    half = f"@{socket.gethostname()}-7-0123abcd.tmp"
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
