"""Temporary files of processes that died are removed, and those of living ones stay."""

import os
import socket
import subprocess
import sys
import time

import pytest

from results.store import files
from results.store.files import remove_left_behind, temporary, write_atomic


@pytest.fixture(scope="module")
def dead():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left_by(folder, pid, host=None, name="a.json"):
    path = folder / f".{name}@{host or socket.gethostname()}-{pid}-0123abcd.tmp"
    path.write_bytes(b"half")
    return path


def test_a_temporary_file_of_a_dead_process_is_removed(tmp_path, dead):
    path = left_by(tmp_path, dead)
    remove_left_behind(tmp_path)
    assert not path.exists()


def test_what_is_in_use_or_unknown_stays(tmp_path, dead):
    kept = [
        left_by(tmp_path, os.getpid()),
        left_by(tmp_path, dead, host="elsewhere"),
        tmp_path / ".theirs.tmp",
        tmp_path / ".the-irs-0.tmp",
        tmp_path / f"a@{socket.gethostname()}-{dead}-0123abcd.tmp",
    ]
    for path in kept:
        path.write_bytes(b"")
    remove_left_behind(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_file_of_another_machine_is_removed_after_a_day(tmp_path):
    path = left_by(tmp_path, 1, host="elsewhere")
    long_ago = time.time() - files._FORGOTTEN - 60
    os.utime(path, (long_ago, long_ago))
    remove_left_behind(tmp_path)
    assert not path.exists()


def test_hosts_with_dashes_are_told_apart(tmp_path, dead, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "node-7.cluster")
    own, other = left_by(tmp_path, dead), left_by(tmp_path, dead, host="x.node-7.cluster")
    remove_left_behind(tmp_path)
    assert not own.exists()
    assert other.exists()


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
