"""Arrays computed once, block by block, and kept on disk."""

import json
import os
import threading
import time

import numpy as np
import pytest

from datasets.files import disk
from datasets.files.disk import Arriving, Note, disk_array, disk_arrays
from datasets.progress import silent


def counting(values, size=4):
    """Blocks of some values, and the rows that they were asked to begin at."""
    asked = []

    def blocks(start):
        asked.append(start)
        for first in range(start, len(values), size):
            yield values[first : first + size]

    return blocks, asked


def test_an_array_is_computed_once(tmp_path):
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    blocks, asked = counting(values)
    for _ in range(2):
        stored = disk_array(tmp_path / "a/b", "numbers", 10, blocks)
        np.testing.assert_array_equal(stored.array, values)
        assert stored.path == tmp_path / "a/b.npy"
    assert asked == [0]
    assert stored.seconds == Note.read(tmp_path / "a/b.json").seconds > 0
    assert sorted(p.suffix for p in (tmp_path / "a").iterdir()) == [".json", ".lock", ".npy"]


@pytest.mark.parametrize("stop", [4, 8])
def test_a_pass_that_failed_goes_on_after_its_last_block(tmp_path, stop):
    values = np.arange(10)

    def failing(start):
        for first in range(start, 10, 4):
            if first == stop:
                raise OSError("no space left")
            yield values[first : first + 4]

    with pytest.raises(OSError, match="no space left"):
        disk_array(tmp_path / "x", "numbers", 10, failing)
    assert not (tmp_path / "x.npy").exists()
    blocks, asked = counting(values)
    assert disk_array(tmp_path / "x", "numbers", 10, blocks).array.tolist() == list(range(10))
    assert asked == [stop]


def test_an_unfinished_array_of_another_length_is_not_gone_on_with(tmp_path):
    blocks, _ = counting(np.arange(10))
    with pytest.raises(AssertionError):
        disk_array(tmp_path / "x", "numbers", 12, blocks)
    blocks, asked = counting(np.arange(10))
    assert disk_array(tmp_path / "x", "numbers", 10, blocks).array.tolist() == list(range(10))
    assert asked == [0]


def test_progress_begins_where_the_pass_begins(tmp_path):
    told = []
    blocks, _ = counting(np.arange(10))
    disk_array(tmp_path / "x", "numbers", 10, blocks, lambda *so_far: told.append(so_far))
    assert told == [("numbers", done, 10) for done in (0, 4, 8, 10)]


