"""The ranking of floats by cosine, by inner product and by Jaccard's index."""

from fractions import Fraction

import numpy as np
import pytest

from benchmarks.evaluation.counts import Codes, evaluate
from benchmarks.evaluation.float_ranking import rank_floats
from benchmarks.evaluation.graded_metrics import ndcg
from benchmarks.evaluation.metrics import average_precision, recall_at


def by_rank(counts, stats):
    """The mean over the items of a level, for each item."""
    return [
        np.repeat(row[items > 0] / items[items > 0], items[items > 0])
        for row, items in zip(counts, stats.items, strict=True)
    ]


def test_float_ranking_is_the_sorted_cosine():
    rng = np.random.default_rng(0)
    q, b = rng.normal(size=(5, 8)).astype("f"), rng.normal(size=(40, 8)).astype("f")
    q_labels, b_labels = np.eye(3)[rng.integers(0, 3, 5)], np.eye(3)[rng.integers(0, 3, 40)]
    (stats,) = rank_floats(q, q_labels, b, b_labels, device="cpu")
    cosine = (q / np.linalg.norm(q, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T
    order = np.argsort(-cosine, axis=1)
    expected = np.take_along_axis((q_labels @ b_labels.T > 0), order, 1)
    assert not stats.hamming
    np.testing.assert_array_equal(by_rank(stats.relevant, stats), expected)
    runs = 1 + (expected[:, 1:] != expected[:, :-1]).sum(1)
    np.testing.assert_array_equal((stats.items > 0).sum(1), runs)


def test_reversed_arrays_rank_the_same():
    """NumPy turns rows round without a copy; torch takes no negative strides."""
    rng = np.random.default_rng(0)
    given = [rng.random(size) for size in ((3, 8), (3, 4), (20, 8), (20, 4))]
    given[1::2] = [labels < 0.3 for labels in given[1::2]]
    turned = [x[::-1].copy()[::-1] for x in given]
    (expected,), (got,) = (rank_floats(*form, device="cpu") for form in (given, turned))
    np.testing.assert_array_equal(got.relevant, expected.relevant)


def test_equal_floats_share_a_level():
    b = np.array([[1.0, 0], [1, 0], [0, 1], [-1, 1], [-1, 1], [-1, 0], [-1, 0]])
    labels = [[1], [0], [1], [1], [1], [1], [0]]
    (stats,) = rank_floats([[1.0, 0]], [[1]], b, labels, device="cpu")
    assert stats.items.tolist() == [[2, 3, 2]]
    assert stats.relevant.tolist() == [[1, 3, 1]]


@pytest.mark.parametrize("n", [5, 6, 7, 9, 10, 11, 22, 50])
@pytest.mark.parametrize("size", [4, 16, 64, 432, 1280])
def test_items_of_the_same_features_tie_wherever_they_lie(n, size):
    """One relevant item among n equal ones: AP is the mean of 1 / rank."""
    rng = np.random.default_rng(n)
    x, q = rng.normal(size=(1, size)).astype("f"), rng.normal(size=(8, size)).astype("f")
    others = rng.normal(size=(7, size)).astype("f")
    labels = np.zeros((n, 1), bool)
    labels[rng.integers(n)] = True
    stats = whole(rank_floats(q, np.ones((8, 1)), x.repeat(n, 0), labels, device="cpu"))
    assert average_precision(stats) == pytest.approx([(1 / np.arange(1, n + 1)).mean()] * 8)
    place = rng.permutation(n + 7)
    mixed, labels = np.r_[x.repeat(n, 0), others][place], np.r_[labels, np.zeros((7, 1), bool)]
    stats = whole(rank_floats(q, np.ones((8, 1)), mixed, labels[place], device="cpu"))
    before = (cosine(q, others) > cosine(q, x)).sum(1)
    expected = [(1 / np.arange(t + 1, t + n + 1)).mean() for t in before]
    assert average_precision(stats) == pytest.approx(expected)


def test_equal_items_tie_where_rounding_could_fall_either_way(monkeypatch):
    """Cosines half-way between two steps, in blocks of different shapes; zeros of both signs."""
    monkeypatch.setattr("benchmarks.evaluation.float_ranking.BLOCK", 99)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 1280))
    x[0, 0] = 0
    x /= np.linalg.norm(x)
    u = rng.normal(size=(64, 1280))
    u -= (u @ x.T) * x
    c = (rng.integers(1, 2**29, (64, 1)) + 0.5) / 2**30
    q = c * x + np.sqrt(1 - c**2) * u / np.linalg.norm(u, axis=1)[:, None]
    b, labels = x.repeat(100, 0), np.arange(100)[:, None] == 99
    b[99, 0] = -0.0
    stats = whole(rank_floats(q, np.ones((64, 1)), b, labels, device="cpu"))
    assert stats.items.tolist() == [[100]] * 64


def cosine(q, b):
    q, b = (x / np.linalg.norm(x.astype(np.float64), axis=1)[:, None] for x in (q, b))
    return q @ b.T


