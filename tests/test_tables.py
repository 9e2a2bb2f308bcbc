from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from results.analysis.arrange import select
from results.analysis.frames import runs_frame
from results.choices import COLUMNS
from results.tables.leaderboard import leaderboard_latex, leaderboard_markdown, leaderboard_plain
from tests.record_factory import ORDER, board_of, by_neighbours, failure, grid, make_record


def rows_of(text, name):
    return [line for line in text.splitlines() if line.lstrip("| ").startswith(name)]


def test_frames_have_the_columns_of_the_files():
    board = board_of(grid())
    assert ",".join(board.runs) == "dataset,protocol,backbone,method,bits,seed,metric,value"
    names = "dataset protocol backbone method bits metric mean std n ci_low ci_high interval"
    assert list(board.leaderboard) == [*names.split(), "rank", "kind"]


def test_frames_of_nothing_keep_their_columns():
    assert len(runs_frame([])) == 0
    assert list(board_of([]).leaderboard)[-1] == "kind"


def test_the_least_oversampling_is_the_best():
    values = {"lsh": (30.0, 32.0, 31.0), "itq": (20.0, 24.0, 22.0)}
    records = [
        make_record(method=name, seed=seed, metrics={"oversample10@95": value})
        for name, own in values.items()
        for seed, value in enumerate(own)
    ]
    table = board_of(records).leaderboard.set_index("method")
    assert table["rank"].to_dict() == {"lsh": 2, "itq": 1}


def test_mean_spread_and_interval_agree_with_scipy():
    values = [0.31, 0.35, 0.30, 0.42]
    records = [make_record(seed=s, metrics={"mAP": v}) for s, v in enumerate(values)]
    row = board_of(records).leaderboard.iloc[0]
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert row["n"] == 4
    assert row["interval"] == "seeds"
    mean, error = np.mean(values), stats.sem(values)
    of_logit = stats.t.interval(0.95, 3, np.log(mean / (1 - mean)), error / (mean * (1 - mean)))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(1 / (1 + np.exp(-np.array(of_logit))))


def test_intervals_leave_zero_to_one_only_where_the_metric_does():
    values = {
        "mAP": (0.999, 0.97, 1.0),
        "bits.entropy": (0.99, 0.9, 1.0),
        "codes.distinct": (5, 9, 1),
    }
    records = [
        make_record(seed=s, metrics={name: v[s] for name, v in values.items()}) for s in range(3)
    ]
    table = board_of(records).leaderboard.set_index("metric")
    bounded = table.loc[["mAP", "bits.entropy"]]
    assert ((bounded["ci_low"] > 0) & (bounded["ci_high"] < 1)).all()
    low, high = stats.t.interval(0.95, 2, loc=5, scale=stats.sem(values["codes.distinct"]))
    count = table.loc["codes.distinct"]
    assert (count["ci_low"], count["ci_high"]) == pytest.approx((low, high))


def test_two_seeds_have_a_spread_and_no_interval():
    records = [make_record(seed=s, metrics={"mAP": 0.2 + 0.1 * s}) for s in range(2)]
    row = board_of(records).leaderboard.iloc[0]
    assert row["std"] == pytest.approx(0.1 / 2**0.5)
    assert row[["ci_low", "ci_high", "interval"]].isna().all()


def test_one_seed_has_no_spread():
    table = board_of([make_record()]).leaderboard
    assert table[["std", "ci_low", "ci_high"]].isna().all(axis=None)
    text = table.to_csv(index=False).splitlines()[1]
    assert text == "digits,300-1497,pixels,lsh,16,mAP,0.3,,1,,,,1,method"


def test_ranks_go_to_methods_alone_and_ties_share_the_lower():
    values = {"a": 0.5, "b": 0.7, "c": 0.5, "d": 0.1, "random": 0.9}
    records = [make_record(method=name, metrics={"mAP": v}) for name, v in values.items()]
    records[-1] = replace(records[-1], kind="yardstick")
    ranks = board_of(records).leaderboard.set_index("method")["rank"]
    assert ranks[["a", "b", "c", "d"]].tolist() == [2, 1, 2, 4]
    assert ranks.isna()["random"]


def test_equal_seeds_in_another_order_tie():
    values = [0.934043515956, 0.357795196709, 0.571529830730, 0.321869391076, 0.594300030197]
    turned = [values[place] for place in (3, 1, 0, 4, 2)]
    first = [make_record(method="a", seed=s, metrics={"mAP": v}) for s, v in enumerate(values)]
    other = [make_record(method="b", seed=s, metrics={"mAP": v}) for s, v in enumerate(turned)]
    means = board_of(first + other).leaderboard["mean"]
    assert means[0] != means[1]
    assert means[0] == pytest.approx(means[1])
    assert board_of(first + other).leaderboard["rank"].tolist() == [1, 1]


