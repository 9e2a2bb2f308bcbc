"""What must hold for any database: exact over every tie order, blind to what does not matter."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

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
    precision_at,
    precision_recall_curve,
    precision_within_radius,
    radius_aware_average_precision,
    recall_at,
)

TIES = ("worst", "expected", "best")
GRADES = (0.0, 0.25, 1.0, 3.0)  # dyadic, so that a Fraction holds them; 0 is irrelevant


def some(n):
    """Settings of a quick test whose examples are the same on every machine."""
    return settings(max_examples=n, deadline=None, derandomize=True, database=None)


# ------------------------------------------------------------- every order of ties, in fractions


@st.composite
def tied_databases(draw):
    """Up to 6 graded items in up to 4 groups of equal distance, and a cutoff that may exceed them.

    Groups hold at most 4 items: at most 48 orders.
    """
    groups = draw(
        st.lists(st.lists(st.sampled_from(GRADES), max_size=4), min_size=1, max_size=4).filter(
            lambda groups: 0 < sum(map(len, groups)) <= 6
        )
    )
    return groups, draw(st.integers(1, sum(map(len, groups)) + 2))


def stats_of(groups):
    counts = np.array([[[group.count(value) for group in groups] for value in GRADES]])
    values = np.array(GRADES)
    gain = (counts * values[:, None]).sum(1)
    return RetrievalStats(counts.sum(1), counts[:, 1:].sum(1), gain, Grades(values, counts.sum(2)))


def orders(groups):
    """Every ranking that the ties allow, as gains in fractions, equally likely."""
    for choice in itertools.product(*map(itertools.permutations, groups)):
        yield [Fraction(gain) for group in choice for gain in group]


def ap_by_hand(order, k, denominator):
    hits, total = 0, Fraction(0)
    for rank, gain in enumerate(order[:k], 1):
        if gain:
            hits += 1
            total += Fraction(hits, rank)
    relevant = sum(gain > 0 for gain in order)
    below = {"found": hits, "all": relevant, "min": min(relevant, k, len(order))}[denominator]
    return total / below if below else Fraction(0)


def hits_by_hand(order, k):
    return Fraction(sum(gain > 0 for gain in order[:k]))


def dcg_by_hand(order, k):
    return sum(gain * Fraction(1 / math.log2(1 + i)) for i, gain in enumerate(order[:k], 1))


def over_ideal(total, order):
    ideal = total(sorted(order, reverse=True))
    return total(order) / ideal if ideal else Fraction(0)


def ahp_by_hand(order, k, area):
    k = min(k, len(order))
    curve = [over_ideal(lambda gains, i=i: sum(gains[:i]), order) for i in range(1, k + 1)]
    ends = (curve[0] + curve[-1]) / 2 if area == "trapezoid" else 0
    return (sum(curve) - ends) / k


BY_HAND = {
    **{
        f"AP, {name}": (
            lambda s, k, ties, name=name: average_precision(s, k, ties, name),
            lambda order, k, name=name: ap_by_hand(order, k, name),
        )
        for name in ("found", "all", "min")
    },
    "precision": (precision_at, lambda order, k: hits_by_hand(order, k) / min(k, len(order))),
    "recall": (
        recall_at,
        lambda order, k: hits_by_hand(order, k) / max(hits_by_hand(order, None), 1),
    ),
}
OF_GAINS_BY_HAND = {
    "NDCG": (ndcg, lambda order, k: over_ideal(lambda gains: dcg_by_hand(gains, k), order)),
    "ACG": (acg, lambda order, k: sum(order[:k]) / min(k, len(order))),
    "HP": (
        hierarchical_precision,
        lambda order, k: over_ideal(lambda gains: sum(gains[:k]), order),
    ),
    **{
        f"AHP, {area}": (
            lambda s, k, area=area: average_hierarchical_precision(s, k, area),
            lambda order, k, area=area: ahp_by_hand(order, k, area),
        )
        for area in ("mean", "trapezoid")
    },
}


@pytest.mark.parametrize("name", BY_HAND)
@given(tied_databases())
@some(150)
def test_expected_best_and_worst_over_all_tie_orders(name, case):
    groups, k = case
    metric, by_hand = BY_HAND[name]
    values = [by_hand(order, k) for order in orders(groups)]
    exact = {"expected": sum(values) / len(values), "best": max(values), "worst": min(values)}
    for ties, value in exact.items():
        assert metric(stats_of(groups), k, ties) == pytest.approx([float(value)], abs=1e-13), ties


@pytest.mark.parametrize("name", OF_GAINS_BY_HAND)
@given(tied_databases())
@some(150)
def test_metrics_of_gains_are_the_mean_over_all_tie_orders(name, case):
    groups, k = case
    metric, by_hand = OF_GAINS_BY_HAND[name]
    values = [by_hand(order, k) for order in orders(groups)]
    mean = float(sum(values) / len(values))
    assert metric(stats_of(groups), k) == pytest.approx([mean], abs=1e-13)


# ------------------------------------------------------------------------------- other libraries


@given(st.lists(st.booleans(), min_size=1, max_size=60).filter(any))
@some(100)
def test_average_precision_is_scikit_learns_where_there_are_no_ties(relevant):
    stats = stats_of([[float(r)] for r in relevant])
    expected = average_precision_score(relevant, -np.arange(len(relevant)))
    for ties in TIES:
        assert average_precision(stats, None, ties) == pytest.approx([expected], abs=1e-13)


@given(tied_databases().filter(lambda case: any(map(any, case[0])) and sum(map(len, case[0])) > 1))
@some(100)
def test_ndcg_is_scikit_learns_with_ties(case):
    groups, k = case
    gains = [[gain for group in groups for gain in group]]
    scores = [[-d for d, group in enumerate(groups) for _ in group]]
    assert ndcg(stats_of(groups), k) == pytest.approx([ndcg_score(gains, scores, k=k)], abs=1e-13)


# ------------------------------------------------------------------------- from codes to numbers


@st.composite
def retrievals(draw):
    """Random codes with several labels each; some items and queries have none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits, classes = draw(st.integers(1, 20)), draw(st.integers(1, 5))
    sizes = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    query, database = (
        Codes(rng.random((n, bits)) < 0.5, rng.random((n, classes)) < 0.4) for n in sizes
    )
    return query, database, draw(st.integers(1, 45)), rng


