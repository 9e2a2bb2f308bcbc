"""Temporary files of processes that died are removed, and those of living ones stay."""

import os
import subprocess
import sys
import time

import pytest

from results.store import files
from results.store.files import process_space, remove_left_behind, temporary, write_atomic


@pytest.fixture(scope="module")
def dead():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left_by(folder, pid, space=None, name="a.json"):
    path = folder / f".{name}@{space or process_space()}-{pid}-0123abcd.tmp"
    path.write_bytes(b"half")
    return path


def test_a_temporary_file_of_a_dead_process_is_removed(tmp_path, dead):
    path = left_by(tmp_path, dead)
    remove_left_behind(tmp_path)
    assert not path.exists()


def test_what_is_in_use_or_unknown_stays(tmp_path, dead):
    kept = [
        left_by(tmp_path, os.getpid()),
        left_by(tmp_path, dead, space="e15e1e15e1e1"),
        tmp_path / ".theirs.tmp",
        tmp_path / ".the-irs-0.tmp",
        tmp_path / f"a@{process_space()}-{dead}-0123abcd.tmp",
        left_by(tmp_path, 10**30),
    ]
    for path in kept:
        path.write_bytes(b"")
    remove_left_behind(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_file_of_another_machine_is_removed_after_a_day_or_dated_a_day_ahead(tmp_path, days):
    path = left_by(tmp_path, 1, space="e15e1e15e1e1")
    then = time.time() + days * (files._FORGOTTEN + 60)
    os.utime(path, (then, then))
    remove_left_behind(tmp_path)
    assert not path.exists()


def test_a_temporary_name_is_hidden_and_its_own(tmp_path):
    one, other = temporary(tmp_path / "a"), temporary(tmp_path / "a")
    assert one != other
    assert one.name.startswith(".a@")


def test_a_write_that_a_kill_ends_leaves_what_is_swept(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from results.store.files import write_atomic; "
        "os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL); "
        "write_atomic(Path(sys.argv[1]), b'new')"
    )
    target = tmp_path / "a.json"
    write_atomic(target, b"old")
    done = subprocess.run([sys.executable, "-c", code, str(target)], cwd=".", check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 2
    remove_left_behind(tmp_path)
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"old"
