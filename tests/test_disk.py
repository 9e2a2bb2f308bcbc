"""Arrays computed once, block by block, and kept on disk."""

import json
import os

import numpy as np
import pytest

from datasets.files.disk import Note, disk_array, disk_arrays


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
