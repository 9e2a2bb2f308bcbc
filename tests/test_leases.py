"""Two runners never work on one cell, and a dead one's cell is taken over."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time

import pytest

from results.store import leases
from results.store.files import process_space, temporary
from results.store.leases import Lease, read_lease


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "16-0-abababab.lease"


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_lease_is_granted_once(path):
    with Lease.acquire(path) as lease:
        assert Lease.acquire(path) is None
        assert read_lease(path).pid == os.getpid()
        assert lease.path == path
    assert not path.exists()
    with Lease.acquire(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_a_stale_lease_is_taken_over(path):
    dead = Lease.acquire(path)
    age(path, leases.STALE + 1)
    assert read_lease(path) is None
    with Lease.acquire(path):
        token = leases._token(path)
        dead.release()  # it was not dead after all: the other's lease stays
        assert leases._token(path) == token


def test_the_lease_of_a_killed_process_of_this_machine_is_stale_at_once(path):
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    process.join()
    path.parent.mkdir()
    holder = leases.Holder("here", process.pid, "dead", time.time(), space=process_space())
    path.write_text(leases.json.dumps(leases.asdict(holder)))
    assert read_lease(path) is None
    with Lease.acquire(path) as lease:
        assert lease is not None


@pytest.mark.parametrize("ahead", [-leases.STALE - 1, leases.STALE + 1])
def test_a_lease_that_nobody_renews_is_stale_whatever_the_clock_of_its_holder(path, ahead):
    lease = Lease.acquire(path)
    age(path, -ahead)
    assert read_lease(path) is None
    with Lease.acquire(path) as other:
        assert other is not None
    lease.release()


IN_ANOTHER_CONTAINER = """
import sys
from pathlib import Path
from results.store.files import remove_left_behind
from results.store.leases import Lease
assert Lease.acquire(Path(sys.argv[1])) is None
remove_left_behind(Path(sys.argv[1]).parent)
"""


def test_a_holder_in_another_container_of_this_host_is_not_taken_for_dead(path):
    """It has the same host name, and a process number that nobody has over there."""
    enter = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*enter, "true"], check=False).returncode:
        pytest.skip("needs the right to make a PID namespace")
    with Lease.acquire(path):
        half = temporary(path)
        half.write_bytes(b"half a record")
        command = [*enter, sys.executable, "-c", IN_ANOTHER_CONTAINER, str(path)]
        subprocess.run(command, check=True)
        assert half.exists()


@pytest.mark.parametrize(
    "damage", [{"pid": "7"}, {"pid": 10**30}, {"token": 1}, {"since": None}, {"more": 1}]
)
def test_a_lease_that_was_edited_lasts_until_it_is_stale(path, damage):
    path.parent.mkdir()
    told = {"host": "here", "pid": 7, "token": "t", "since": 0, "space": process_space()}
    path.write_text(leases.json.dumps(told | damage))
    assert Lease.acquire(path) is None
    age(path, leases.STALE + 1)
    with Lease.acquire(path) as lease:
        assert lease is not None


def test_a_fresh_lease_that_was_moved_by_mistake_is_put_back(path, monkeypatch):
    dead = Lease.acquire(path)
    age(path, leases.STALE + 1)
    rename = type(path).rename

    def too_late(self, target):
        """Between the look at the stale lease and the move, another process takes it over."""
        monkeypatch.setattr(type(path), "rename", rename)
        self.unlink()
        assert leases._create(path, leases.Holder("elsewhere", 1, "fresh", time.time()))
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", too_late)
    assert Lease.acquire(path) is None
    assert read_lease(path).token == "fresh"
    dead.release()
    assert read_lease(path).token == "fresh"


def test_a_holder_renews_its_lease_and_tells_what_it_does(path, monkeypatch):
    monkeypatch.setattr(leases, "RENEW", 0.02)
    with Lease.acquire(path) as lease:
        age(path, 1000)
        lease.tell("epoch 3/10")
        deadline = time.monotonic() + 10
        while (holder := read_lease(path)) is None or not holder.doing:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert holder.doing == "epoch 3/10"


def test_a_damaged_lease_lasts_until_it_is_stale(path):
    path.parent.mkdir()
    path.write_text("{")
    assert Lease.acquire(path) is None
    age(path, leases.STALE + 1)
    with Lease.acquire(path) as lease:
        assert lease is not None


def contend(path, barrier, results):
    barrier.wait()
    lease = Lease.acquire(path)
    results.put(lease is not None)
    barrier.wait()


@pytest.mark.parametrize("is_stale", [False, True])
def test_of_many_processes_one_gets_the_lease(path, is_stale):
    if is_stale:
        path.parent.mkdir()
        path.write_text("{}")
        age(path, leases.STALE + 1)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    workers = [context.Process(target=contend, args=(path, barrier, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    granted = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(granted) == 1


class Full:
    """A file on a disk without room."""

    def __init__(self, path):
        path.touch()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_leaves_no_lease_behind(path, monkeypatch):
    monkeypatch.setattr(type(path), "open", lambda self, mode: Full(self))
    with pytest.raises(OSError, match="No space left"):
        Lease.acquire(path)
    monkeypatch.undo()
    assert list(path.parent.iterdir()) == []


def test_a_holder_shows_that_it_lives_on_a_full_disk_too(path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(leases, "RENEW", 0.02)
    monkeypatch.setattr(leases, "write_atomic", full)
    with Lease.acquire(path):
        age(path, 1000)
        deadline = time.monotonic() + 10
        while read_lease(path) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_lease_in_a_folder_that_may_only_be_read_is_seen(path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    with Lease.acquire(path):
        monkeypatch.setattr(type(path), "touch", refuse)
        assert read_lease(path).pid == os.getpid()
        age(path, leases.STALE + 1)
        assert read_lease(path) is None
        monkeypatch.undo()
