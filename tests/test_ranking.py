"""The ranking of floats by cosine."""

import numpy as np
import pytest

from benchmarks.evaluation.float_ranking import rank_floats


def test_float_ranking_is_the_sorted_cosine():
    rng = np.random.default_rng(0)
    q, b = rng.normal(size=(5, 8)).astype("f"), rng.normal(size=(40, 8)).astype("f")
    q_labels, b_labels = np.eye(3)[rng.integers(0, 3, 5)], np.eye(3)[rng.integers(0, 3, 40)]
    (stats,) = rank_floats(q, q_labels, b, b_labels, device="cpu")
    cosine = (q / np.linalg.norm(q, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T
    order = np.argsort(-cosine, axis=1)
    expected = np.take_along_axis((q_labels @ b_labels.T > 0), order, 1)
    assert not stats.hamming
    np.testing.assert_array_equal(stats.items, np.ones((5, 40)))
    np.testing.assert_array_equal(stats.relevant, expected)


def test_reversed_arrays_rank_the_same():
    """NumPy turns rows round without a copy; torch takes no negative strides."""
    rng = np.random.default_rng(0)
    given = [rng.random(size) for size in ((3, 8), (3, 4), (20, 8), (20, 4))]
    given[1::2] = [labels < 0.3 for labels in given[1::2]]
    turned = [x[::-1].copy()[::-1] for x in given]
    (expected,), (got,) = (rank_floats(*form, device="cpu") for form in (given, turned))
    np.testing.assert_array_equal(got.relevant, expected.relevant)


def test_equal_floats_share_a_level():
    b = np.array([[1.0, 0], [1, 0], [0, 1]])
    (stats,) = rank_floats([[1.0, 0]], [[1]], b, [[1], [0], [1]], device="cpu")
    assert stats.items.tolist() == [[2, 1, 0]]
    assert stats.relevant.tolist() == [[1, 1, 0]]


def test_float_ranking_refuses_non_finite_features():
    b = np.array([[1.0, 0], [np.nan, 0]])
    with pytest.raises(ValueError, match=r"database features must be finite, .* row 1"):
        next(rank_floats([[1.0, 0]], [[1]], b, [[1], [0]], device="cpu"))


@pytest.mark.parametrize("similarity", ["shared", "exponential", np.array([[1, 0.5], [0.5, 1]])])
def test_float_ranking_sums_gains_by_level(similarity):
    """Two items at equal similarity, then one: gains of a level are summed."""
    features = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels = np.array([[1, 1], [1, 0], [0, 1]], dtype=bool)
    query = np.array([[1, 0], [1, 1]], dtype=bool)
    (stats,) = rank_floats(
        features[:2], query, features, labels, similarity=similarity, device="cpu"
    )
    if isinstance(similarity, str):
        worth = {"shared": [[1, 1, 0], [2, 1, 1]], "exponential": [[1, 1, 0], [3, 1, 1]]}[
            similarity
        ]
    else:
        worth = [[1, 1, 0.5], [1, 1, 1]]
    worth = np.array(worth, dtype=float)
    expected = np.stack([worth[:, 0] + worth[:, 1], worth[:, 2], [0, 0]], axis=1)
    np.testing.assert_array_equal(stats.gain, expected)
    for row, values in zip(worth, stats.grades.items, strict=True):
        assert sorted(row) == sorted(np.repeat(stats.grades.values, values))


def test_arrays_that_run_backwards_are_ranked_as_their_copies():
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(30, 4)).astype(np.float32), rng.random((30, 3)) < 0.5
    query = x[:7], labels[:7]
    (turned,) = rank_floats(*query, x[::-1], labels[::-1])
    (copied,) = rank_floats(*query, x[::-1].copy(), labels[::-1].copy())
    np.testing.assert_array_equal(turned.relevant, copied.relevant)


def test_read_only_features_are_ranked(recwarn):
    x = np.random.default_rng(6).normal(size=(9, 4)).astype(np.float32)
    x.flags.writeable = False
    labels = np.ones((9, 1), bool)
    assert sum(len(stats.items) for stats in rank_floats(x, labels, x, labels)) == 9