def whole(chunks):
    (stats,) = chunks
    return stats


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cosine_does_not_know_the_scale(dtype):
    """From the smallest number of a type to the largest, in one database and apart."""
    rng = np.random.default_rng(0)
    q, b = rng.normal(size=(6, 20)).astype("f"), rng.normal(size=(30, 20)).astype("f")
    labels = rng.random((30, 1)) < 0.3
    expected = whole(rank_floats(q, np.ones((6, 1)), b, labels, device="cpu"))
    low, high = {np.float32: (-115, 120), np.float64: (-1000, 1010)}[dtype]
    scales = np.ldexp(1.0, rng.integers(low, high, 30)).astype(dtype)
    for times in (scales[:, None], scales.min(), scales.max()):
        for query in (q.astype(dtype) * scales[0], q.astype(dtype) * scales.max()):
            stats = whole(
                rank_floats(query, np.ones((6, 1)), b.astype(dtype) * times, labels, device="cpu")
            )
            np.testing.assert_array_equal(stats.items, expected.items)
            np.testing.assert_array_equal(stats.relevant, expected.relevant)


def test_multiples_of_one_vector_tie():
    x = np.random.default_rng(0).normal(size=(1, 50))
    b = np.concatenate([x * scale for scale in (1, 3, 1e-30, 7e29, 0.1)]).astype(np.float64)
    stats = whole(rank_floats(x, [[1]], b, [[1], [0], [0], [0], [0]], device="cpu"))
    assert stats.items.tolist() == [[5]]


def test_a_vector_of_zeros_is_at_right_angles_to_all():
    b = np.array([[-1.0, 0], [0, 0], [-0.0, 0], [0, 1], [1, 0]])
    labels = np.array([[0], [1], [0], [1], [0]])
    stats = whole(rank_floats(np.eye(2), [[1], [1]], b, labels, device="cpu"))
    assert stats.items.tolist() == [[1, 3, 1], [1, 4, 0]]
    assert stats.relevant.tolist() == [[0, 2, 0], [1, 1, 0]]
    stats = whole(rank_floats(np.zeros((1, 2)), [[1]], b, labels, device="cpu"))
    assert stats.items.tolist() == [[5]]


@pytest.mark.parametrize("bits", [24, 33])
def test_signs_as_floats_tie_as_codes_do(bits):
    """Their length is no number of the machine; their products are."""
    rng = np.random.default_rng(bits)
    q, b = (rng.random((n, bits)) < 0.5 for n in (20, 3000))
    labels = [rng.random((n, 3)) < 0.3 for n in (20, 3000)]
    codes = evaluate(Codes(q, labels[0]), Codes(b, labels[1]), device="cpu")
    floats = whole(rank_floats(q * 2.0 - 1, labels[0], b * 2.0 - 1, labels[1], device="cpu"))
    for k in (1, 100, None):
        np.testing.assert_allclose(
            average_precision(floats, k), average_precision(codes, k), rtol=0, atol=1e-12
        )


