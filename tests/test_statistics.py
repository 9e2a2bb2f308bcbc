import itertools

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats

from results.analysis.statistics import (
    area_under_bits,
    cliques,
    critical_difference,
    difference,
    friedman,
    holm,
    nemenyi,
    ranks,
    resampled_means,
    signed_rank,
)

RNG = np.random.default_rng(7)
TABLE = RNG.random((9, 4)).round(2) + np.array([0.0, 0.2, 0.3, 0.3])
TABLE[0, 2] = TABLE[0, 3]  # a tie


def test_ranks_give_equal_methods_their_mean_and_the_largest_one():
    assert ranks(np.array([[0.1, 0.4, 0.4, 0.2]])).tolist() == [[4, 1.5, 1.5, 3]]


def test_friedman_agrees_with_scipy_with_and_without_ties():
    for table in (TABLE, TABLE[1:], np.tile([1.0, 1.0, 2.0], (5, 1))):
        expected = stats.friedmanchisquare(*table.T)
        assert friedman(table) == pytest.approx((expected.statistic, expected.pvalue))


def test_friedman_finds_nothing_between_equal_methods():
    assert friedman(np.ones((4, 3))) == (0.0, 1.0)


def test_nemenyi_agrees_with_scikit_posthocs():
    expected = scikit_posthocs.posthoc_nemenyi_friedman(TABLE).to_numpy()
    mean = ranks(TABLE).mean(0)
    got = nemenyi(mean[:, None] - mean[None, :], TABLE.shape[1], len(TABLE))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_critical_difference_is_where_nemenyi_has_five_per_cent():
    for n_methods, n_columns in itertools.product((2, 5, 10), (3, 30)):
        gap = critical_difference(n_methods, n_columns)
        assert nemenyi(np.array([gap]), n_methods, n_columns) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(
    ("n_methods", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)], ids=str
)
def test_critical_values_are_those_of_demsars_table(n_methods, q):
    """Table 5(a) of JMLR 2006, alpha = 0.05; a column for which the factor of q is 1."""
    factor = n_methods * (n_methods + 1) / 6
    assert critical_difference(n_methods, 1) / factor**0.5 == pytest.approx(q, abs=1e-3)


def test_wilcoxon_with_holm_agrees_with_scikit_posthocs():
    expected = scikit_posthocs.posthoc_wilcoxon(list(TABLE[1:].T), p_adjust="holm").to_numpy()
    pairs = list(itertools.combinations(range(4), 2))
    got = holm(np.array([signed_rank(TABLE[1:, a], TABLE[1:, b]) for a, b in pairs]))
    assert got == pytest.approx([expected[pair] for pair in pairs])


def test_wilcoxon_of_equal_columns_is_one():
    assert signed_rank(np.ones(5), np.ones(5)) == 1.0


def test_holm_never_falls_and_ends_at_one():
    assert holm(np.array([0.5, 0.001, 0.4])).tolist() == [0.8, 0.003, 0.8]
    assert holm(np.array([])).tolist() == []


def test_one_seed_gives_the_paired_bootstrap_of_scipy():
    first, second = RNG.random(80), RNG.random(80) + 0.1
    means = resampled_means({"a": first[None], "b": second[None]}, draws=20_000)
    got = difference(first.mean() - second.mean(), means["a"], means["b"])
    expected = stats.bootstrap(
        (first, second),
        lambda a, b, axis: (a - b).mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    low, high = expected.confidence_interval
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.004)
    assert np.std(means["a"] - means["b"]) == pytest.approx(expected.standard_error, rel=0.03)


def test_without_spread_over_queries_the_variance_is_that_of_the_mean_over_seeds():
    seeds = np.array([0.1, 0.2, 0.4, 0.5])
    runs = {"a": np.tile(seeds[:, None], 6)}
    assert resampled_means(runs)["a"].std() == pytest.approx(stats.sem(seeds), rel=0.03)


def test_queries_that_are_hard_for_both_cancel():
    hard = RNG.random(200)
    means = resampled_means({"a": hard[None] + 0.01, "b": hard[None]})
    assert means["a"].std() > 0.01
    result = difference(0.01, means["a"], means["b"])
    assert (result.low, result.high) == pytest.approx((0.01, 0.01))
    assert result.p == pytest.approx(2 / 10_001)


def test_other_methods_change_no_comparison():
    a, b = RNG.random((3, 50)), RNG.random((2, 50))
    alone = resampled_means({"a": a, "b": b}, draws=300)
    among = resampled_means({"c": a, "b": b, "a": a}, draws=300)
    assert all(np.array_equal(alone[name], among[name]) for name in "ab")


def test_chunks_do_not_change_the_draws(monkeypatch):
    runs = {"a": RNG.random((3, 50))}
    whole = resampled_means(runs, draws=200)["a"]
    monkeypatch.setattr("results.analysis.statistics._CHUNK", 50 * 7)
    np.testing.assert_allclose(resampled_means(runs, draws=200)["a"], whole)


def test_a_method_does_not_differ_from_itself():
    means = resampled_means({"a": np.ones((1, 9)) / 3, "b": np.ones((1, 9)) / 3})
    assert difference(0.0, means["a"], means["b"]).p == 1.0


def test_the_bootstrap_is_right_as_often_as_it_says():
    """Equal methods, 5 seeds each, queries and seeds that vary: about 5 % false alarms."""
    alarms = 0
    for _ in range(300):
        queries = RNG.normal(size=60)
        runs = {
            name: queries + 0.15 * RNG.normal(size=(5, 1)) + 0.3 * RNG.normal(size=(5, 60))
            for name in "ab"
        }
        means = resampled_means(runs, draws=400)
        value = runs["a"].mean() - runs["b"].mean()
        alarms += difference(value, means["a"], means["b"]).p < 0.05
    assert alarms < 27  # 9 %, three standard deviations above


def test_area_of_a_constant_and_of_a_straight_line():
    bits = np.array([8, 16, 128])
    assert area_under_bits(bits, np.full(3, 0.4)) == pytest.approx(0.4)
    assert area_under_bits(bits, np.log2(bits)) == pytest.approx(5)
    assert area_under_bits(bits[:1], np.array([0.7])) == 0.7


def test_cliques_are_the_longest_runs_below_the_critical_difference():
    assert cliques(np.array([1.0, 1.2, 1.4, 4.0]), 1.0) == [(0, 2)]
    assert cliques(np.array([1.0, 3.0]), 1.0) == []
