"""Rankings as counts: floats by cosine."""

import numpy as np
import pytest

from benchmarks.ranking import rank_floats


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


def test_equal_floats_share_a_level():
    b = np.array([[1.0, 0], [1, 0], [0, 1]])
    (stats,) = rank_floats([[1.0, 0]], [[1]], b, [[1], [0], [1]], device="cpu")
    assert stats.items.tolist() == [[2, 1, 0]]
    assert stats.relevant.tolist() == [[1, 1, 0]]


def test_float_ranking_refuses_non_finite_features():
    b = np.array([[1.0, 0], [np.nan, 0]])
    with pytest.raises(ValueError, match=r"database features must be finite, .* row 1"):
        next(rank_floats([[1.0, 0]], [[1]], b, [[1], [0]], device="cpu"))
