"""Metrics on paper, against shuffled sorts, and what they refuse."""

import logging

import numpy as np
import pytest

from benchmarks.evaluation.counts import Codes, RetrievalStats, evaluate
from benchmarks.evaluation.graded_metrics import (
    acg,
    average_hierarchical_precision,
    hierarchical_precision,
    ndcg,
)
from benchmarks.evaluation.graded_relevance import Grades
from benchmarks.evaluation.metrics import (
    average_precision,
    empty_within_radius,
    mean_average_precision,
    precision_at,
    precision_recall_curve,
    precision_within_radius,
    radius_aware_average_precision,
    recall_at,
    retrieval_metrics,
)
from benchmarks.evaluation.ties import _say_once

OF_GAINS = (ndcg, acg, hierarchical_precision, average_hierarchical_precision)


def stats_of(items, relevant):
    return RetrievalStats(np.array([items]), np.array([relevant]))


def test_relevant_first_is_not_always_the_best_order():
    """A hit at rank 1, then a tie of which one item is kept: leaving its hit out scores higher."""
    stats = stats_of([1, 2, 2], [1, 0, 1])
    assert average_precision(stats, 4, "best") == pytest.approx([1.0])
    hit_in = stats_of([1, 1, 1, 1, 1], [1, 0, 0, 1, 0])
    assert average_precision(hit_in, 4) == pytest.approx([3 / 4])


def test_average_precision_on_paper():
    """Ranks 1 and 3 relevant of four, the rest not: (1 + 2/3) / 2."""
    stats = stats_of([1, 1, 1, 1], [1, 0, 1, 0])
    assert average_precision(stats) == pytest.approx([5 / 6])
    assert average_precision(stats, 2) == pytest.approx([1.0])
    assert average_precision(stats, 2, denominator="all") == pytest.approx([0.5])
    assert average_precision(stats, 1, denominator="min") == pytest.approx([1.0])
    assert mean_average_precision(stats) == pytest.approx(5 / 6)


def random_stats(seed=0, n=4000, bits=12):
    rng = np.random.default_rng(seed)
    query = Codes(rng.random((20, bits)) < 0.5, np.eye(5, dtype=bool)[rng.integers(0, 5, 20)])
    database = Codes(rng.random((n, bits)) < 0.5, np.eye(5, dtype=bool)[rng.integers(0, 5, n)])
    return query, database, evaluate(query, database, device="cpu")


def test_large_ties_agree_with_shuffled_sorts():
    """The mean over random orders approaches the exact expectation."""
    query, database, stats = random_stats(n=600)
    (q, q_labels), (b, b_labels) = (
        (c.codes.unpack(), c.labels.unpack()) for c in (query, database)
    )
    distance = (q[:, None] != b).sum(2)
    related = q_labels.astype(int) @ b_labels.T.astype(int) > 0
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


def test_query_without_relevant_items_scores_zero_and_stays_in_the_mean():
    stats = RetrievalStats(np.array([[1, 1], [1, 1]]), np.array([[0, 0], [1, 1]]))
    assert average_precision(stats).tolist() == [0, 1]
    assert recall_at(stats, 1).tolist() == [0, 1 / 2]
    assert mean_average_precision(stats) == 0.5
    assert stats.n_without_relevant == 1


def test_cutoff_beyond_the_database_ends_at_its_last_item():
    _, _, stats = random_stats()
    np.testing.assert_array_equal(average_precision(stats, 10**6), average_precision(stats))
    assert precision_at(stats_of([2], [1]), 100).tolist() == [0.5]


def test_cutoff_beyond_the_database_is_said_once(caplog):
    _say_once.cache_clear()
    with caplog.at_level(logging.WARNING, "benchmarks.evaluation.ties"):
        average_precision(stats_of([3], [1]), 3)
        average_precision(stats_of([3], [1]), None)
        assert not caplog.messages
        for metric in (average_precision, precision_at, recall_at):
            metric(stats_of([3], [1]), 7)
        assert caplog.messages == ["metrics: the cutoff 7 ends at the last of the 3 database items"]


@pytest.mark.parametrize("k", [0, -1])
@pytest.mark.parametrize("metric", [average_precision, precision_at, recall_at, *OF_GAINS])
def test_cutoff_below_one_is_refused(metric, k):
    with pytest.raises(ValueError, match=f"at least 1, got {k}"):
        metric(graded([[1.0]]), k)


