import numpy as np
import pytest
import scikit_posthocs
from scipy import stats

from results.analysis.arrange import build
from results.analysis.comparisons import areas, compare, rank
from results.analysis.per_query import query_aps
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
    assert "paired bootstrap over queries and seeds, Holm" in leaderboard_markdown(board)


def test_a_best_that_chance_explains_is_not_marked(store):
    save(store, "lsh", noise(0.50))
    save(store, "itq", noise(0.501, seed=1))
    board = load_board(store, ORDER)
    assert entries(board, "itq") == entries(board, "lsh") == [(False, False)]
    assert "**" not in leaderboard_markdown(board).split("## Statistics")[0]


def test_one_seed_is_compared_over_queries_alone(store):
    save(store, "lsh", noise(0.3, seeds=1))
    save(store, "itq", noise(0.6, seeds=1, seed=1))
    board = load_board(store, ORDER)
    assert entries(board, "itq") == [(True, False)]
    assert "bootstrap over queries, Holm" in leaderboard_markdown(board)


def test_kinds_are_compared_apart(store):
    save(store, "lsh", noise(0.3))
    save(store, "tree", noise(0.9, seed=1), kind="hierarchy")
    save(store, "random", noise(0.1, seed=2), kind="yardstick")
    board = load_board(store, ORDER)
    assert [column.pairs for column in board.comparisons.columns] == [(), (), ()]
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


def values_board(table, bits):
    """A board of means alone: `table` is (columns, methods)."""
    records = [
        make_record(method=name, bits=length, metrics={"mAP@1000": float(value)})
        for length, row in zip(bits, table, strict=True)
        for name, value in zip("abcd", row, strict=True)
        if not np.isnan(value)
    ]
    return build(Scan(records, [], []))


def test_ranks_and_their_tests_agree_with_scipy_and_scikit_posthocs():
    table = np.random.default_rng(5).random((8, 4)) + np.array([0, 0.3, 0.1, 0.5])
    board = compare(values_board(table, range(8, 72, 8)), {})
    ranking = board.comparisons.rankings[0]
    expected = stats.rankdata(-table, axis=1).mean(0)
    assert dict(zip(ranking.methods, ranking.mean_ranks, strict=True)) == pytest.approx(
        dict(zip("abcd", expected, strict=True))
    )
    assert list(ranking.mean_ranks) == sorted(ranking.mean_ranks)
    assert ranking.friedman == pytest.approx(tuple(stats.friedmanchisquare(*table.T)))
    frame = statistics_frame(board)
    assert list(frame) == COLUMNS
    nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(table).to_numpy()
    signed = scikit_posthocs.posthoc_wilcoxon(list(table.T), p_adjust="holm").to_numpy()
    for name, column, reference in (("nemenyi", "p", nemenyi), ("wilcoxon", "p_holm", signed)):
        rows = frame[frame["statistic"] == name]
        assert len(rows) == 6
        for row in rows.itertuples():
            place = "abcd".index(row.method), "abcd".index(row.other)
            assert getattr(row, column) == pytest.approx(reference[place], abs=1e-6)


def test_ranks_are_over_columns_without_gaps_and_what_is_left_out_is_named():
    gap = np.nan
    table = np.array([[0.1, 0.2, 0.3, gap], [0.1, 0.2, 0.3, gap], [0.3, gap, gap, 0.5]])
    ranking = rank(values_board(table, (16, 32, 64)), "method")
    assert ranking.methods == ("c", "b", "a")
    assert len(ranking.columns) == 2
    assert ranking.left_out == ("d", "digits / 300-1497 / pixels, 64 bits")
    assert ranking.friedman[0] == pytest.approx(4)


def test_two_methods_or_one_column_are_ranked_without_a_test():
    ranking = rank(values_board(np.array([[0.1, 0.2, 0.3, 0.3]]), (16,)), "method")
    assert (ranking.friedman, ranking.critical_difference, ranking.pairs) == (None, None, ())
    assert ranking.mean_ranks == (1.5, 1.5, 3, 4)
    assert rank(values_board(np.array([[0.1, *[np.nan] * 3]]), (16,)), "method") is None


def test_areas_are_of_rows_with_codes():
    board = values_board(np.array([[0.2, *[np.nan] * 3], [0.4, *[np.nan] * 3]]), (16, 64))
    assert areas(board.sections[0])["a"] == (pytest.approx(0.3), (16, 64))


def test_statistics_are_in_the_markdown_with_names_escaped(store):
    save(store, "<b>", noise(0.3))
    save(store, "x|y", noise(0.6, seed=1), bits=16)
    text = leaderboard_markdown(load_board(store)).split("## Statistics")[1]
    assert "| &lt;b&gt; | **0.295 [" in text
    assert "| x\\|y | best | 0.596" in text
    assert "Too few methods or columns for a test." in text


def test_nothing_is_said_where_nothing_was_compared():
    board = compare(build(Scan([], [], [])), {})
    assert "Statistics" not in leaderboard_markdown(board)
    assert len(statistics_frame(board)) == 0
