"""Arrays computed once, block by block, and kept on disk."""

import json
import os

import numpy as np
import pytest

from datasets.disk import Note, disk_array


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