def test_an_empty_database_scores_zero():
    nothing = graded([[], []])
    assert nothing.items.tolist() == [[0, 0]]
    for metric in (precision_at, recall_at, average_precision, *OF_GAINS):
        assert metric(nothing, 5).tolist() == [0]


def test_radius_metrics_on_paper():
    stats = RetrievalStats(
        np.array([[0, 1, 1, 2], [0, 0, 0, 4]]), np.array([[0, 1, 0, 1], [0, 0, 0, 2]])
    )
    assert precision_within_radius(stats, 2).tolist() == [0.5, 0]
    assert empty_within_radius(stats, 2).tolist() == [0, 1]
    precision, recall = precision_recall_curve(stats)
    assert precision.tolist() == [0, 1, 0.5, 0.5]  # radius 0: no ball holds anything
    assert recall.tolist() == [0, 0.25, 0.25, 1]


def test_radius_aware_average_precision_on_paper():
    """Precisions 0 (empty ball), 1, 1/2, 1/2; with K = 3 bits balls are 1, 4, 7 and 8 buckets."""
    stats = RetrievalStats(
        np.array([[0, 1, 1, 2], [0, 0, 0, 4]]), np.array([[0, 1, 0, 1], [0, 0, 0, 2]])
    )
    assert radius_aware_average_precision(stats, 3) == pytest.approx([2 / 4, 0.5 / 4])
    assert radius_aware_average_precision(stats, 1) == pytest.approx([1 / 2, 0])
    costly = radius_aware_average_precision(stats, 3, time_cost=True)
    assert costly == pytest.approx([(1 / 4 + 0.5 / 7 + 0.5 / 8) / 4, 0.5 / 8 / 4])
    np.testing.assert_array_equal(
        radius_aware_average_precision(stats, 9), radius_aware_average_precision(stats, 3)
    )


def test_a_ball_of_more_buckets_than_a_float_can_hold_scores_zero():
    stats = RetrievalStats(np.ones((1, 3001), int), np.ones((1, 3001), int))
    first = 1 + 1 / 3001 + 1 / (1 + 3000 + 3000 * 2999 / 2)
    raap = radius_aware_average_precision(stats, 3000, time_cost=True)
    assert raap == pytest.approx([first / 3001], rel=1e-6)


@pytest.mark.parametrize(
    "metric", [precision_within_radius, empty_within_radius, radius_aware_average_precision]
)
def test_a_ball_needs_a_radius_and_codes(metric):
    with pytest.raises(ValueError, match="at least 0 bits, got -1"):
        metric(stats_of([2], [1]), -1)
    floats = RetrievalStats(np.array([[1, 1]]), np.array([[1, 0]]), hamming=False)
    with pytest.raises(ValueError, match="got a ranking by floats"):
        metric(floats, 1)


# ------------------------------------------------------------------------------ graded relevance


def graded(groups):
    """One query, from the gains at each distance."""
    values = np.unique([gain for group in groups for gain in group])
    counts = np.array([[[group.count(value) for group in groups] for value in values]], int)
    counts = counts.reshape(1, len(values), len(groups))
    gain = (counts * values[:, None]).sum(1)
    grades = Grades(values, counts.sum(2))
    return RetrievalStats(counts.sum(1), counts[:, values > 0].sum(1), gain, grades)


def test_ndcg_and_acg_on_paper():
    """Gains 1, 3, 0 in this order; the ideal order is 3, 1, 0."""
    stats = graded([[1.0], [3.0], [0.0]])
    log3 = np.log2(3)
    assert ndcg(stats, 2) == pytest.approx([(1 + 3 / log3) / (3 + 1 / log3)])
    assert ndcg(stats, 1) == pytest.approx([1 / 3])
    assert acg(stats, 2).tolist() == [2]
    assert acg(stats, 3) == pytest.approx([4 / 3])


def test_tied_gains_on_paper():
    """Gains 3 and 0 share a distance: each position holds 3/2 in the mean."""
    stats = graded([[3.0, 0.0], [1.0]])
    assert acg(stats, 1).tolist() == [1.5]
    log3 = np.log2(3)
    assert ndcg(stats, 2) == pytest.approx([(1.5 + 1.5 / log3) / (3 + 1 / log3)])


def test_hierarchical_precision_on_paper():
    """Similarities 1/2, 1, 0, where the ideal order is 1, 1/2, 0: HP is 1/2, 1, 1."""
    stats = graded([[0.5], [1.0], [0.0]])
    assert [hierarchical_precision(stats, k).item() for k in (1, 2, 3)] == [0.5, 1, 1]
    assert average_hierarchical_precision(stats, 3) == pytest.approx([2.5 / 3])
    trapezoid = ((0.5 + 1) / 2 + (1 + 1) / 2) / 3
    assert average_hierarchical_precision(stats, 3, area="trapezoid") == pytest.approx([trapezoid])