@pytest.mark.parametrize("metric", ["empty@H<=2", "oversample10@95"])
def test_a_smaller_share_of_empty_balls_and_fewer_items_to_look_at_rank_first(metric):
    values = {"a": 0.5, "b": 0.2}
    records = [make_record(method=m, metrics={metric: v}) for m, v in values.items()]
    assert board_of(records).leaderboard["rank"].tolist() == [2, 1]


@pytest.mark.parametrize("field", ["dataset", "protocol", "backbone", "bits"])
def test_what_cannot_be_compared_is_ranked_apart(field):
    other = {"dataset": "x", "protocol": "x", "backbone": "x", "bits": 32}[field]
    records = [make_record(), make_record(method="itq", **{field: other}, metrics={"mAP": 0.9})]
    table = board_of(records).leaderboard
    assert (table["rank"] == 1).all()


def test_rows_follow_the_given_order_with_variants_after_their_base():
    names = ["new", "itq", "lsh(x=2)", "lsh", "lsh(x=1)", "float", "random"]
    records = [make_record(method=name, bits=b) for name in names for b in (64, 16)]
    expected = ["lsh", "lsh(x=1)", "lsh(x=2)", "itq", "float", "new", "random"]
    table = board_of(records).leaderboard
    assert list(dict.fromkeys(table["method"])) == expected
    assert list(dict.fromkeys(runs_frame(records, ORDER)["method"])) == expected
    first = table[table["method"] == "lsh"]
    assert first["bits"].tolist() == [16, 16, 64, 64]


def test_other_settings_never_share_a_mean_and_the_newest_stay():
    old = [make_record(seed=s, metrics={"mAP": 0.1}) for s in range(3)]
    new = [
        make_record(
            seed=s,
            settings={"epochs": 9},
            metrics={"mAP": 0.5 + s / 10},
            created=f"2026-05-0{s + 1}T00:00:00+00:00",
        )
        for s in range(2)
    ]
    shown, superseded = select([*new, *old])
    assert shown == new
    assert superseded == old
    board = board_of(old + new)
    assert board.leaderboard["mean"].tolist() == [pytest.approx(0.55)]
    assert "lsh 16 bits: 3 older runs" in board.notes[0]


def test_settings_equal_but_for_the_order_of_their_names_are_one_group():
    records = [
        make_record(settings={"a": 1, "b": 2}),
        make_record(settings={"b": 2, "a": 1}, seed=1),
    ]
    assert select(records) == (records, [])


def test_a_repeated_seed_counts_once():
    old = make_record(digest="0" * 64)
    new = make_record(digest="1" * 64, created="2026-06-01T00:00:00+00:00")
    assert select([old, new]) == ([new], [old])


def test_a_changed_protocol_sets_the_whole_old_table_aside():
    info = make_record().protocol_info | {"digest": "p2", "n_query": 299}
    old = [make_record(), make_record(method="itq"), make_record(backbone="other")]
    new = make_record(protocol_info=info, created="2026-06-01T00:00:00+00:00", bits=32)
    shown, superseded = select([*old, new])
    assert shown == [old[2], new]
    assert superseded == old[:2]


def test_markdown_has_sizes_bold_best_and_yardsticks_apart():
    text = leaderboard_markdown(board_of(grid()))
    assert "## digits / 300-1497 / pixels" in text
    assert "300 queries, 1,497 training images, 1,497 in the database, cutoff 1,000" in text
    assert "| method | 16 bits | 32 bits | 64 bits |" in text
    assert "mAP@1000, mean ± standard deviation over n = 3 seeds" in text
    assert "Equal Hamming distances" in text
    assert rows_of(text, "lsh")[0] == "| lsh | 0.320 ± 0.004 | 0.336 ± 0.004 | 0.368 ± 0.004 |"
    best = rows_of(text, "cibhash")[0]
    assert best == "| cibhash | **0.520 ± 0.004** | **0.536 ± 0.004** | **0.568 ± 0.004** |"
    lines = text.splitlines()
    apart = next(n for n, line in enumerate(lines) if "yardsticks, not ranked" in line)
    assert lines[apart - 1] == best
    assert lines[apart + 1].startswith("| float (no codes) | 0.704 ± 0.004 | 0.704")
    assert lines[apart + 2].startswith("| random | 0.620")
    assert "| method | mAP | empty@H&lt;=2 |" in text
    assert rows_of(text, "lsh")[1].startswith("| lsh | 0.160 / 0.168 / 0.184 |")


