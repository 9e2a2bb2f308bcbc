"""Tests that a report does not use, and what they would find."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.perf import few_seeds
from benchmarks.perf.few_seeds import HEADINGS, TESTS, shares

RNG = np.random.default_rng(5)
SEEDS = RNG.normal(size=(40, 2, 3)) * [[1.0], [2.0]]
FIRST, SECOND = SEEDS[:, 0], SEEDS[:, 1]


@pytest.mark.parametrize(("name", "equal"), [("Welch", False), ("pooled", True)])
def test_two_methods_are_tested_as_scipy_does(name, equal):
    expected = stats.ttest_ind(FIRST, SECOND, axis=1, equal_var=equal)
    got = TESTS[name](SEEDS, np.ones(2))
    np.testing.assert_allclose(got[:, 0], expected.pvalue)


def test_known_spreads_make_a_normal_test():
    ratio = (FIRST.mean(1) - SECOND.mean(1)) / np.sqrt((1 + 4) / 3)
    got = TESTS["known spreads"](SEEDS, np.array([1.0, 4.0]))
    np.testing.assert_allclose(got[:, 0], 2 * stats.norm.sf(np.abs(ratio)))


def test_the_prior_of_many_spreads_is_the_one_that_they_were_drawn_from():
    """Variances s of 10 degrees of freedom, 3 F(10, 8): each shrinks to (8 * 3 + 10 s) / 18."""
    rng = np.random.default_rng(0)
    variances = 3 * 8 / rng.chisquare(8, size=(1, 1000, 1))
    seeds = np.sqrt(variances) * rng.normal(size=(1, 1000, 11))
    shrunk = (8 * 3 + 10 * seeds[0].var(1, ddof=1)) / 18
    a, b = shrunk[0], shrunk[1:]
    ratio = np.abs(seeds[0, 0].mean() - seeds[0, 1:].mean(1)) / np.sqrt((a + b) / 11)
    expected = 2 * stats.t.sf(ratio, 18 * (a + b) ** 2 / (a**2 + b**2))
    got = TESTS["moderated"](seeds, np.ones(1000))[0, :999]
    np.testing.assert_allclose(got, expected, atol=0.01)


def test_of_two_seeds_the_bootstrap_tells_apart_what_does_not_overlap():
    seeds = RNG.normal(size=(200, 2, 2))
    apart = (seeds[:, 0].min(1) > seeds[:, 1].max(1)) | (seeds[:, 0].max(1) < seeds[:, 1].min(1))
    assert ((TESTS["bootstrap"](seeds, np.ones(2))[:, 0] < 0.05) == apart).all()


def test_no_test_that_holds_its_level_finds_more_than_the_one_that_knows_the_spreads(capsys):
    trials = dict.fromkeys(TESTS, 1500) | {"bootstrap": 200}
    found = {name: list(shares(TESTS[name], 3, 1.25, n)) for name, n in trials.items()}
    assert found["known spreads"][-1] == pytest.approx(0.335, abs=0.03)  # of a normal distribution
    assert found["Welch"][-1] < found["pooled"][-1] < found["known spreads"][-1]
    errors = {name: dict(zip(HEADINGS, rates, strict=False)) for name, rates in found.items()}
    assert errors["pooled"]["worst pair"] < 0.075 < 0.13 < errors["pooled"]["worst pair, x 4"]
    assert errors["bootstrap"]["6"] > 0.5
    few_seeds.main(["--trials", "20"])
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in TESTS]
    assert {row.count("|") for row in rows} == {head.count("|")}