def statistics(query, database):
    return evaluate(query, database, similarity="exponential", device="cpu")


def bounded(stats, k):
    """Metrics of relevance, as [worst, expected, best]."""
    return [[metric(stats, k, ties) for ties in TIES] for metric, _ in BY_HAND.values()]


def ranked(stats, k):
    """Every metric of a ranking, one row a query."""
    of_gains = [metric(stats, k) for metric, _ in OF_GAINS_BY_HAND.values()]
    return np.array([*itertools.chain(*bounded(stats, k)), *of_gains])


def balls(stats):
    """Every metric of Hamming balls, one row a query where it has one."""
    radius = stats.items.shape[1] - 1
    return [
        precision_within_radius(stats, min(2, radius)),
        *(radius_aware_average_precision(stats, radius, time_cost=c) for c in (False, True)),
        *precision_recall_curve(stats),
    ]


def assert_same(stats, other, k):
    np.testing.assert_array_equal(ranked(stats, k), ranked(other, k))
    for one, two in zip(balls(stats), balls(other), strict=True):
        np.testing.assert_array_equal(one, two)


@given(retrievals())
@some(40)
def test_expected_lies_between_worst_and_best(case):
    query, database, k, _ = case
    for worst, expected, best in bounded(statistics(query, database), k):
        assert (worst <= expected + 1e-12).all()
        assert (expected <= best + 1e-12).all()


@given(retrievals())
@some(40)
def test_the_order_of_the_database_changes_nothing(case):
    query, database, k, rng = case
    shuffled = database[rng.permutation(len(database))]
    assert_same(statistics(query, database), statistics(query, shuffled), k)


@given(retrievals())
@some(40)
def test_flipping_or_moving_bits_in_all_codes_changes_nothing(case):
    query, database, k, rng = case
    flip, order = rng.random(query.codes.width) < 0.5, rng.permutation(query.codes.width)
    moved = (Codes((c.codes.unpack() ^ flip)[:, order], c.labels) for c in (query, database))
    assert_same(statistics(query, database), statistics(*moved), k)


@given(retrievals())
@some(40)
def test_shards_add_up_to_the_last_digit(case):
    query, database, k, rng = case
    n = len(database)
    edges = [0, *sorted(rng.integers(0, n + 1, 3)), n]
    shards = [database[a:b] for a, b in itertools.pairwise(edges)]
    first, *rest = (statistics(query, shard) for shard in shards)
    whole = statistics(query, database)
    assert_same(sum(rest, first), whole, k)
    assert_same(statistics(query, iter(shards)), whole, k)


@given(retrievals())
@some(40)
def test_a_constant_code_scores_the_base_rate(case):
    query, database, k, _ = case
    constant = [Codes(c.codes.unpack() & False, c.labels) for c in (query, database)]
    stats = statistics(*constant)
    n, bits = len(database), query.codes.width
    q_labels, b_labels = (c.labels.unpack().astype(int) for c in (query, database))
    shared = q_labels @ b_labels.T
    relevant = (shared > 0).sum(1)
    base = relevant / n
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(precision_at(stats, k), base, **close)
    np.testing.assert_allclose(precision_within_radius(stats, 0), base, **close)
    np.testing.assert_allclose(radius_aware_average_precision(stats, bits), base, **close)
    np.testing.assert_allclose(recall_at(stats, k), (base > 0) * min(k, n) / n, **close)
    np.testing.assert_allclose(acg(stats, k), (2.0**shared - 1).mean(1), rtol=1e-12)
    # A hit sees itself: AP of a random order lies above the base rate by O(log n / n).
    harmonic = sum(1 / i for i in range(1, n + 1))
    others = (relevant - 1) / max(n - 1, 1)
    random_order = np.where(relevant > 0, others + (1 - others) * harmonic / n, 0)
    np.testing.assert_allclose(average_precision(stats), random_order, **close)


@given(retrievals())
@some(40)
def test_cutting_queries_into_chunks_changes_nothing(case):
    query, database, k, _ = case
    stats = statistics(query, database)
    whole = ranked(stats, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.evaluation.metrics._CHUNK", 8)
        patch.setattr("benchmarks.evaluation.graded_metrics._CHUNK", 8)
        np.testing.assert_array_equal(ranked(stats, k), whole)
