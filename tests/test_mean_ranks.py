import itertools

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats

from results.analysis.arrange import build
from results.analysis.board import Pair
from results.analysis.comparisons import compare
from results.analysis.ranking import (
    area_under_bits,
    areas,
    cliques,
    datasets_needed,
    friedman,
    rank,
    rank_intervals,
    ranks,
    signed_rank,
)
from results.analysis.statistics import Difference
from results.store.store import Scan
from results.tables.comparisons import statistics_markdown
from tests.record_factory import board_of, by_neighbours, grid, make_record

GAP = np.nan


def board_of_means(table, bits=(16,), **changes):
    """A board of means alone, (data sets, methods), each the same at all code lengths."""
    records = [
        make_record(
            dataset=f"set {n}", method=name, bits=b, metrics={"mAP@1000": float(v)}, **changes
        )
        for n, row in enumerate(table)
        for name, v in zip("abcdef", row, strict=False)
        for b in bits
        if not np.isnan(v)
    ]
    return build(Scan(records, [], []))


def test_ranks_give_equal_methods_their_mean_and_the_largest_one():
    assert ranks(np.array([[0.1, 0.4, 0.4, 0.2]])).tolist() == [[4, 1.5, 1.5, 3]]


def test_friedman_is_scipys_and_finds_nothing_between_equal_methods():
    table = np.tile([1.0, 1.0, 2.0], (5, 1))
    expected = stats.friedmanchisquare(*table.T)
    assert friedman(table) == pytest.approx((expected.statistic, expected.pvalue))
    assert friedman(np.ones((4, 3)) + np.array([0, 1e-15, 0])) == (0.0, 1.0)


def test_wilcoxon_of_equal_methods_is_one():
    assert signed_rank(np.ones(5), np.ones(5) + 1e-15) == 1.0


def test_area_of_a_constant_and_of_a_straight_line():
    bits = np.array([8, 16, 128])
    assert area_under_bits(bits, np.full(3, 0.4)) == pytest.approx(0.4)
    assert area_under_bits(bits, np.log2(bits)) == pytest.approx(5)
    assert area_under_bits(bits[:1], np.array([0.7])) == 0.7


def test_a_mean_rank_has_an_interval_over_data_sets():
    table = np.array([[1, 2], [1, 2], [2, 1], [1, 2], [1, 2], [2, 1], [1, 2], [1, 2]], dtype=float)
    (low, high), _ = intervals = rank_intervals(table)
    twos = stats.binom.ppf([0.025, 0.975], 8, 0.25)  # among eight draws
    assert (low, high) == tuple(1 + twos / 8)
    assert intervals == rank_intervals(table)
    assert rank_intervals(np.ones((2, 3))) == ()


def test_leaving_one_data_set_out_tells_whom_the_first_place_hangs_on():
    ranking = rank(board_of_means([[0.9, 0.1, 0.5], [0.1, 0.2, 0.15], [0.9, 0.4, 0.3]]), "method")
    assert ranking.methods == ("a", "b", "c")
    assert ranking.without["set 0"] == (2.0, 1.5, 2.5)
    assert ranking.first_without == {"set 0": ("b",)}
    assert rank(board_of_means([[0.9, 0.1]]), "method").without == {}


def test_areas_are_of_rows_with_codes():
    records = [
        make_record(method="a", bits=16, metrics={"mAP@1000": 0.2}),
        make_record(method="a", bits=64, metrics={"mAP@1000": 0.4}),
        make_record(method="float", kind="yardstick", bits=0, metrics={"mAP@1000": 0.9}),
    ]
    (section,) = build(Scan(records, [], [])).sections
    assert areas(section) == {"a": (pytest.approx(0.3), (16, 64))}


def test_every_data_set_counts_once_whatever_its_columns():
    """Two code lengths and two backbones of the first set are one row of the ranks, their mean."""
    first = {("pixels", 16): (0.9, 0.1), ("pixels", 32): (0.9, 0.1), ("cnn", 16): (0.1, 0.8)}
    records = [
        make_record(
            dataset="one", backbone=backbone, bits=bits, method=name, metrics={"mAP@1000": value}
        )
        for (backbone, bits), values in first.items()
        for name, value in zip("ab", values, strict=True)
    ]
    records += [make_record(dataset="two", method=m, metrics={"mAP@1000": 0.5}) for m in "ab"]
    ranking = rank(build(Scan(records, [], [])), "method")
    assert ranking.datasets == ("one", "two")
    assert ranking.methods == ("a", "b")
    assert ranking.mean_ranks == (1.25, 1.75)
    (pair,) = ranking.pairs
    assert pair.difference.value == pytest.approx(((0.9 + 0.1) / 2 - (0.1 + 0.8) / 2) / 2)
    assert pair.n == 2


