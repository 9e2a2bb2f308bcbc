import numpy as np
import pytest

from results.analysis.arrange import build
from results.analysis.comparisons import compare
from results.analysis.per_query import query_aps
from results.analysis.statistics import half_width, interval_in_unit, mean_errors, summary
from results.report import load_board
from results.store.scan import Scan
from results.store.store import ResultStore
from results.tables.comparisons import COLUMNS, statistics_frame
from results.tables.leaderboard import leaderboard_latex, leaderboard_markdown, leaderboard_plain
from tests.record_factory import ORDER, make_record

ROWS = np.arange(60)


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path)


def save(store, method, ap, bits=16, rows=ROWS, **changes):
    """One run a row of `ap`, (S, Q)."""
    paths = []
    for seed, values in enumerate(np.atleast_2d(ap)):
        metrics = {"mAP": 0.1, "mAP@1000": float(values.mean())}
        record = make_record(method=method, bits=bits, seed=seed, metrics=metrics, **changes)
        arrays = {"query_rows": rows, "query_ap": values.astype(np.float32)}
        paths.append(store.save(record, arrays))
    return paths


def noise(level, seeds=3, seed=0, queries=60):
    return np.clip(level + np.random.default_rng(seed).normal(0, 0.05, (seeds, queries)), 0, 1)


def entries(board, name):
    section = board.sections[0]
    row = next(row for row in section.rows if row.method == name)
    return [(section.best(row, bits), section.second(row, bits)) for bits in section.bits]


def test_a_clear_best_and_second_are_marked(store):
    for place, level in enumerate((0.3, 0.5, 0.7)):
        save(store, ORDER[place], noise(level, seed=place))
    board = load_board(store, ORDER)
    assert [entries(board, name) for name in ORDER] == [
        [(False, False)],
        [(False, True)],
        [(True, False)],
    ]
    assert "| cibhash | **0.699" in leaderboard_markdown(board)
    assert "| itq | <ins>0.496" in leaderboard_markdown(board)
    assert r"\underline{0.496" in leaderboard_latex(board)
    marked = [line for line in leaderboard_plain(board).splitlines() if line.endswith(("*", "+"))]
    assert [line.split()[0] + line[-1] for line in marked] == ["itq+", "cibhash*"]
    assert (
        "(t test over seeds and queries, Holm over the column, 5 %)" in board.sections[0].caption()
    )


def test_a_best_that_chance_explains_is_not_marked(store):
    save(store, "lsh", noise(0.50))
    save(store, "itq", noise(0.501, seed=1))
    board = load_board(store, ORDER)
    assert entries(board, "itq") == entries(board, "lsh") == [(False, False)]
    assert "**" not in leaderboard_markdown(board).split("## Statistics")[0]


def test_two_seeds_are_not_tested_however_far_apart(store):
    save(store, "lsh", noise(0.3, seeds=2))
    save(store, "itq", noise(0.6, seeds=2, seed=1))
    board = load_board(store, ORDER)
    (pair,) = (pair for column in board.comparisons.columns for pair in column.pairs)
    assert pair.difference.value == pytest.approx(0.3, abs=0.02)
    assert np.isnan([*pair.difference[1:], pair.p_holm]).all()
    assert not pair.significant
    assert "Best mean of a column in bold, untested (a test takes 3 seeds)." in (
        board.sections[0].caption()
    )
    assert "| itq | best | 0.597 |" in leaderboard_markdown(board)
    assert "| lsh | 0.293 | 0.304 |" in leaderboard_markdown(board)
    (row,) = (row for row in statistics_frame(board).itertuples() if row.statistic == "difference")
    assert np.isnan([row.ci_low, row.ci_high, row.p, row.p_holm]).all()


def test_entries_of_too_few_seeds_are_not_tested_beside_others_that_are(store):
    for place, (name, seeds) in enumerate({"lsh": 3, "itq": 2, "cibhash": 5}.items()):
        save(store, name, noise(0.3 + 0.2 * place, seeds, seed=place))
    board = load_board(store, ORDER)
    tested = {
        (pair.first, pair.second): pair.p_holm
        for column in board.comparisons.columns
        for pair in column.pairs
        if not np.isnan(pair.p_holm)
    }
    assert list(tested) == [("cibhash", "lsh")]
    assert tested["cibhash", "lsh"] < 1e-6
    assert entries(board, "cibhash") == [(False, False)]  # the second of its column is untested
    assert "Entries of fewer than 3 seeds are not tested." in board.sections[0].caption()


@pytest.mark.parametrize("seeds", [1, 3])
def test_nothing_is_marked_with_nine_queries_and_the_caption_says_why(store, seeds):
    for place, name in enumerate(ORDER):
        ap = noise(0.1 + 0.3 * place, seeds, queries=9)
        info = make_record().protocol_info | {"n_query": 9}
        save(store, name, ap, rows=ROWS[:9], protocol_info=info)
    board = load_board(store, ORDER)
    assert {mark for name in ORDER for mark in entries(board, name)} == {(False, False)}
    caption = "Nothing is marked: fewer than 10 queries tell nothing apart."
    assert caption in leaderboard_markdown(board)


