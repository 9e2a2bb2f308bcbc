"""What is said of the published numbers: each sentence by the outcome that it is chosen by."""

import re

import pytest

from benchmarks.publish.learnt import LEARNT
from benchmarks.publish.learnt.figures import FIGURES, draw, is_current
from results.analysis.comparisons import compare
from tests.record_factory import board_of
from tests.tested_boards import board, joined, runs_of


def test_a_deep_method_that_beats_itq_is_said_to():
    text = LEARNT["deep-against-itq"](board({"itq": 0.5, "nsh": 0.6, "wch": 0.4, "lsh": 0.9}))
    assert text.startswith("Yes, in every column")
    assert "1 of 1 at 16 bits, 1 of 1 at 32 bits." in text
    assert re.search(
        r"\| 16 \| 1 \| 1 \| 0 \| nsh \| \+0\.(09|10)\d \(\+0\.09\d to \+0\.10\d\) \|", text
    )


def test_no_deep_method_that_beats_itq_is_said_so():
    text = LEARNT["deep-against-itq"](board({"itq": 0.5, "nsh": 0.5, "wch": 0.4, "lsh": 0.9}))
    assert text.startswith("No: in none of 2 columns")
    assert "| 16 | 0 | 1 | 1 | nsh |" in text


def test_seeds_too_few_for_a_test_give_no_verdict():
    text = LEARNT["deep-against-itq"](board({"itq": 0.5, "nsh": 0.6}, seeds=2))
    assert text == "*Nothing published compares a deep method with ITQ.*"


def test_the_larger_share_of_the_spread_is_named():
    two = joined(
        runs_of({"itq": 0.3, "lsh": 0.31}),
        runs_of({"itq": 0.6, "lsh": 0.61}, backbone="other"),
    )
    text = LEARNT["loss-or-backbone"](two)
    assert "over 2 methods and 2 backbones, the backbone alone makes" in text
    other = joined(
        runs_of({"itq": 0.3, "lsh": 0.6}), runs_of({"itq": 0.31, "lsh": 0.61}, backbone="other")
    )
    assert "the method alone makes 100 %" in LEARNT["loss-or-backbone"](other)
    one = LEARNT["loss-or-backbone"](board({"itq": 0.3, "lsh": 0.6}))
    assert "No data set is published with two backbones" in one


def test_ties_can_turn_what_lies_closer_than_their_bounds():
    near = LEARNT["tie-orders"](board({"itq": 0.5, "lsh": 0.45}))
    assert near.startswith("Of 2 differences between two methods that the tests find, 2 could")
    assert "| 16 | 0.100 | 0.100 | 1 of 1 |" in near
    far = LEARNT["tie-orders"](board({"itq": 0.5, "lsh": 0.2}))
    assert "that the tests find, 0 could" in far


def test_the_other_denominator_is_told_by_what_it_turns():
    text = LEARNT["denominators"](board({"itq": 0.5, "lsh": 0.2}))
    assert "lowers a mean by 0.100 in the median and by 0.100 at most." in text
    assert (
        "It turns 0 of 2 pairs of methods, tested or not, and puts another method first in no"
        in text
    )
    records, values = runs_of({"itq": 0.5, "lsh": 0.45})
    for record in records:
        if record.method == "itq":
            record.metrics["mAP@1000:min"] -= 0.2
    text = LEARNT["denominators"](compare(board_of(records), values))
    assert "It turns 2 of 2 pairs" in text
    assert "first in 2 of 2 columns" in text


def test_claims_are_checked_on_the_data_set_that_they_were_made_on():
    place = {"dataset": "cifar10", "protocol": "1k-5k"}
    held = LEARNT["claims"](board({"itq": 0.3, "cibhash": 0.6}, **place))
    assert "| cibhash above itq | 2 | 0 | 0 |" in held
    assert "2 hold, 0 come out reversed" in held
    turned = LEARNT["claims"](board({"itq": 0.6, "cibhash": 0.3}, **place))
    assert "| cibhash above itq | 0 | 2 | 0 |" in turned
    assert LEARNT["claims"](board({"itq": 0.3, "cibhash": 0.6})).startswith("*No published suite")


def test_costs_are_told_of_closed_forms_and_of_deep_methods():
    levels = {"itq": 0.5, "lsh": 0.3, "nsh": 0.6}
    text = LEARNT["costs"](board(levels, cost={"itq": 3.0, "lsh": 1.0, "nsh": 100.0}))
    assert "| 32 | 2 s (up to 3 s) | 100 s (up to 100 s) |" in text


def test_what_to_take_is_the_first_and_the_cheapest_that_is_as_good():
    levels = {"nsh": 0.5, "itq": 0.499, "agh": 0.4995, "lsh": 0.3}
    cost = {"nsh": 100.0, "itq": 2.0, "agh": 50.0, "lsh": 0.1}
    text = LEARNT["which"](board(levels, cost=cost, noise=0.05))
    assert re.search(r"\| \w+ 0\.\d+ \(\+2\); itq 0\.\d+, 2 s for ", text)
    assert "lsh" not in text
    apart = LEARNT["which"](board({"nsh": 0.9, "itq": 0.5}, cost=cost))
    assert "| nsh 0.9" in apart
    assert "(+0) |" in apart
    assert "itq" not in apart


def test_what_is_not_told_apart_and_yet_far_behind_is_not_advised():
    text = LEARNT["which"](board({"nsh": 0.5, "itq": 0.4}, cost={"itq": 0.1}, noise=1.0))
    assert "(+1)" in text
    assert ";" not in text.partition("| digits")[2]


def test_limits_are_those_of_the_suites_that_are_published():
    text = LEARNT["limits"](board({"lsh": 0.3}))
    assert "CIFAR-10" not in text
    assert "Seeds of an entry: 3;" in text
    assert "JPEG of quality 75" in LEARNT["limits"](board({"lsh": 0.3}, dataset="cifar10"))
    place = {"dataset": "tiny_imagenet", "protocol": "official~30000"}
    text = LEARNT["limits"](board({"lsh": 0.3}, **place))
    assert "has 1,497 of 100,000 database images" in text


@pytest.mark.parametrize("name", LEARNT)
def test_a_board_of_nothing_is_said_to_be_one(name):
    if name != "limits":
        assert re.fullmatch(r"\*No.*\*", LEARNT[name](board_of([])))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_it_was_drawn_from(name, tmp_path):
    shown = board({"itq": 0.5, "nsh": 0.6, "lsh": 0.2})
    points = FIGURES[name].points(shown)
    path = tmp_path / "figure.svg"
    assert not is_current(path, points)
    path.write_bytes(draw(FIGURES[name], points))
    assert b"<svg" in path.read_bytes()
    assert is_current(path, points)
    moved = board({"itq": 0.6, "nsh": 0.6, "lsh": 0.2})
    assert not is_current(path, FIGURES[name].points(moved))
