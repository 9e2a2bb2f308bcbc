"""Rankings as counts: floats by cosine, and codes with ties broken by row number."""

import numpy as np
import pytest

from benchmarks.evaluation.counts import Codes, evaluate
from benchmarks.evaluation.float_ranking import rank_codes, rank_floats
from benchmarks.evaluation.metrics import average_precision, precision_at, recall_at
from benchmarks.evaluation.packing import PackedBits


def problem(bits=6, n_query=5, n=200, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(
        Codes(rng.random((m, bits)) < 0.5, rng.random((m, classes)) < 0.3) for m in (n_query, n)
    )


def stable_sort(query, database, order="database"):
    """Relevance in the order of a stable sort, one query at a time."""
    step = {"database": 1, "reversed": -1}[order]
    for code, own in zip(query.bits, query.labels, strict=True):
        distance = (code != database.bits[::step]).sum(1)
        related = (own & database.labels[::step]).any(1)
        yield related[np.argsort(distance, kind="stable")]


@pytest.mark.parametrize("order", ["database", "reversed"])
@pytest.mark.parametrize("bits", [1, 6, 70])
def test_code_ranking_is_the_stable_sort(monkeypatch, order, bits):
    monkeypatch.setattr("benchmarks.evaluation.float_ranking.CHUNK", 450)  # two queries at a time
    query, database = problem(bits)
    chunks = list(rank_codes(query, database, order=order, device="cpu"))
    assert [len(stats.items) for stats in chunks] == [2, 2, 1]
    assert all((stats.items == 1).all() and not stats.hamming for stats in chunks)
    np.testing.assert_array_equal(
        np.concatenate([stats.relevant for stats in chunks]),
        np.array(list(stable_sort(query, database, order))),
    )


@pytest.mark.parametrize("k", [1, 50, 199, 200, 1000])
def test_a_cutoff_keeps_the_first_levels_and_the_sum_of_the_rest(k):
    query, database = problem()
    (whole,) = rank_codes(query, database, device="cpu")
    (stats,) = rank_codes(query, database, k=k, device="cpu")
    assert stats.items.shape == (5, min(k + 1, 200))
    np.testing.assert_array_equal(stats.relevant[:, :k], whole.relevant[:, :k])
    np.testing.assert_array_equal(stats.items.sum(1), whole.items.sum(1))
    np.testing.assert_array_equal(stats.relevant.sum(1), whole.relevant.sum(1))
    for n in {1, k}:
        n = min(n, 200)
        for metric in (average_precision, precision_at, recall_at):
            np.testing.assert_allclose(metric(stats, n), metric(whole, n), rtol=1e-14)


def test_code_ranking_gives_the_number_of_published_code():
    """mAP@k as the papers' loop computes it, which lies within the bounds over ties."""
    query, database = problem(bits=4)
    expected = []
    for related in stable_sort(query, database):
        ranks = np.flatnonzero(related[:30]) + 1
        expected.append(np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else 0)
    (stats,) = rank_codes(query, database, k=30, device="cpu")
    found = average_precision(stats, 30)
    np.testing.assert_allclose(found, expected)
    counts = evaluate(query, database, device="cpu")
    assert (found <= average_precision(counts, 30, ties="best") + 1e-12).all()
    assert (found >= average_precision(counts, 30, ties="worst") - 1e-12).all()


def test_packed_codes_rank_the_same():
    query, database = problem(bits=13)
    packed = Codes(PackedBits(np.packbits(database.bits, axis=1), 13), database.labels)
    (one,), (other,) = (rank_codes(query, x, device="cpu") for x in (database, packed))
    np.testing.assert_array_equal(one.relevant, other.relevant)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": "random"}, "order must be 'database' or 'reversed', got 'random'"),
        ({"k": 0}, "a cutoff must be at least 1, got 0"),
        ({"database": problem(n=0)[1]}, "at least 1 database item, got 0"),
        ({"database": problem(bits=7)[1]}, "equally many bits a code, got 6 and 7"),
        ({"database": Codes(np.full((2, 6), 0.5), np.ones((2, 4)))}, "got 0.5 in row 0"),
    ],
)
def test_what_cannot_be_ranked_is_refused(options, words):
    query, database = problem()
    with pytest.raises(ValueError, match=words):
        next(rank_codes(query, **{"database": database, "device": "cpu", **options}))


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
    codes = Codes(x > 0, labels)
    turned = rank_codes(codes, Codes(codes.bits[::-1], labels[::-1]), device="cpu")
    copied = rank_codes(codes, Codes(codes.bits[::-1].copy(), labels[::-1].copy()), device="cpu")
    for one, other in zip(turned, copied, strict=True):
        np.testing.assert_array_equal(one.relevant, other.relevant)


def test_read_only_features_are_ranked(recwarn):
    x = np.random.default_rng(6).normal(size=(9, 4)).astype(np.float32)
    x.flags.writeable = False
    labels = np.ones((9, 1), bool)
    assert sum(len(stats.items) for stats in rank_floats(x, labels, x, labels)) == 9