def test_intervals_are_over_queries_where_the_ap_of_each_is_known(store):
    ap = noise(0.97, seeds=4)
    save(store, "lsh", ap)
    save(store, "itq", noise(0.3, seeds=2))
    board = load_board(store, ORDER)
    table = board.leaderboard.set_index(["method", "metric"])
    known = table.loc["lsh", "mAP@1000"]
    half = half_width(mean_errors([summary(ap.astype(np.float32))]))
    low, high = interval_in_unit(ap.mean(keepdims=True)[0], half)
    assert known["interval"] == "seeds and queries"
    assert (known["ci_low"], known["ci_high"]) == pytest.approx((low[0], high[0]))
    assert known["mean"] < known["ci_high"] < 1
    assert table.loc["lsh", "mAP"]["interval"] == "seeds"
    assert table.loc["itq"][["ci_low", "ci_high", "interval"]].isna().all(axis=None)


def test_kinds_are_compared_apart(store):
    save(store, "lsh", noise(0.3))
    save(store, "tree", noise(0.9, seed=1), kind="hierarchy")
    save(store, "random", noise(0.1, seed=2), kind="yardstick")
    board = load_board(store, ORDER)
    assert {column.pairs for column in board.comparisons.columns} == {()}
    assert not board.comparisons.rankings
    assert entries(board, "tree") == [(False, False)]


def test_an_entry_whose_arrays_are_damaged_is_named_and_not_compared(store):
    save(store, "lsh", noise(0.3))
    path = save(store, "itq", noise(0.6, seed=1))[1].with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:40])
    save(store, "cibhash", noise(0.8, seed=2))
    board = load_board(store, ORDER)
    assert [(p.first, p.second) for c in board.comparisons.columns for p in c.pairs] == [
        ("cibhash", "lsh")
    ]
    note = next(note for note in board.notes if note.startswith("Not compared: "))
    assert path.name in note
    assert "\n" not in note
    assert entries(board, "cibhash") == [(False, False)]  # the second of its column is untested


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"query_rows": ROWS + 1, "query_ap": np.zeros(60)}, "not those of the other runs"),
        ({"query_rows": ROWS, "query_ap": np.zeros(59)}, "one finite number for each of 60"),
        ({"query_rows": ROWS, "query_ap": np.full(60, np.nan)}, "one finite number"),
        ({"query_rows": ROWS}, "query_ap"),
        ({"query_rows": ROWS[:0], "query_ap": np.zeros(0)}, "no query"),
    ],
    ids=["other queries", "length", "nan", "absent", "empty"],
)
def test_arrays_that_cannot_be_compared_are_refused_with_a_reason(store, change, words):
    save(store, "itq", noise(0.5))
    record = make_record()
    store.save(record, change)
    values, notes = query_aps(store, [*store.records(), record])
    assert {entry[3] for entry in values} == {"itq"} or words == "no query"
    assert any(words in note for note in notes)


def test_all_pairs_of_a_column_share_a_correction(store):
    for place, name in enumerate("abcd"):
        save(store, name, noise(0.5 + 0.01 * place, seed=place))
    pairs = load_board(store).comparisons.columns[0].pairs
    assert len(pairs) == 6
    smallest = min(pairs, key=lambda pair: pair.difference.p)
    assert smallest.p_holm == pytest.approx(min(1, 6 * smallest.difference.p))
    assert all(p.difference.value >= 0 and p.p_holm >= p.difference.p for p in pairs)


def test_statistics_name_every_pair_mean_rank_and_test(store):
    for place, name in enumerate("abc"):
        for dataset in ("one", "two"):
            save(store, name, noise(0.3 + 0.1 * place, seed=place), dataset=dataset)
    board = load_board(store)
    frame = statistics_frame(board)
    assert list(frame) == COLUMNS
    assert frame["statistic"].value_counts().to_dict() == {
        **{"difference": 6, "area under bits": 6},
        **{"mean rank": 3, "mean rank without": 6, "friedman": 1, "wilcoxon": 3},
        **{"variance share": 4},  # method and seed, of each data set
    }
    pair = board.comparisons.columns[0].pairs[0]
    row = frame.iloc[0]
    assert (row["method"], row["other"], row["n"]) == ("c", "b", 60)
    assert tuple(row[["value", "ci_low", "ci_high", "p"]]) == pair.difference
    assert frame[frame["statistic"] == "wilcoxon"]["n"].tolist() == [2, 2, 2]
    text = leaderboard_markdown(board).split("## Statistics")[1]
    assert "Mean ranks over 2 data sets, by the area under the line" in text
    assert "Friedman: chi-squared 4.00, p 0.135. 2 data sets cannot tell 3 methods apart" in text


def test_statistics_are_in_the_markdown_with_names_escaped(store):
    save(store, "<b>", noise(0.3))
    save(store, "x|y", noise(0.6, seed=1), bits=16)
    text = leaderboard_markdown(load_board(store)).split("## Statistics")[1]
    assert "| &lt;b&gt; | **0.295 [" in text
    assert "| x\\|y | best | 0.596" in text
    assert "1 data set cannot tell 2 methods apart" in text


def test_nothing_is_said_where_nothing_was_compared():
    board = compare(build(Scan([], [], [])), {})
    assert "Statistics" not in leaderboard_markdown(board)
    assert len(statistics_frame(board)) == 0
