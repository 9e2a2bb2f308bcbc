"""Health of codes: cases worked on paper, NumPy as the oracle, and codes that are not healthy."""

import numpy as np
import pytest
import torch

from benchmarks.evaluation import health
from benchmarks.evaluation.health import code_health
from benchmarks.evaluation.packing import PackedBits


def random_codes(n=500, bits=24, share=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, bits)) < rng.uniform(share, 1 - share, bits)


def test_numpy_agrees_on_random_codes():
    codes = random_codes(bits=21, share=0.05)  # no multiple of the word size
    found = code_health(codes)
    np.testing.assert_allclose(found.activation, codes.mean(0), rtol=1e-15)
    p = codes.mean(0)
    np.testing.assert_allclose(found.entropy, -p * np.log2(p) - (1 - p) * np.log2(1 - p))
    correlation = np.abs(np.corrcoef(codes.T.astype(float)))
    assert found.correlation == pytest.approx(correlation[np.triu_indices(21, 1)].mean())


@pytest.mark.parametrize("bits", [1, 4, 16, 17, 40])
def test_buckets_are_the_unique_rows(bits):
    codes = random_codes(n=70, bits=bits) & (np.arange(bits) >= bits - 4)  # all in the last word
    _, sizes = np.unique(codes, axis=0, return_counts=True)
    found = code_health(codes)
    assert (found.n_distinct, found.largest_bucket) == (len(sizes), sizes.max())


def test_a_bit_is_dead_where_one_code_in_a_hundred_differs():
    codes = np.zeros((200, 4), bool)
    codes[:2, 0], codes[:3, 1], codes[:, 2], codes[2:, 3] = True, True, True, True
    assert code_health(codes).n_dead == 3  # bit 1 is alive: three of 200


def test_a_case_worked_on_paper():
    """Bits 0 and 1 are opposites, bit 2 is independent of both: correlations 1, 0, 0."""
    codes = np.array([[0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]], bool)
    found = code_health(codes)
    assert found.correlation == pytest.approx(1 / 3)
    assert found.metrics() == {
        "bits.activation": 0.5,
        "bits.entropy": 1.0,
        "bits.correlation": found.correlation,
        "codes.dead_bits": 0.0,
        "codes.distinct": 4.0,
        "codes.largest_bucket": 1.0,
    }
    assert found.curve() == {
        "bit": [0.0, 1.0, 2.0],
        "activation": [0.5, 0.5, 0.5],
        "entropy": [1.0, 1.0, 1.0],
    }


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("bits", [1, 3])
def test_collapsed_codes_are_as_unhealthy_as_can_be(bits, value):
    found = code_health(np.full((10, bits), value))
    assert found.activation.tolist() == [float(value)] * bits
    assert found.entropy.tolist() == [0.0] * bits
    assert not np.signbit(found.entropy).any()
    assert found.correlation == 1.0
    assert (found.n_distinct, found.largest_bucket) == (1, 10)


def test_a_constant_bit_counts_as_a_copy_of_each_other():
    """Of three pairs, two hold the constant bit; the two others are independent."""
    codes = np.array([[0, 1, 0], [0, 1, 1], [1, 1, 0], [1, 1, 1]], bool)
    assert code_health(codes).correlation == pytest.approx(2 / 3)


def test_one_bit_that_varies_has_nothing_to_be_correlated_with():
    assert code_health(np.array([[True], [False]])).correlation == 0


def test_order_of_codes_and_size_of_pieces_do_not_matter(monkeypatch):
    codes = random_codes()
    whole = code_health(codes)
    monkeypatch.setattr(health, "_ROWS", 7)
    again = code_health(codes[np.random.default_rng(1).permutation(len(codes))])
    assert again.metrics() == whole.metrics()
    assert again.curve() == whole.curve()


def test_flipping_a_bit_changes_its_activation_alone():
    codes = random_codes()
    flip = np.arange(codes.shape[1]) == 3
    before, after = code_health(codes), code_health(codes ^ flip)
    assert after.activation[3] == pytest.approx(1 - before.activation[3])
    np.testing.assert_allclose(after.entropy, before.entropy, rtol=1e-12)
    assert after.correlation == pytest.approx(before.correlation)
    assert after.n_distinct == before.n_distinct


def test_tensors_packed_and_read_only_arrays_give_the_same_and_stay_as_they_are():
    codes = random_codes()
    copy = codes.copy()
    codes.flags.writeable = False
    forms = codes, torch.tensor(codes), PackedBits.of(codes)
    first, *others = (code_health(form).metrics() for form in forms)
    assert others == [first, first]
    np.testing.assert_array_equal(codes, copy)


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((3, 4)),
        torch.zeros(3, 4),
        np.zeros(4, bool),
        np.zeros((0, 4), bool),
        np.zeros((3, 0), bool),
    ],
)
def test_what_is_no_set_of_codes_is_refused(codes):
    with pytest.raises(ValueError, match="code_health: expected a bool matrix"):
        code_health(codes)