def test_a_table_of_neighbours_of_vectors_says_what_they_are_and_has_no_cutoff():
    records = [replace(r, backbone="features") for r in by_neighbours(grid())]
    text = leaderboard_markdown(board_of(records))
    assert "300 queries, 1,497 training vectors, 1,497 in the database. Split" in text
    assert "recall10@10, mean ± standard deviation over n = 3 seeds" in text
    assert rows_of(text, "lsh")[0].startswith("| lsh | **0.680 ± 0.004** |")


def test_the_text_is_aligned_and_stars_the_best():
    lines = leaderboard_plain(board_of(grid())).splitlines()
    rows = [line for line in lines if " ± " in line and "mAP" not in line]
    assert len({line.index("±") for line in rows}) == 1
    assert [line.split()[0] for line in rows if "*" in line] == ["cibhash"]
    assert lines.count("-" * len(lines[4])) == 2


def test_a_terminal_can_be_shown_some_tables_alone():
    board = board_of([make_record(), make_record(dataset="other")])
    text = leaderboard_plain(board, {make_record().table})
    assert text == leaderboard_plain(board_of([make_record()]))
    assert "other" in leaderboard_plain(board)


def test_latex_has_the_rules_of_booktabs_and_as_many_cells_as_columns():
    text = leaderboard_latex(board_of(grid()))
    for rule in (r"\toprule", r"\bottomrule", r"\begin{tabular}{@{}lrrr@{}}", r"\end{table}"):
        assert text.count(rule) == 1
    assert text.count(r"\midrule") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multi" not in line]
    assert {line.count("&") for line in rows} == {3}
    assert r"\textbf{0.520 $\pm$ 0.004}" in text
    assert "n = 3 seeds" in text


def test_latex_escapes_every_special_letter():
    name = r"a_b&c%d$e#f{g}h~i^j\k<l>"
    text = leaderboard_latex(board_of([make_record(method=name)]))
    assert r"a\_b\&c\%d\$e\#f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k" in text
    assert r"\textless{}l\textgreater{}" in text


def test_markdown_escapes_markup_in_names():
    name = "<b>x</b>|*y*\n# z_"
    text = leaderboard_markdown(board_of([make_record(method=name)]))
    row = next(line for line in text.splitlines() if line.startswith("| &lt;"))
    assert r"| &lt;b&gt;x&lt;/b&gt;\|\*y\* # z\_ | " in row
    assert "<b>" not in text


@pytest.mark.parametrize("form", [leaderboard_markdown, leaderboard_latex])
def test_no_text_of_a_record_is_printed_as_it_is(form):
    evil = r"<i>|*x*|\y{&%$"
    names = dict.fromkeys(("dataset", "protocol", "backbone", "method"), evil)
    info = make_record().protocol_info | {"rule": evil, "relevance": evil}
    record = make_record(**names, protocol_info=info, metrics={f"{evil}1": 0.5, f"{evil}2": 0.5})
    board = board_of([record], skipped=[evil], failures=[failure(**names, bits=32)])
    assert "0.500" in form(board, tuple(COLUMNS))
    assert evil not in form(board, tuple(COLUMNS))


def test_a_name_cannot_steer_the_terminal():
    text = leaderboard_plain(board_of([make_record(method="a\x1b[31m\rb")]))
    assert "\x1b" not in text
    assert "\r" not in text


def test_one_seed_is_said_and_shows_no_spread():
    text = leaderboard_markdown(board_of(grid(seeds=1)))
    assert "one seed, so no spread" in text
    assert " ± " not in text


def test_a_cell_with_fewer_seeds_says_so():
    records = [r for r in grid() if (r.method, r.bits, r.seed) != ("itq", 32, 2)]
    text = leaderboard_markdown(board_of(records))
    assert "0.434 ± 0.003 (n=2)" in rows_of(text, "itq")[0]
    assert "unless an entry says otherwise" in text


def test_one_run_without_codes_is_no_gap():
    records = [r for r in grid() if r.method != "float" or r.seed == 0]
    text = leaderboard_markdown(board_of(records))
    assert rows_of(text, "float")[0] == "| float (no codes) | 0.700 | 0.700 | 0.700 |"
    assert "otherwise" not in text