def test_memory_may_be_written_to_where_asked_and_the_file_stays(tmp_path):
    blocks, _ = counting(np.arange(10))
    stored = disk_array(tmp_path / "x", "numbers", 10, blocks, mode="c")
    stored.array[0] = 99
    assert np.load(tmp_path / "x.npy")[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        disk_array(tmp_path / "x", "numbers", 10, blocks).array[0] = 1


@pytest.mark.parametrize(
    "text", ["", "[]", '{"what": "x"}', '{"what": 1, "done": "x", "seconds": 0}']
)
def test_a_damaged_note_says_nothing(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert Note.read(tmp_path / "x.json") == Note()
    Note("x", 3, 0.5).write(tmp_path / "x.json")
    assert Note.read(tmp_path / "x.json") == Note("x", 3, 0.5)
    assert json.loads((tmp_path / "x.json").read_text())["done"] == 3


def test_room_for_the_whole_array_is_taken_before_the_first_block(tmp_path, monkeypatch):
    def full(number, start, length):
        raise OSError(28, "No space left on device")

    blocks, _ = counting(np.arange(10))
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        disk_array(tmp_path / "x", "numbers", 10, blocks)
    assert not list(tmp_path.glob("*.npy"))
    monkeypatch.undo()
    assert disk_array(tmp_path / "x", "numbers", 10, blocks).array.tolist() == list(range(10))


@pytest.mark.parametrize("has", [True, False])
def test_a_file_system_that_reserves_nothing_is_good_enough(tmp_path, monkeypatch, has):
    def unknown(number, start, length):
        raise OSError(95, "Operation not supported")

    if has:
        monkeypatch.setattr(os, "posix_fallocate", unknown, raising=False)
    else:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    blocks, _ = counting(np.arange(10))
    assert disk_array(tmp_path / "x", "numbers", 10, blocks).array.tolist() == list(range(10))


# ---- several arrays that one pass computes


def pairs(stop=10):
    """Blocks of four of ten numbers and of their squares, up to a row."""
    asked = []

    def blocks(start):
        asked.append(start)
        for first in range(start, 10, 4):
            if first == stop:
                raise OSError("no space left")
            rows = np.arange(first, min(first + 4, 10))
            yield rows, rows[:, None].astype(np.float32) ** 2

    return blocks, asked


def check(arrays):
    assert arrays[0].array.tolist() == list(range(10))
    assert arrays[1].array.tolist() == [[i * i] for i in range(10)]
    assert arrays[1].array.dtype == np.float32
    assert arrays[0].seconds == arrays[1].seconds > 0


def test_one_pass_computes_several_arrays(tmp_path):
    stems, told = [tmp_path / "b/numbers", tmp_path / "a/squares"], []
    blocks, asked = pairs()
    check(disk_arrays(stems, "both", 10, blocks, lambda *so_far: told.append(so_far)))
    check(disk_arrays(stems, "both", 10, blocks))
    assert asked == [0]
    assert told == [("both", done, 10) for done in (0, 4, 8, 10)]
    assert disk_array(stems[0], "numbers", 10, blocks).array[3] == 3


def test_a_pass_over_several_goes_on_where_the_last_of_them_stopped(tmp_path):
    stems = [tmp_path / "numbers", tmp_path / "squares"]
    with pytest.raises(OSError, match="no space left"):
        disk_arrays(stems, "both", 10, pairs(8)[0])
    note = tmp_path / "squares.json"
    note.write_text(note.read_text().replace('"done": 8', '"done": 4'))  # killed between two notes
    blocks, asked = pairs()
    check(disk_arrays(stems, "both", 10, blocks))
    assert asked == [4]


def test_what_was_computed_of_one_array_is_computed_again_for_two(tmp_path):
    def ones(start):
        yield np.ones(4, np.int64)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        disk_array(tmp_path / "numbers", "ones", 10, ones)
    blocks, asked = pairs()
    check(disk_arrays([tmp_path / "numbers", tmp_path / "squares"], "both", 10, blocks))
    assert asked == [0]


# ---- an array that is read while it is computed


class Gate:
    """Blocks of four of ten rows, each of which has to be let through."""

    def __init__(self):
        self.asked, self._let = [], threading.Semaphore(0)

    def open(self, n=1):
        self._let.release(n)

    def blocks(self, start):
        self.asked.append(start)
        for first in range(start, 10, 4):
            assert self._let.acquire(timeout=60)
            yield np.arange(first, min(first + 4, 10))


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open(9)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_rows_are_read_before_the_array_is_whole(tmp_path, gate):
    arriving = Arriving(tmp_path / "x", "numbers", 10, gate.blocks)
    gate.open()
    assert arriving.read(np.array([3, 0])).tolist() == [3, 0]
    assert not arriving.path.exists()
    read, got = threading.Event(), []

    def later():
        got.extend(arriving.read(np.array([5, 1])).tolist())
        read.set()

    threading.Thread(target=later).start()
    assert not read.wait(0.2)  # row 5 is not there yet
    gate.open()
    assert read.wait(60)
    assert got == [5, 1]
    gate.open()
    arriving.finish(silent)
    assert arriving.read(np.array([9])).tolist() == [9]
    assert np.load(arriving.path).tolist() == list(range(10))
    assert gate.asked == [0]


def test_what_is_on_disk_is_not_computed_again_while_it_is_read(tmp_path, gate):
    gate.open(3)
    disk_array(tmp_path / "x", "numbers", 10, gate.blocks)
    arriving = Arriving(tmp_path / "x", "numbers", 10, lambda start: pytest.fail("again"))
    assert arriving.read(np.array([9, 0])).tolist() == [9, 0]
    arriving.finish(lambda *told: pytest.fail("nothing was left to do"))


def test_an_error_is_raised_where_rows_are_waited_for_and_at_the_end(tmp_path):
    def failing(start):
        yield np.arange(4)
        raise OSError("broken file")

    arriving = Arriving(tmp_path / "x", "numbers", 10, failing)
    with pytest.raises(OSError, match="broken file"):
        arriving.read(np.array([4]))
    assert arriving.read(np.array([3])).tolist() == [3]
    with pytest.raises(OSError, match="broken file"):
        arriving.finish(silent)


def test_a_pass_that_is_stopped_frees_its_readers_and_goes_on_later(tmp_path, gate):
    arriving = Arriving(tmp_path / "x", "numbers", 10, gate.blocks)
    gate.open()
    arriving.read(np.array([0]))
    freed = []

    def read():
        try:
            arriving.read(np.array([9]))
        except Exception as error:
            freed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: gate._let._value == 0)
    gate.open()  # the block that it is at
    arriving.stop()
    reader.join(60)
    assert [str(error) for error in freed] == ["the pass was given up"]
    assert not arriving._thread.is_alive()
    assert not arriving.path.exists()
    gate.open(3)
    again = Arriving(tmp_path / "x", "numbers", 10, gate.blocks)
    assert again.read(np.arange(10)).tolist() == list(range(10))
    assert gate.asked == [0, 8]


def test_who_waits_for_the_rest_is_told_how_far_it_is(tmp_path, gate):
    arriving, told = Arriving(tmp_path / "x", "numbers", 10, gate.blocks), []

    def progress(*so_far):
        told.append(so_far)
        gate.open()

    arriving.finish(progress)
    assert told == [("numbers", done, 10) for done in (0, 4, 8)]


def test_a_pass_that_waits_for_another_process_is_given_up_at_once(tmp_path, gate, monkeypatch):
    monkeypatch.setattr(disk, "_PATIENCE", 0.1)
    with disk.FileLock(tmp_path / "x.lock"):
        arriving = Arriving(tmp_path / "x", "numbers", 10, gate.blocks)
        start = time.monotonic()
        arriving.stop()
        assert time.monotonic() - start < 5
        assert arriving._thread.is_alive()
    arriving._thread.join(60)
    assert gate.asked == []
