"""Recipes side by side in the report."""

from results.analysis.arrange import build
from results.store.scan import Scan
from results.tables.leaderboard import leaderboard_markdown
from results.tables.recipes import recipes_markdown
from tests.record_factory import ORDER, make_record


def board(scores):
    records = [
        make_record(method=name, metrics={"mAP@1000": score}, settings={"name": name})
        for name, score in scores.items()
    ]
    return build(Scan(records, [], []), ORDER)


def test_a_method_has_a_column_for_each_recipe():
    scores = {"lsh": 0.1, "itq": 0.5, "itq(recipe=tuned)": 0.52, "cibhash": 0.4}
    found = board(scores | {"cibhash(recipe=common)": 0.3, "cibhash(recipe=tuned)": 0.6})
    lines = recipes_markdown(found)
    assert "| itq | 0.500 | - | 0.520 |" in lines
    assert "| cibhash | 0.400 | 0.300 | 0.600 |" in lines
    assert not [line for line in lines if "lsh" in line]
    assert "\n".join(lines).strip() in leaderboard_markdown(found)


def test_pairs_whose_order_a_recipe_changes_are_counted():
    scores = {"lsh": 0.1, "itq": 0.5, "itq(recipe=tuned)": 0.52, "cibhash": 0.4}
    lines = recipes_markdown(board(scores | {"cibhash(recipe=tuned)": 0.6}))
    assert "Own to tuned: 1 of 1 pairs of methods change their order." in lines
    assert not [line for line in lines if line.startswith("Own to common")]


def test_other_settings_stay_in_the_name():
    lines = recipes_markdown(board({"itq(n=9)": 0.5, "itq(recipe=tuned,n=9)": 0.6}))
    assert "| itq(n=9) | 0.500 | - | 0.600 |" in lines


def test_nothing_is_said_where_every_method_has_one_recipe():
    assert recipes_markdown(board({"lsh": 0.1, "itq(n=9)": 0.5})) == []
