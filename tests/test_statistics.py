import itertools
from statistics import mean, variance

import numpy as np
import pytest
from scipy import stats

from benchmarks.perf.error_rates import REGIMES, one_t, rates
from results.analysis.statistics import (
    Errors,
    half_width,
    half_width_over_seeds,
    holm,
    interval_in_unit,
    mean_errors,
    pair_errors,
    summary,
    two_sided_p,
)

RNG = np.random.default_rng(7)


def runs(seeds=3, queries=12, seed=0.0, own=0.0, rest=0.0, level=0.5, hard=0.0):
    """Normal values by the standard deviations of their terms; `hard` is that of all methods."""
    of_seed, of_query = RNG.normal(size=(seeds, 1)), RNG.normal(size=(1, queries))
    noise = RNG.normal(size=(seeds, queries))
    return level + hard + seed * of_seed + own * of_query + rest * noise


def compare(*methods):
    value, errors = pair_errors([summary(values) for values in methods])
    return value, errors, two_sided_p(value, errors)


def by_hand(first, second):
    """A, B, E and the p of a difference, by loops and a fine grid of chi-squared quantiles."""
    n_queries = first.shape[1]
    of_seeds, rest = [], []
    for values in (first.tolist(), second.tolist()):
        n_seeds = len(values)
        by_seed = [mean(row) for row in values]
        by_query = [mean(row[q] for row in values) for q in range(n_queries)]
        left = sum(
            (values[s][q] - by_seed[s] - by_query[q] + mean(by_seed)) ** 2
            for s in range(n_seeds)
            for q in range(n_queries)
        )
        of_seeds.append(variance(by_seed) / n_seeds)
        rest.append(left / ((n_seeds - 1) * (n_queries - 1)) / (n_seeds * n_queries))
    gaps = [mean(first[:, q]) - mean(second[:, q]) for q in range(n_queries)]
    a, b, e = sum(of_seeds), variance(gaps) / n_queries, sum(rest)
    df = a**2 / sum(x**2 / (len(v) - 1) for x, v in zip(of_seeds, (first, second), strict=True))
    middles = (np.arange(2500) + 0.5) / 2500
    true_a = np.maximum(a * df / stats.chi2.isf(middles, df), e)[:, None]
    true_b = np.maximum(b * (n_queries - 1) / stats.chi2.isf(middles, n_queries - 1), e)
    p = 2 * stats.norm.sf(abs(mean(gaps)) / np.sqrt(true_a + true_b - e)).mean()
    return (a, b, e, df, n_queries - 1), p


@pytest.mark.parametrize(
    "terms",
    [
        {"seed": 0.1, "own": 0.3, "rest": 0.1},
        {"seed": 0.5, "own": 0.1, "rest": 0.1},
        {"seed": 0.0, "own": 0.0, "rest": 0.3},
        {"seed": 0.0, "own": 0.5, "rest": 0.3},
    ],
    ids=["both", "seeds", "neither", "queries"],
)
@pytest.mark.parametrize("gap", [0.1, 0.4])
def test_a_difference_is_tested_as_worked_out_by_hand(terms, gap):
    first, second = runs(**terms, level=0.5 + gap), runs(seeds=4, **terms)
    value, errors, p = compare(first, second)
    squares, expected = by_hand(first, second)
    assert value == pytest.approx(first.mean() - second.mean())
    assert [errors.seeds, errors.queries, errors.rest, *errors[3:]] == pytest.approx(squares)
    assert p == pytest.approx(expected, rel=0.01)


def test_where_queries_do_not_matter_it_is_welchs_test_of_the_seeds():
    first, second = runs(seed=0.2), runs(seeds=5, seed=0.1, level=0.7)
    expected = stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False)
    assert compare(first, second)[2] == pytest.approx(expected.pvalue, rel=1e-3)


def test_where_seeds_do_not_matter_it_is_the_paired_t_test_of_the_queries():
    first, second = runs(seeds=1, own=0.2), runs(seeds=1, own=0.2, level=0.6)
    _, errors, p = compare(first.repeat(3, 0), second.repeat(4, 0))
    expected = stats.ttest_rel(first[0], second[0])
    low, high = expected.confidence_interval(0.95)
    assert p == pytest.approx(expected.pvalue, rel=1e-3)
    assert 2 * half_width(errors) == pytest.approx(high - low, rel=1e-3)