def test_the_ideal_order_scores_one_except_under_the_trapezoid():
    stats = graded([[1.0, 1.0], [0.5], [0.25, 0.25]])
    assert ndcg(stats, 4) == pytest.approx([1])
    assert hierarchical_precision(stats, 4) == pytest.approx([1])
    assert average_hierarchical_precision(stats, 4) == pytest.approx([1])
    assert average_hierarchical_precision(stats, 4, area="trapezoid") == pytest.approx([3 / 4])


@pytest.mark.parametrize("metric", OF_GAINS)
def test_metrics_of_gains_refuse_stats_that_lack_them(metric):
    with pytest.raises(ValueError, match=f"{metric.__name__}: expected graded relevance"):
        metric(stats_of([2], [1]), 1)


def test_unknown_area_is_refused():
    with pytest.raises(ValueError, match="area must be one of mean, trapezoid, got 'sum'"):
        average_hierarchical_precision(graded([[1.0]]), 1, area="sum")


# ------------------------------------------------------------------------------------ the record


def test_metrics_of_gains_have_the_names_of_the_record():
    stats = graded([[1.0, 0.0], [0.5]])
    plain = list(retrieval_metrics(RetrievalStats(stats.items, stats.relevant), 2))
    shared = retrieval_metrics(stats, 2)
    assert list(shared) == [*plain, "NDCG@100"]
    np.testing.assert_array_equal(shared["NDCG@100"], ndcg(stats, 100))
    tree = retrieval_metrics(stats, 2, hierarchy_cutoff=3)
    assert list(tree) == [*plain, "mAHP@3"]
    np.testing.assert_array_equal(tree["mAHP@3"], average_hierarchical_precision(stats, 3))
    with pytest.raises(ValueError, match="expected graded relevance"):
        retrieval_metrics(RetrievalStats(stats.items, stats.relevant), 2, hierarchy_cutoff=3)


def test_names_of_the_metrics_and_their_absence_for_floats():
    _, _, stats = random_stats()
    names = ["mAP", "mAP@100", "mAP@100:min", "P@100", "R@100"]
    names += ["mAP@100:best", "mAP@100:worst", "P@H<=2", "empty@H<=2"]
    assert list(retrieval_metrics(stats, 100)) == names
    floats = RetrievalStats(stats.items, stats.relevant, hamming=False)
    assert list(retrieval_metrics(floats, 100)) == names[:5]


@pytest.mark.parametrize("metric", [average_precision, precision_at, recall_at])
def test_unknown_order_of_ties_is_refused(metric):
    with pytest.raises(ValueError, match="ties must be one of expected, best, worst, got 'mean'"):
        metric(stats_of([1], [1]), 1, "mean")


def test_unknown_denominator_is_refused():
    with pytest.raises(ValueError, match="denominator must be one of found, all, min, got 'k'"):
        average_precision(stats_of([2], [1]), denominator="k")


def test_a_record_holds_both_denominators():
    """One hit at rank 1, and two relevant items that the top 4 misses: 1 of 1, 1 of 3."""
    metrics = retrieval_metrics(stats_of([1, 3, 2], [1, 0, 2]), 4)
    assert metrics["mAP@4"] == pytest.approx([1])
    assert metrics["mAP@4:min"] == pytest.approx([1 / 3])
    within = retrieval_metrics(stats_of([1, 3, 2], [1, 0, 2]), 2)
    assert within["mAP@2:min"] == pytest.approx([1 / 2])
    tied = retrieval_metrics(stats_of([2, 4], [1, 2]), 2)  # 1 or 1/2 at the hit, of at most 2
    assert tied["mAP@2:min"] == pytest.approx([3 / 8])


def test_a_record_holds_the_bounds_of_ties():
    items = np.array([[2, 3, 5], [1, 1, 8]])
    stats = RetrievalStats(items, np.array([[1, 2, 2], [0, 1, 3]]))
    metrics = retrieval_metrics(stats, 4)
    for ties in ("best", "worst"):
        np.testing.assert_array_equal(
            metrics[f"mAP@4:{ties}"], average_precision(stats, 4, ties=ties)
        )
    assert (metrics["mAP@4:worst"] < metrics["mAP@4"]).all()
    assert (metrics["mAP@4"] < metrics["mAP@4:best"]).all()
