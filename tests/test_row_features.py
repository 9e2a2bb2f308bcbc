"""Features in one array or several, handed out as float32 without lying in memory."""

import numpy as np
import pytest
import torch

from benchmarks.evaluation.neighbours import find_neighbours
from datasets.digests import tensor_digest
from datasets.features import Features, equal_rows

RNG = np.random.default_rng(0)
PARTS = [
    RNG.integers(0, 255, (50, 6), np.uint8),
    RNG.normal(size=(7, 6)).astype(np.float16),
    RNG.normal(size=(20, 6)).astype(np.float32),
]
WHOLE = torch.from_numpy(np.concatenate([part.astype(np.float32) for part in PARTS]))


@pytest.mark.parametrize(
    "rows", [[3, 60, 51, 3], [0, 1], [76], [57, 58], []], ids=["all", "1st", "3rd", "same", "none"]
)
def test_rows_are_those_of_the_arrays_below_each_other(rows):
    features = Features(*PARTS)
    assert features.shape == WHOLE.shape
    chosen = torch.tensor(rows, dtype=torch.int64)
    assert torch.equal(features[chosen], WHOLE[chosen])
    assert torch.equal(features[10:60], WHOLE[10:60])
    assert torch.equal(features.select(torch.arange(77).flip(0))[1:3], WHOLE.flip(0)[1:3])
    assert torch.equal(torch.cat(list(features.blocks())), WHOLE)


def test_one_array_has_the_digest_of_itself_whatever_it_lies_in():
    for part in PARTS:
        assert tensor_digest(Features(part)) == tensor_digest(torch.from_numpy(part))
    assert tensor_digest(Features(*PARTS)) == tensor_digest(WHOLE)


def test_a_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", PARTS[0])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="c")
    assert Features(mapped).parts[0].data_ptr() == mapped.ctypes.data
    read_only = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert torch.equal(Features(read_only)[:], WHOLE[:50])


def test_other_types_become_float32_or_are_refused():
    for kind in (np.float64, np.int32, ">f4"):
        assert torch.equal(Features(PARTS[0].astype(kind))[:], WHOLE[:50])
    assert torch.equal(Features(WHOLE.bfloat16())[:], WHOLE.bfloat16().float())
    with pytest.raises(ValueError, match=r"got torch.float64 \(2, 3\)"):
        Features(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"got torch.float32 \(2, 4\)"):
        Features(torch.zeros(2, 3), torch.zeros(2, 4))


def test_rows_that_are_not_finite_are_named(monkeypatch):
    monkeypatch.setattr("datasets.features._NUMBERS", 12)
    x = PARTS[2].copy()
    x[3, 1], x[19, 0] = np.nan, np.inf
    assert Features(PARTS[0], x).not_finite().tolist() == [53, 69]
    assert Features(PARTS[0]).not_finite().tolist() == []


def test_equal_rows_are_found_across_arrays_and_types(monkeypatch):
    monkeypatch.setattr("datasets.features._NUMBERS", 12)
    asked = PARTS[0][[4, 9, 11]].astype(np.float32)
    asked[2, 0] += 0.5
    base = np.concatenate([PARTS[0], PARTS[0][4:5]])
    features = Features(base, asked)
    among = torch.arange(51).flip(0)
    assert equal_rows(features, [51, 52, 53], among) == {51: 50, 52: 9}
    assert equal_rows(features, [], among) == {}


@pytest.mark.parametrize("distance", ["l2", "cosine", "ip"])
def test_neighbours_are_the_same_block_by_block(distance, monkeypatch):
    features = Features(*(RNG.integers(1, 9, (n, 5), np.uint8) for n in (500, 20)))
    query, database = features[500:520], torch.arange(500).flip(0)
    whole = find_neighbours(query, features[database], 7, distance)
    monkeypatch.setattr("benchmarks.evaluation.neighbours._BLOCK", 13)
    parts = find_neighbours(query, features.select(database), 7, distance)
    for name in ("rows", "distances", "starts"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert len(whole.rows) > 20 * 7 or distance == "cosine"  # small whole numbers tie


def test_zero_rows_of_all_blocks_are_counted(monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.neighbours._BLOCK", 4)
    x = torch.ones(10, 3)
    x[[3, 8]] = 0
    with pytest.raises(ValueError, match="2 of the database are zero, the first is row 3"):
        find_neighbours(torch.ones(1, 3), x, 1, "cosine")