def test_ranks_and_their_tests_agree_with_scipy_and_scikit_posthocs():
    table = np.random.default_rng(5).random((9, 4)) + np.array([0, 0.3, 0.1, 0.9])
    ranking = rank(board_of_means(table, bits=(16, 64)), "method")
    expected = stats.rankdata(-table, axis=1).mean(0)
    assert dict(zip(ranking.methods, ranking.mean_ranks, strict=True)) == pytest.approx(
        dict(zip("abcd", expected, strict=True))
    )
    assert list(ranking.mean_ranks) == sorted(ranking.mean_ranks)
    assert ranking.friedman == pytest.approx(tuple(stats.friedmanchisquare(*table.T)))
    signed = scikit_posthocs.posthoc_wilcoxon(list(table.T), p_adjust="holm").to_numpy()
    assert len(ranking.pairs) == 6
    for pair in ranking.pairs:
        place = "abcd".index(pair.first), "abcd".index(pair.second)
        assert pair.p_holm == pytest.approx(signed[place], abs=1e-9)


def test_methods_that_always_differ_are_told_apart_from_the_data_sets_on_that_it_takes():
    needed = datasets_needed(4)
    table = np.arange(4) / 10 + np.random.default_rng(0).random((needed, 1)) / 2
    enough = rank(board_of_means(table), "method")
    assert all(pair.significant for pair in enough.pairs)
    assert (enough.alike, enough.undecided) == ((), "")
    few = rank(board_of_means(table[1:]), "method")
    assert not any(pair.significant for pair in few.pairs)
    assert few.alike == ()
    assert few.undecided.startswith(f"{needed - 1} data sets cannot tell 4 methods apart")
    assert few.undecided.endswith(f"that takes {needed}.")


def test_methods_that_do_not_differ_share_a_bar():
    rng = np.random.default_rng(2)
    table = rng.random((12, 4)) / 10 + np.array([0.1, 0.1, 0.6, 0.6])
    alike = rank(board_of_means(table), "method").alike
    assert sorted(map(sorted, alike)) == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("apart", "expected"),
    [
        ([], ["abcd"]),
        (["ad"], ["abc", "bcd"]),
        (["ac", "ad", "bd"], ["ab", "bc", "cd"]),
        (["bc"], ["ab", "cd"]),
        (["ab", "ac", "ad"], ["bcd"]),
        (["ab", "bc", "cd"], []),
    ],
    ids=str,
)
def test_bars_are_the_longest_runs_in_which_no_pair_differs(apart, expected):
    pairs = [
        Pair(a, b, Difference(0, 0, 0, 0), 0.01 if a + b in apart else 0.5, 9)
        for a, b in itertools.combinations("abcd", 2)
    ]
    assert ["".join(group) for group in cliques("abcd", pairs)] == expected


def test_what_would_leave_a_gap_is_left_out_and_named():
    table = [[0.1, 0.2, 0.3, GAP], [0.1, 0.2, 0.3, GAP], [0.3, GAP, GAP, 0.5]]
    ranking = rank(board_of_means(table), "method")
    assert ranking.methods == ("c", "b", "a")
    assert ranking.datasets == ("set 0", "set 1")
    assert ranking.left_out == ("d", "set 2 / 300-1497 / pixels, 16 bits")
    assert ranking.friedman[0] == pytest.approx(4)


def test_one_data_set_is_ranked_without_a_test_and_one_method_is_not():
    ranking = rank(board_of_means([[0.1, 0.2, 0.3, 0.3]]), "method")
    assert ranking.friedman is None
    assert ranking.mean_ranks == (1.5, 1.5, 3, 4)
    assert ranking.undecided.startswith("1 data set cannot tell 4 methods apart")
    assert rank(board_of_means([[0.1]]), "method") is None
    assert rank(board_of_means([[0.1, 0.2]], kind="captions"), "method") is None


def test_labels_and_neighbours_are_two_rankings():
    records = [*grid(), *by_neighbours(grid())]
    labels, neighbours = compare(board_of(records), {}).comparisons.rankings
    assert (labels.truth, labels.methods) == ("labels", ("cibhash", "itq", "lsh"))
    assert (neighbours.truth, neighbours.methods) == ("neighbours", ("lsh", "itq", "cibhash"))
    assert labels.mean_ranks == neighbours.mean_ranks == (1, 2, 3)
    text = "\n".join(statistics_markdown(compare(board_of(records), {})))
    assert "Mean ranks over one data set" in text
    assert "Mean ranks by neighbours over one data set" in text
