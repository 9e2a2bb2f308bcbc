import sys

import numpy as np
import pytest

from benchmarks.perf import error_rates
from benchmarks.perf.error_rates import REGIMES, p_where_it_matters, rates, real, stored
from results.analysis.statistics import pair_errors, summary, two_sided_p
from results.store.store import ResultStore
from tests.record_factory import make_record

RNG = np.random.default_rng(4)


def shares(found):
    return dict(zip(found.names, found.shares(), strict=True))


def save(store, method, seeds, level, **changes):
    for seed in range(seeds):
        ap = (level + RNG.normal(0, 0.05, 30)).astype(np.float32)
        record = make_record(method=method, seed=seed, **changes)
        store.save(record, {"query_rows": np.arange(30), "query_ap": ap})


def test_real_values_vary_as_the_stored_ones_around_one_mean():
    runs = {}
    for method, level in (("a", 0.3), ("b", 0.7)):
        seeds, queries = RNG.normal(0, 0.05, (5, 1)), RNG.normal(0, 0.2, 40)
        runs["d", "p", "x", method, 16] = level + seeds + queries + RNG.normal(0, 0.02, (5, 40))
    drawn = [real(runs)(np.random.default_rng(n), 3, 40) for n in range(150)]
    values = np.stack([values for values, _ in drawn])
    assert {level for _, level in drawn} == {np.mean([one.mean() for one in runs.values()])}
    assert values.mean() == pytest.approx(drawn[0][1], abs=0.01)
    of_seeds = values.mean(3).var(2, ddof=1).mean()
    stored_seeds = np.mean([one.mean(1).var(ddof=1) for one in runs.values()])
    assert of_seeds == pytest.approx(stored_seeds, rel=0.1)
    of_queries = values.mean(2).var(2).mean()
    assert of_queries == pytest.approx(
        np.mean([one.mean(0).var() for one in runs.values()]), rel=0.1
    )


def test_methods_with_three_seeds_are_read_and_yardsticks_are_not(tmp_path):
    store = ResultStore(tmp_path)
    save(store, "lsh", 3, 0.3)
    save(store, "itq", 2, 0.5)
    save(store, "random", 3, 0.1, kind="yardstick")
    assert [(*entry[3:], len(runs)) for entry, runs in stored(tmp_path).items()] == [("lsh", 16, 3)]


def test_a_folder_without_three_seeds_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    save(ResultStore(tmp_path), "lsh", 2, 0.3)
    monkeypatch.setattr(sys, "argv", ["error_rates", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        error_rates.main()
    *_, line = capsys.readouterr().err.splitlines()
    assert "expected a method with 3 seeds or more, found none" in line


def test_without_a_folder_the_table_says_that_real_values_are_missing(monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["error_rates", "--trials", "2", "--seeds", "3", "--queries", "10"]
    )
    error_rates.main()
    head, rule, *lines, blank, reason = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines] == [f"| {name}" for name in REGIMES]
    assert {line.count("|") for line in (head, rule, *lines)} == {11}
    assert (blank, reason) == ("", "No real values: they need --results DIR.")


def test_a_p_is_left_out_only_where_it_could_tell_nothing_apart():
    values, _ = REGIMES["both"](RNG, 3, 50)
    gaps, errors = pair_errors([summary(runs) for runs in values[:12]])
    whole, limits = two_sided_p(gaps, errors), np.full(66, 0.3)
    found = p_where_it_matters(gaps, errors, limits)
    assert 0 < (whole < 0.3).sum() < 66
    np.testing.assert_allclose(found[whole < 0.3], whole[whole < 0.3])
    assert (found[whole >= 0.3] >= 0.3).all()


def test_methods_that_differ_are_counted_as_errors_of_every_family():
    def apart(rng, n_seeds, n_queries):
        values, level = REGIMES["both"](rng, n_seeds, n_queries)
        return values + 10 * np.arange(40)[:, None, None], level

    found = shares(rates(apart, 5, 20, trials=2))
    assert [found[name] for name in ("2", "6", "20", "40", "40, one t")] == [1.0] * 5
    assert found["covered"] < 0.3
