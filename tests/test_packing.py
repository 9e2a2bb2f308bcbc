"""Matrices of bits, packed from every form that holds two values."""

import numpy as np
import pytest
import torch

from benchmarks.evaluation.packing import PackedBits, pack_on_device

FORMS = {
    "bool": lambda x: x,
    "0/1": lambda x: x.astype(np.int64),
    "-1/+1": lambda x: np.where(x, 1.0, -1.0),
    "tensor": torch.tensor,
    "signs in a tensor": lambda x: torch.tensor(x).half() * 2 - 1,
    "columns": np.asfortranarray,
    "lists": lambda x: x.astype(int).tolist(),
    "packed": lambda x: PackedBits(np.packbits(x, axis=1), x.shape[1]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", [1, 7, 8, 9, 64, 130])
def test_every_form_packs_as_numpy_packs_booleans(monkeypatch, form, width):
    monkeypatch.setattr("benchmarks.evaluation.packing.PIECE", 4)
    matrix = np.random.default_rng(width).random((11, width)) < 0.5
    packed = PackedBits.of(FORMS[form](matrix))
    np.testing.assert_array_equal(packed.rows, np.packbits(matrix, axis=1))
    np.testing.assert_array_equal(packed.unpack(), matrix)
    np.testing.assert_array_equal(packed.unpack_on("cpu").numpy(), matrix)
    on_device = pack_on_device(torch.tensor(matrix))
    assert on_device.dtype == torch.uint8
    np.testing.assert_array_equal(on_device.numpy(), packed.rows)


@pytest.mark.gpu
def test_a_tensor_on_a_gpu_packs_as_on_the_cpu():
    matrix = torch.rand(300, 61) < 0.5
    np.testing.assert_array_equal(PackedBits.of(matrix.cuda()).rows, PackedBits.of(matrix).rows)


def test_no_rows_stay_no_rows():
    assert PackedBits.of(np.zeros((0, 9))).shape == (0, 9)


def test_pieces_put_together_are_the_whole():
    whole = PackedBits.of(np.random.default_rng(0).random((9, 13)) < 0.5)
    again = PackedBits.concatenate([whole[:2], whole[2:2], whole[2:]])
    np.testing.assert_array_equal(again.rows, whole.rows)
    with pytest.raises(ValueError, match=r"parts must be of one width, got \[12, 13\]"):
        PackedBits.concatenate([whole, PackedBits.of(np.eye(12))])


def test_rows_that_change_from_zeros_to_minus_ones_are_named(monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.packing.PIECE", 2)
    ones, zeros = np.ones((3, 2), int), np.eye(2, dtype=int)
    PackedBits.of(np.concatenate([ones, zeros, ones]))
    with pytest.raises(ValueError, match="got -1 in row 5, column 1"):
        PackedBits.of(np.concatenate([ones, zeros, 2 * zeros - 1]))
    with pytest.raises(ValueError, match="got 0 in row 5, column 1"):
        PackedBits.of(np.concatenate([ones, 2 * zeros - 1, zeros]))


def test_columns_that_are_set_are_counted_in_each_row():
    matrix = np.random.default_rng(0).random((5, 300)) < 0.4
    np.testing.assert_array_equal(PackedBits.of(matrix).counts(), matrix.sum(1))


def test_words_hold_the_rows_and_zeros():
    packed = PackedBits.of(np.ones((2, 21)))
    words = packed.words(np.uint32)
    assert words.view(np.uint8).tolist() == [[255, 255, 0b11111000, 0]] * 2
