"""Rows of different kinds: set apart in every table, and never ranked together."""

from dataclasses import replace

import pytest

from results.analysis.arrange import select
from results.tables.leaderboard import leaderboard_latex, leaderboard_markdown, leaderboard_plain
from tests.record_factory import board_of, failure, grid, make_record


def test_a_kind_and_not_a_name_makes_a_yardstick():
    records = [*grid(seeds=1), replace(make_record(method="oracle"), kind="yardstick")]
    heading, rows = board_of(records).sections[0].blocks[-1]
    assert heading == "yardsticks, not ranked"
    assert [row.method for row in rows] == ["float", "oracle", "random"]


def with_supervised(seeds=2):
    """The usual grid, and a row that learns from captions and is better than all."""
    better = [
        make_record(
            method="kl_hash_captions",
            kind="captions",
            bits=bits,
            seed=seed,
            metrics={"mAP": 0.9, "mAP@1000": 0.95 + 0.01 * seed},
        )
        for bits in (16, 32, 64)
        for seed in range(seeds)
    ]
    tree = [replace(record, method="tree", kind="hierarchy", digest="") for record in better]
    tree = [make_record(**{**vars(record), "digest": ""}) for record in tree]
    return [*grid(seeds=seeds), *better, *tree]


def test_rows_that_learn_from_more_are_ranked_apart():
    table = board_of(with_supervised()).leaderboard.query("metric == 'mAP@1000' and bits == 16")
    ranks = dict(zip(table["method"], table["rank"], strict=True))
    assert (ranks["cibhash"], ranks["itq"], ranks["lsh"]) == (1, 2, 3)
    assert (ranks["kl_hash_captions"], ranks["tree"]) == (1, 1)
    kinds = dict(zip(table["method"], table["kind"], strict=True))
    assert (kinds["lsh"], kinds["kl_hash_captions"]) == ("method", "captions")
    assert (kinds["tree"], kinds["random"]) == ("hierarchy", "yardstick")


@pytest.mark.parametrize("form", [leaderboard_plain, leaderboard_markdown, leaderboard_latex])
def test_every_table_marks_rows_that_learn_from_more_and_sets_them_apart(form):
    text = form(board_of(with_supervised()))
    places = [
        text.index(words)
        for words in (
            *("lsh", "learn from captions too, ranked apart", "captions "),
            *("by their hierarchy; ranked apart", "tree ", "random"),
        )
    ]
    assert places == sorted(places)
    assert "by kind" in text


def test_a_name_may_be_of_another_kind_in_another_table():
    records = [
        make_record(method="mix"),
        make_record(method="mix", kind="captions", backbone="other"),
        make_record(backbone="other", metrics={"mAP": 0.1, "mAP@1000": 0.1}),
    ]
    for given in (records, records[::-1]):
        board = board_of(given)
        table = board.leaderboard.query("method == 'mix' and metric == 'mAP'")
        kinds = dict(zip(table["backbone"], table["kind"], strict=True))
        assert kinds == {"pixels": "method", "other": "captions"}
        assert (board.leaderboard["rank"] == 1).all()
        assert [row.kind for row in board.sections[0].rows] == ["method", "captions"]


def test_a_name_is_of_one_kind_in_a_table_that_of_the_newest_record():
    old = [make_record(method="mix", bits=bits) for bits in (16, 32)]
    new = make_record(method="mix", kind="captions", created="2026-06-01T00:00:00+00:00")
    assert select([*old, new]) == ([new], old)


@pytest.mark.parametrize("kind", ["yardstick", "captions"])
def test_a_failed_row_stands_among_those_of_its_kind(kind):
    name = {"yardstick": "random", "captions": "kl_hash_captions"}[kind]
    board = board_of([make_record()], failures=[failure(method=name, kind=kind)])
    (_, first), (_, second) = board.sections[0].blocks
    assert ([row.method for row in first], [row.method for row in second]) == (["lsh"], [name])
    assert second[0].kind == kind


def test_best_of_a_column_is_marked_in_each_kind():
    section = board_of(with_supervised()).sections[0]
    best = {row.method for row in section.rows if section.best(row, 16)}
    assert best == {"cibhash", "kl_hash_captions", "tree"}


def with_quantised():
    """The usual grid, with two yardsticks that have lengths and no codes."""
    sizes = {"opq(b=4)": "K bits", "rabitq": "K + 64 bits"}
    more = [
        make_record(
            method=method,
            kind="yardstick",
            bits=bits,
            settings={"method": {"size": size}},
            metrics={"mAP": 0.9, "mAP@1000": 0.99},
        )
        for method, size in sizes.items()
        for bits in (16, 32, 64)
    ]
    return [*grid(seeds=1), *more]


@pytest.mark.parametrize("form", [leaderboard_markdown, leaderboard_plain, leaderboard_latex])
def test_a_yardstick_is_named_with_what_an_item_takes(form):
    text = form(board_of(with_quantised()))
    assert "opq(b=4) (K bits)" in text
    assert "rabitq (K + 64 bits)" in text
    assert "float (no codes)" in text
    assert "lsh (" not in text
    assert "random (" not in text


def test_a_yardstick_with_lengths_is_better_than_all_and_never_ranked():
    board = board_of(with_quantised())
    (section,) = board.sections
    heading, rows = section.blocks[-1]
    assert heading == "yardsticks, not ranked"
    assert [row.method for row in rows] == ["float", "opq(b=4)", "rabitq", "random"]
    for row in rows:
        assert not section.best(row, 64)
    ranked = board.leaderboard[board.leaderboard["rank"].notna()]
    assert not set(ranked["method"]) & {"opq(b=4)", "rabitq"}