def test_chunks_and_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    q, b = rng.normal(size=(9, 8)).astype("f"), rng.normal(size=(70, 8)).astype("f")
    labels = rng.random((9, 3)) < 0.4, rng.random((70, 3)) < 0.4
    options = {"similarity": "exponential", "device": "cpu"}
    one = whole(rank_floats(q, labels[0], b, labels[1], **options))
    monkeypatch.setattr("benchmarks.evaluation.float_ranking.CHUNK", 150)  # two queries at a time
    monkeypatch.setattr("benchmarks.evaluation.float_ranking.BLOCK", 16)
    parts = list(rank_floats(q, labels[0], b, labels[1], **options))
    assert [len(stats.items) for stats in parts] == [2, 2, 2, 2, 1]
    for metric in (average_precision, recall_at, ndcg):
        np.testing.assert_array_equal(
            np.concatenate([metric(stats, 20) for stats in parts]), metric(one, 20)
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_ranking_refuses_non_finite_features(value):
    b = np.array([[1.0, 0], [value, 0]])
    with pytest.raises(ValueError, match=r"database features must be finite, .* row 1"):
        next(rank_floats([[1.0, 0]], [[1]], b, [[1], [0]], device="cpu"))


@pytest.mark.parametrize(
    ("b", "labels", "words"),
    [
        (np.ones((2, 3)), [[1], [0]], "equally many features, got 2 and 3"),
        (np.ones((2, 2)), np.ones((2, 3)), "equally many classes, got 1 and 3"),
        (np.ones((2, 2)), [[1]], "one row of labels for each row of features, got 1 for 2"),
        (np.ones(2), [[1], [0]], r"at least one row of features, got shape \(2,\)"),
        (np.ones((0, 2)), np.ones((0, 1)), r"at least one row of features, got shape \(0, 2\)"),
        (np.ones((2, 2)), [[2], [0]], "database labels must be bool, 0/1 or -1/[+]1, got 2"),
    ],
)
def test_what_cannot_be_ranked_is_refused(b, labels, words):
    with pytest.raises(ValueError, match=f"rank_floats: .*{words}"):
        next(rank_floats([[1.0, 0]], [[1]], b, labels, device="cpu"))


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
    tied = (worth[:, 0] + worth[:, 1]) / 2
    np.testing.assert_array_equal(
        by_rank(stats.gain, stats), np.stack([tied, tied, worth[:, 2]], 1)
    )
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


def by_product(q, b, labels):
    return whole(
        rank_floats(q, np.ones((len(q), 1)), b, labels, rule="inner product", device="cpu")
    )


def test_the_ranking_by_inner_product_is_the_sorted_product():
    rng = np.random.default_rng(0)
    q, b = rng.normal(size=(5, 8)), rng.normal(size=(400, 8)) * rng.gamma(1, 9, (400, 1))
    labels = rng.random((400, 1)) < 0.5
    stats = by_product(q, b, labels)
    expected = labels[:, 0][np.argsort(-(q @ b.T), axis=1)]
    np.testing.assert_array_equal(by_rank(stats.relevant, stats), expected)
    other = whole(rank_floats(q, np.ones((5, 1)), b, labels, device="cpu"))
    assert not np.array_equal(other.relevant, stats.relevant)


def test_an_item_far_away_leaves_the_others_their_places():
    """The nearest are told apart by their distances, however far the farthest lies."""
    rng = np.random.default_rng(1)
    q, b = rng.normal(size=(6, 4)), rng.normal(size=(300, 4))
    b[7] *= 1e7
    labels = rng.random((300, 1)) < 0.5
    squares = ((q[:, None] - b) ** 2).sum(2)
    q = np.c_[q, np.ones(6), -(q**2).sum(1) / 2]
    b = np.c_[b, -(b**2).sum(1) / 2, np.ones(300)]
    stats = by_product(q, b, labels)
    expected = labels[:, 0][np.argsort(squares, axis=1)]
    np.testing.assert_array_equal(by_rank(stats.relevant, stats), expected)


def test_equal_products_share_a_level_on_both_sides_of_zero():
    b = np.array([[2.0, 1], [2, 5], [1, 0], [-0.0, 1], [0, 2], [-1, 3], [-1, 3], [-2, 0]])
    labels = np.array([[1], [0], [0], [1], [0], [1], [0], [1]])
    stats = by_product([[1.0, 0]], b, labels)
    assert stats.items.tolist() == [[2, 1, 2, 2, 1]]
    assert stats.relevant.tolist() == [[1, 0, 1, 1, 1]]


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e200])
def test_the_scale_of_all_items_is_no_matter_to_their_products(scale):
    rng = np.random.default_rng(2)
    q, b = rng.normal(size=(6, 20)), rng.normal(size=(30, 20))
    labels = rng.random((30, 1)) < 0.3
    expected = by_product(q, b, labels)
    for stats in (by_product(q, b * scale, labels), by_product(q * scale, b, labels)):
        np.testing.assert_array_equal(stats.relevant, expected.relevant)


def by_jaccard(q, b, labels):
    return whole(rank_floats(q, np.ones((len(q), 1)), b, labels, rule="jaccard", device="cpu"))


def test_the_ranking_by_jaccard_ties_equal_fractions_and_no_others():
    """All pairs of codes of 6 bits, against fractions."""
    codes = (np.arange(64)[:, None] >> np.arange(6)) % 2
    labels = (np.arange(64) % 3 == 0)[:, None]
    stats = by_jaccard(codes.astype("f"), codes.astype("f"), labels)
    for query, items, relevant in zip(codes, stats.items, stats.relevant, strict=True):
        both, either = (query & codes).sum(1), (query | codes).sum(1)
        index = [Fraction(int(b), max(1, int(e))) for b, e in zip(both, either, strict=True)]
        levels = [np.array([i == value for i in index]) for value in sorted(set(index))[::-1]]
        share = [np.full(level.sum(), labels[level].mean()) for level in levels]
        found = np.repeat(relevant[items > 0] / items[items > 0], items[items > 0])
        np.testing.assert_allclose(found, np.concatenate(share))


def test_the_closest_fractions_of_the_longest_codes_are_told_apart():
    n = 32_767
    full, query, one_less, other_less = np.ones((4, n), "f")
    query[0] = one_less[:2] = other_less[[0, 2]] = 0  # (n - 1) / n, and twice (n - 2) / (n - 1)
    stats = by_jaccard(query[None], np.stack([one_less, full, other_less]), [[1], [0], [0]])
    assert stats.items.tolist() == [[1, 2]]
    assert stats.relevant.tolist() == [[0, 1]]


def test_jaccard_is_of_zeros_and_ones():
    with pytest.raises(ValueError, match=r"database features must be 0 and 1 .*, got 2; take an"):
        by_jaccard(np.ones((1, 2)), np.array([[1.0, 2.0]]), [[1]])