def test_failed_and_missing_cells_are_shown_and_never_as_a_number():
    records = [r for r in grid() if (r.method, r.bits) not in {("itq", 32), ("itq", 64)}]
    lost = [failure(method="itq", bits=64), failure(method="new", bits=16)]
    board = board_of(records, failures=lost, skipped=["runs/x.json: schema 0"])
    text = leaderboard_markdown(board)
    assert rows_of(text, "itq")[0].endswith("| - | failed |")
    assert rows_of(text, "new")[0] == "| new | failed | - | - |"
    assert "- Failed: digits/300-1497 pixels itq 64 bits seed 0: loss is nan" in text
    assert "- Skipped: runs/x.json: schema 0" in text
    for render in (leaderboard_plain, leaderboard_latex):
        assert "loss is nan" in render(board)
        assert "schema 0" in render(board)


def test_sections_keep_backbones_apart():
    records = grid(seeds=1) + grid(seeds=1, backbone="other")
    board = board_of(records)
    assert [section.backbone for section in board.sections] == ["other", "pixels"]
    assert [section.best(section.rows[2], 16) for section in board.sections] == [True, True]


def test_the_table_falls_back_where_the_protocols_metric_is_absent():
    assert board_of([make_record(metrics={"mAP": 0.1, "P@5": 0.2})]).sections[0].metric == "mAP"
    assert board_of([make_record(metrics={"P@5": 0.2})]).sections[0].metric == "P@5"


def test_only_a_yardstick_without_codes_still_makes_a_table():
    record = make_record(method="float", kind="yardstick", bits=0)
    text = leaderboard_markdown(board_of([record]))
    assert "| method | no codes |" in text
    assert rows_of(text, "float")[0] == "| float | 0.400 |"
    assert leaderboard_latex(board_of([record])).count(r"\midrule") == 1


def test_a_board_of_failures_alone_says_that_nothing_can_be_shown():
    board = board_of([], failures=[failure()])
    for render in (leaderboard_plain, leaderboard_latex, leaderboard_markdown):
        assert "No record can be shown." in render(board)
        assert "loss is nan" in render(board)


def test_outputs_do_not_depend_on_the_order_of_the_records():
    records = grid()
    board, turned = board_of(records), board_of(records[::-1])
    assert leaderboard_markdown(board) == leaderboard_markdown(turned)
    assert board.runs.equals(turned.runs)
    np.testing.assert_allclose(board.leaderboard["mean"], turned.leaderboard["mean"])


def test_another_copy_of_the_data_shares_no_table():
    """The same protocol on a recompressed copy, or under other weights: the newest stays."""
    other = make_record().protocol_info | {"inputs": "a recompressed copy"}
    old = make_record(method="itq")
    new = make_record(protocol_info=other, created="2026-06-01T00:00:00+00:00")
    assert select([old, new]) == ([new], [old])


def test_health_of_codes_is_shown_and_not_ranked():
    record = make_record(metrics={"mAP": 0.3, "mAP@1000": 0.4, "bits.entropy": 0.9})
    board = board_of([record])
    row = board.leaderboard.query("metric == 'bits.entropy'").iloc[0]
    assert row["mean"] == 0.9
    assert row["rank"] is pd.NA
    assert "bits.entropy" in leaderboard_markdown(board)


def test_queries_without_a_relevant_item_are_reported():
    info = make_record().protocol_info
    text = leaderboard_markdown(board_of([make_record()]))
    assert "Queries without" not in text
    counted = make_record(protocol_info=info | {"n_query_without_relevant": 1234})
    text = leaderboard_markdown(board_of([counted]))
    assert "Queries without any relevant item, scored 0: 1,234." in text


def test_an_entry_with_dead_bits_is_marked_wherever_it_stands():
    metrics = {"mAP": 0.2, "mAP@1000": 0.3, "codes.dead_bits": 0.0}
    records = [make_record(metrics=metrics), make_record(method="itq", metrics=dict(metrics))]
    records[1].metrics["codes.dead_bits"] = 2.0
    board = board_of(records)
    told = "some bits are dead, that is, have one value in at least 99"
    for text, mark in (
        (leaderboard_plain(board), "0.300†"),
        (leaderboard_markdown(board), "0.300†"),
        (leaderboard_latex(board), r"0.300\dag{}"),
    ):
        assert text.count(mark) == 1
        assert any(mark in line for line in rows_of(text, "itq"))
        assert told in text
    records[1].metrics["codes.dead_bits"] = 0.0
    assert told not in leaderboard_plain(board_of(records))
