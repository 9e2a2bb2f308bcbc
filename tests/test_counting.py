"""Counts per Hamming distance: the counters of each device against the plainest ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.evaluation.counters.any_device import count_torch, gain_torch
from benchmarks.evaluation.counters.cpu import PLANES_BYTES, WORDS, count_numba
from benchmarks.evaluation.counters.cpu_gains import gain_numba
from benchmarks.evaluation.packing import PackedBits
from tests.code_factory import both, codes
from tests.plain_counts import count_numpy, gain_numpy

FEW = settings(max_examples=40, deadline=None)


@st.composite
def problems(draw):
    bits = draw(st.one_of(st.integers(1, 200), st.sampled_from([15, 16, 17, 64, 128, 1024])))
    classes = draw(st.one_of(st.integers(1, 130), st.sampled_from([16, 17, 1024])))
    seed = draw(st.integers(0, 2**32 - 1))
    n_query, n_database = draw(st.integers(1, 9)), draw(st.integers(0, 60))
    return codes(n_query, bits, classes, seed), codes(n_database, bits, classes, seed + 1)


@given(problems())
@FEW
def test_counters_agree_to_the_digit_with_the_plainest(problem):
    oracle = count_numpy(*both(*problem))
    for counts in (count_numba(*both(*problem)), count_torch(*both(*problem))):
        for got, expected in zip(counts, oracle, strict=True):
            assert got.dtype == np.int64
            np.testing.assert_array_equal(got, expected)


@pytest.mark.gpu
@given(problems())
@FEW
def test_cuda_counts_the_same(problem):
    oracle = count_numpy(*both(*problem))
    counts = count_torch(*both(*problem), device="cuda")
    for got, expected in zip(counts, oracle, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("bits", [1, 7, 8, 127, 128, 1023, 1024])
@pytest.mark.parametrize("classes", [1, 8, 1024])
def test_the_shortest_and_longest_codes_and_labels(bits, classes):
    """With the far ends of the distances and of the labels: equal, opposite, all and none."""
    (query, q_labels), (items, labels) = codes(5, bits, classes, 0), codes(70, bits, classes, 1)
    items[0], items[1], items[2], items[3] = query[0], ~query[0], True, False
    labels[:2], q_labels[0], q_labels[1] = True, True, False
    problem = both((query, q_labels), (items, labels))
    for counts in (count_numba(*problem), count_torch(*problem)):
        for got, expected in zip(counts, count_numpy(*problem), strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("bits", "block"), [(32, 64 * WORDS), (1024, 8 * PLANES_BYTES // 1024)])
@pytest.mark.parametrize("beyond", [-65, -1, 0, 1, 64, 9001])
def test_block_edges_of_the_kernel_lose_nothing(bits, block, beyond):
    problem = both(codes(3, bits, 10, 0), codes(block + beyond, bits, 10, 1))
    for got, expected in zip(count_numba(*problem), count_numpy(*problem), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("n", [4095, 4096, 4097, 9001])
def test_block_edges_of_the_gain_kernel_lose_nothing(n):
    (query, _), (items, _) = codes(3, 32, 1, 0), codes(n, 32, 1, 1)
    sets = np.zeros(3, int), np.arange(n) % 3
    packed = map(PackedBits.of, (query, items))
    problem = (*packed, *sets, np.array([[0.25, 0.5, 1]]))
    np.testing.assert_array_equal(gain_numba(*problem), gain_numpy(*problem))


@given(problems(), st.integers(1, 4))
@FEW
def test_gains_agree_with_the_plainest(problem, n_sets):
    (query, _), (database, _) = problem
    rng = np.random.default_rng(0)
    table = rng.integers(0, 2**26, (n_sets, n_sets)) / 2**26
    query_set, item_set = (rng.integers(0, n_sets, len(x)) for x in (query, database))
    problem = (PackedBits.of(query), PackedBits.of(database), query_set, item_set, table)
    oracle = gain_numpy(*problem)
    np.testing.assert_array_equal(gain_numba(*problem), oracle)
    np.testing.assert_array_equal(gain_torch(*problem), oracle)


def test_memory_maps_and_reversed_rows_count_the_same_on_every_device(tmp_path):
    """NumPy turns rows round without a copy; torch takes no negative strides."""
    problem = both(codes(7, 21, 5, 0), codes(300, 21, 5, 1))
    maps, turned = [], []
    for i, matrix in enumerate(problem):
        np.save(tmp_path / f"{i}.npy", matrix.rows)
        maps.append(PackedBits(np.load(tmp_path / f"{i}.npy", mmap_mode="r"), matrix.width))
        turned.append(PackedBits(matrix.rows[::-1].copy()[::-1], matrix.width))
    for form in (maps, turned):
        for count in (count_numba, count_torch):
            for got, expected in zip(count(*form), count_numpy(*problem), strict=True):
                np.testing.assert_array_equal(got, expected)
    sets = np.arange(7)[::-1] % 3, np.arange(300)[::-1] % 3
    gains = (turned[0], turned[2], *sets, np.array([[0.25, 0.5, 1]])[:, ::-1].repeat(3, 0))
    np.testing.assert_array_equal(gain_torch(*gains), gain_numpy(*gains))