def test_queries_that_are_hard_for_both_cancel():
    hard = RNG.normal(size=12)
    terms = {"seed": 0.1, "own": 0.1, "rest": 0.1}
    first, second = runs(**terms), runs(**terms)
    for one, other in zip(
        compare(first, second), compare(first + hard, second + hard), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_other_methods_change_no_comparison():
    a, b, c = (runs(seeds=n, seed=0.1, own=0.1, rest=0.1) for n in (3, 5, 4))
    alone, among = compare(a, b), compare(a, c, b)
    assert alone[0] == pytest.approx(among[0][1], rel=1e-12)
    assert alone[2] == pytest.approx(among[2][1], rel=1e-12)


def test_a_method_does_not_differ_from_itself_however_its_seeds_are_ordered():
    values = runs(seed=0.1, own=0.1, rest=0.1)
    _, errors, p = compare(values, values[::-1])
    assert p == 1
    value, errors, p = compare(np.full((3, 12), 0.1), np.full((4, 12), 0.1))
    assert (value[0], p[0], half_width(errors)[0]) == (0, 1, 0)


def test_a_difference_that_never_varies_is_sure():
    assert compare(np.ones((3, 12)), np.full((3, 12), 0.5))[2] == 0


def test_p_is_five_per_cent_at_the_end_of_the_interval():
    grid = itertools.product(
        (0.0, 0.01, 0.4, 1.0), (0.0, 0.3, 2.0), (2.0, 3.7, 38.0), (9.0, 9999.0)
    )
    seeds, rest, *degrees = np.array(list(grid)).T
    errors = Errors(seeds, np.full(len(seeds), 0.3), rest, *degrees)
    assert two_sided_p(half_width(errors), errors) == pytest.approx(0.05)
    alone = Errors(*(np.array([part]) for part in (4.0, 0.0, 0.0, 2.0, 99.0)))
    assert half_width(alone) == pytest.approx(2 * stats.t.isf(0.025, 2), rel=1e-4)


def test_the_mean_of_one_method_varies_with_seeds_and_queries():
    values = runs(seeds=4, queries=30, seed=0.2, own=0.4, rest=0.1)
    errors = mean_errors([summary(values)])
    left = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    assert errors.rest == pytest.approx((left**2).sum() / (3 * 29) / values.size)
    assert errors.seeds == pytest.approx(stats.sem(values.mean(1)) ** 2)
    assert errors.queries == pytest.approx(stats.sem(values.mean(0)) ** 2)
    assert (errors.seeds_df, errors.queries_df) == (3, 29)


@pytest.mark.parametrize(("seeds", "queries"), [(2, 12), (3, 9), (1, 1)])
def test_two_seeds_or_nine_queries_are_too_few_for_a_test(seeds, queries):
    assert not summary(runs(seeds, queries, rest=1)).testable
    assert summary(runs(3, 10, rest=1)).testable


def test_equal_methods_are_told_apart_as_rarely_as_it_says():
    """Family-wise too, where one t with estimated degrees of freedom errs often."""
    found = rates(REGIMES["both"], n_seeds=3, n_queries=1000, trials=120, seed=1)
    shares = dict(zip(found.names, found.shares(), strict=True))
    assert 0.01 < shares["2"] < 0.06
    assert max(shares["6"], shares["20"], shares["40"]) < 0.06
    assert shares["40, one t"] > 0.12
    assert shares["covered"] > 0.93
    assert shares["found"] > 0.25


def test_one_t_has_the_degrees_of_freedom_of_satterthwaite():
    first, second = runs(seed=0.1, own=0.3, rest=0.0), runs(seed=0.1, own=0.3, rest=0.0)
    value, errors, _ = compare(first, second)
    parts = [stats.sem(first.mean(1)) ** 2, stats.sem(second.mean(1)) ** 2]
    parts += [stats.sem(first.mean(0) - second.mean(0)) ** 2]
    degrees = sum(parts) ** 2 / sum(p**2 / df for p, df in zip(parts, (2, 2, 11), strict=True))
    expected = 2 * stats.t.sf(abs(value) / sum(parts) ** 0.5, degrees)
    assert one_t(value, errors) == pytest.approx(expected)


def test_many_rows_leave_clear_differences_significant():
    methods = [runs(3, 100, seed=0.001, own=0.01, rest=0.01, level=n / 30) for n in range(30)]
    assert (holm(compare(*methods)[2]) < 0.05).all()


def test_the_interval_over_seeds_is_students():
    values = RNG.random((5, 3))
    half = half_width_over_seeds(values.std(0, ddof=1), np.full(3, 5))
    low, high = stats.t.interval(0.95, 4, loc=values.mean(0), scale=stats.sem(values))
    np.testing.assert_allclose(2 * half, high - low)


def test_intervals_stay_between_zero_and_one_and_are_as_wide_as_they_say_in_the_middle():
    means, half = np.array([0.0, 1e-9, 0.5, 0.98, 1.0]), np.array([0.0, 0.2, 0.01, 5.0, 0.0])
    low, high = interval_in_unit(means, half)
    assert ((low >= 0) & (low <= means) & (means <= high) & (high <= 1)).all()
    assert high[2] - low[2] == pytest.approx(0.02, rel=1e-3)
    assert np.isnan(interval_in_unit(np.array([0.5]), np.array([np.nan]))).all()


def test_holm_never_falls_and_ends_at_one():
    assert holm(np.array([0.5, 0.001, 0.4])).tolist() == [0.8, 0.003, 0.8]
    assert holm(np.array([])).tolist() == []
