"""Metrics against enumeration of every tie order, against scikit-learn, and on paper."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmarks.evaluation import Codes, RetrievalStats, evaluate
from benchmarks.metrics import (
    average_precision,
    empty_within_radius,
    mean_average_precision,
    precision_at,
    precision_recall_curve,
    precision_within_radius,
    recall_at,
    retrieval_metrics,
)

DENOMINATORS = ("found", "all", "min")


def stats_of(items, relevant):
    return RetrievalStats(np.array([items]), np.array([relevant]))


@st.composite
def small_groups(draw):
    """Up to 9 items in up to 4 groups, and a cutoff that may lie beyond them."""
    items = draw(
        st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(lambda n: 0 < sum(n) < 10)
    )
    relevant = [draw(st.integers(0, n)) for n in items]
    return items, relevant, draw(st.integers(1, sum(items) + 2))


def orders(items, relevant):
    """Every order of relevance (0 or 1) that equal distances allow, equally likely."""
    places = [
        [[int(i in chosen) for i in range(n)] for chosen in itertools.combinations(range(n), r)]
        for n, r in zip(items, relevant, strict=True)
    ]
    return [[x for group in choice for x in group] for choice in itertools.product(*places)]


def ap_by_hand(order, k, denominator):
    hits, total = 0, Fraction(0)
    for rank, relevant in enumerate(order[:k], 1):
        if relevant:
            hits += 1
            total += Fraction(hits, rank)
    below = {"found": hits, "all": sum(order), "min": min(sum(order), k, len(order))}[denominator]
    return total / below if below else Fraction(0)


def assert_over_orders(metric, by_hand, items, relevant):
    """Mean, maximum and minimum over all orders, in exact arithmetic."""
    values = [by_hand(order) for order in orders(items, relevant)]
    expected = {"expected": sum(values) / len(values), "best": max(values), "worst": min(values)}
    for ties, value in expected.items():
        got = metric(stats_of(items, relevant), ties)
        assert got == pytest.approx([float(value)], abs=1e-14), ties


@pytest.mark.parametrize("denominator", DENOMINATORS)
@given(small_groups())
@settings(max_examples=150, deadline=None)
def test_average_precision_over_all_tie_orders(denominator, case):
    items, relevant, k = case
    assert_over_orders(
        lambda s, ties: average_precision(s, k, ties, denominator),
        lambda order: ap_by_hand(order, k, denominator),
        items,
        relevant,
    )


@given(small_groups())
@settings(max_examples=80, deadline=None)
def test_precision_and_recall_over_all_tie_orders(case):
    items, relevant, k = case
    assert_over_orders(
        lambda s, ties: precision_at(s, k, ties),
        lambda order: Fraction(sum(order[:k]), min(k, len(order))),
        items,
        relevant,
    )
    assert_over_orders(
        lambda s, ties: recall_at(s, k, ties),
        lambda order: Fraction(sum(order[:k]), max(sum(order), 1)),
        items,
        relevant,
    )


def test_relevant_first_is_not_always_the_best_order():
    """A hit at rank 1, then a tie of which one item is kept: leaving its hit out scores higher."""
    stats = stats_of([1, 2, 2], [1, 0, 1])
    assert average_precision(stats, 4, "best") == pytest.approx([1.0])
    assert ap_by_hand([1, 0, 0, 1, 0], 4, "found") == Fraction(3, 4)


def test_average_precision_on_paper():
    """Ranks 1 and 3 relevant of four, the rest not: (1 + 2/3) / 2."""
    stats = stats_of([1, 1, 1, 1], [1, 0, 1, 0])
    assert average_precision(stats) == pytest.approx([5 / 6])
    assert average_precision(stats, 2) == pytest.approx([1.0])
    assert average_precision(stats, 2, denominator="all") == pytest.approx([0.5])
    assert average_precision(stats, 1, denominator="min") == pytest.approx([1.0])
    assert mean_average_precision(stats) == pytest.approx(5 / 6)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees_where_there_are_no_ties(seed):
    rng = np.random.default_rng(seed)
    relevant = rng.random(50) < 0.3
    stats = stats_of(np.ones(50, int), relevant.astype(int))
    expected = average_precision_score(relevant, -np.arange(50))
    assert average_precision(stats) == pytest.approx([expected], abs=1e-13)


def random_stats(seed=0, n=4000, bits=12):
    rng = np.random.default_rng(seed)
    query = Codes(rng.random((20, bits)) < 0.5, np.eye(5, dtype=bool)[rng.integers(0, 5, 20)])
    database = Codes(rng.random((n, bits)) < 0.5, np.eye(5, dtype=bool)[rng.integers(0, 5, n)])
    return query, database, evaluate(query, database, device="cpu")


def test_large_ties_agree_with_shuffled_sorts():
    """The mean over random orders approaches the exact expectation."""
    query, database, stats = random_stats(n=600)
    distance = (query.bits[:, None] != database.bits).sum(2)
    related = query.labels.astype(int) @ database.labels.T.astype(int) > 0
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(200):
        shuffle = rng.permutation(600)
        order = shuffle[np.argsort(distance[:, shuffle], axis=1, kind="stable")]
        hit = np.take_along_axis(related, order, 1)[:, :100]
        precision = hit.cumsum(1) / np.arange(1, 101)
        runs.append(((precision * hit).sum(1) / np.maximum(hit.sum(1), 1)).mean())
    error = np.std(runs) / np.sqrt(len(runs))
    assert mean_average_precision(stats, 100) == pytest.approx(np.mean(runs), abs=4 * error)


def test_neither_order_of_the_database_nor_polarity_of_a_bit_matters():
    query, database, stats = random_stats()
    order = np.random.default_rng(2).permutation(len(database.bits))
    flip = np.arange(12) == 3
    moved = evaluate(
        Codes(query.bits ^ flip, query.labels),
        Codes(database.bits[order] ^ flip, database.labels[order]),
        device="cpu",
    )
    for name, values in retrieval_metrics(stats, 100).items():
        np.testing.assert_array_equal(values, retrieval_metrics(moved, 100)[name])


def test_constant_codes_score_the_base_rate():
    query, database, _ = random_stats()
    constant = evaluate(
        Codes(query.bits & False, query.labels),
        Codes(database.bits & False, database.labels),
        device="cpu",
    )
    base = (query.labels.astype(int) @ database.labels.sum(0)) / len(database.bits)
    metrics = retrieval_metrics(constant, 100)
    np.testing.assert_allclose(metrics["P@100"], base)
    np.testing.assert_allclose(metrics["P@H<=2"], base)
    # A hit at rank i sees (i-1) others: AP exceeds the base rate by about log(M) / M.
    np.testing.assert_allclose(metrics["mAP"], base, atol=0.005)


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_expected_lies_between_worst_and_best(denominator):
    _, _, stats = random_stats()
    for k in (1, 10, 500, None):
        worst, expected, best = (
            average_precision(stats, k, ties, denominator) for ties in ("worst", "expected", "best")
        )
        assert (worst <= expected + 1e-12).all()
        assert (expected <= best + 1e-12).all()
        assert (worst < best).any()


def test_query_without_relevant_items_scores_zero_and_stays_in_the_mean():
    stats = RetrievalStats(np.array([[1, 1], [1, 1]]), np.array([[0, 0], [1, 1]]))
    assert average_precision(stats).tolist() == [0, 1]
    assert recall_at(stats, 1).tolist() == [0, 0.5]
    assert mean_average_precision(stats) == 0.5


def test_cutoff_beyond_the_database_ends_at_its_last_item():
    _, _, stats = random_stats()
    np.testing.assert_array_equal(average_precision(stats, 10**6), average_precision(stats))
    assert precision_at(stats_of([2], [1]), 100).tolist() == [0.5]


@pytest.mark.parametrize("k", [0, -1])
def test_cutoff_below_one_is_refused(k):
    with pytest.raises(ValueError, match=f"at least 1, got {k}"):
        average_precision(stats_of([2], [1]), k)


def test_radius_metrics_on_paper():
    stats = RetrievalStats(
        np.array([[0, 1, 1, 2], [0, 0, 0, 4]]), np.array([[0, 1, 0, 1], [0, 0, 0, 2]])
    )
    assert precision_within_radius(stats, 2).tolist() == [0.5, 0]
    assert empty_within_radius(stats, 2).tolist() == [0, 1]
    precision, recall = precision_recall_curve(stats)
    assert precision.tolist() == [0, 1, 0.5, 0.5]  # radius 0: no ball holds anything
    assert recall.tolist() == [0, 0.25, 0.25, 1]


def test_names_of_the_metrics_and_their_absence_for_floats():
    _, _, stats = random_stats()
    names = ["mAP", "mAP@100", "P@100", "R@100", "P@H<=2", "empty@H<=2"]
    assert list(retrieval_metrics(stats, 100)) == names
    floats = RetrievalStats(stats.items, stats.relevant, hamming=False)
    assert list(retrieval_metrics(floats, 100)) == names[:4]


def test_pieces_of_many_queries_equal_the_whole(monkeypatch):
    _, _, stats = random_stats()
    whole = average_precision(stats, 500)
    monkeypatch.setattr("benchmarks.metrics._CHUNK", 64)
    np.testing.assert_array_equal(average_precision(stats, 500), whole)


@pytest.mark.parametrize("metric", [average_precision, precision_at, recall_at])
def test_unknown_order_of_ties_is_refused(metric):
    with pytest.raises(ValueError, match="ties must be one of expected, best, worst, got 'mean'"):
        metric(stats_of([2], [1]), 1, "mean")


def test_unknown_denominator_is_refused():
    with pytest.raises(ValueError, match="denominator must be one of found, all, min, got 'k'"):
        average_precision(stats_of([2], [1]), denominator="k")
