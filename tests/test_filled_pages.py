"""Pages whose numbers are filled in from what is published, and what they are filled in with."""

import importlib.util
import re
from pathlib import Path

import pytest

from benchmarks.publish.blocks import blocks_of
from benchmarks.publish.learnt import LEARNT
from benchmarks.publish.pages import PageError, filled
from methods import METHODS
from results.analysis.comparisons import compare
from tests.record_factory import board_of
from tests.tested_boards import board, joined, runs_of

ROOT = Path(__file__).parents[1]
LEARNT_PAGE = ROOT / "docs/what-we-learnt.md"
MOST_WORDS = 900


@pytest.fixture(scope="module")
def fill():
    spec = importlib.util.spec_from_file_location("fill_pages", ROOT / "docs/site/fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_that_need_nothing_published_are_those_of_the_code(fill):
    stale = [page.name for page in fill.pages() if fill.fill(page, None) != page.read_text()]
    assert not stale, f"{stale}: run python docs/site/fill.py"


@pytest.mark.slow
def test_what_pages_say_is_what_is_published(fill):
    if not fill.REFERENCE.is_dir():
        pytest.skip("nothing is published in results/reference")
    board = fill.read(fill.REFERENCE)
    stale = [str(page) for page in fill.pages() if fill.fill(page, board) != page.read_text()]
    stale += [str(path) for path in fill.figures(board)]
    assert not stale, f"{stale}: run python docs/site/fill.py"


def test_a_page_that_was_edited_is_stale(fill, tmp_path, monkeypatch):
    monkeypatch.setattr(fill, "ROOT", tmp_path)
    page = tmp_path / "README.md"
    page.write_text("<!-- filled: columns -->\n<!-- /filled -->\n")
    whole = fill.fill(page, None)
    assert "| `ci_low` | float64 |" in whole
    page.write_text(whole)
    assert fill.fill(page, None) == whole
    page.write_text(whole.replace("float64", "float32"))
    assert fill.fill(page, None) == whole


def test_without_anything_published_a_page_keeps_what_it_has():
    text = "<!-- filled: leaderboard digits -->\nold\n<!-- /filled -->"
    assert filled(text, blocks_of(None)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!-- filled: columns -->\nx", "has no <!-- /filled -->"),
        ("x\n<!-- /filled -->", "or it no beginning"),
        ("<!-- filled: rows -->\n<!-- /filled -->", "no block is called 'rows'; there are columns"),
        ("<!-- filled:  -->\n<!-- /filled -->", "no block is called ''"),
        ("<!-- filled: columns 3 -->\n<!-- /filled -->", "<!-- filled: columns 3 -->: columns()"),
        ("<!-- filled: ties digits -->\n<!-- /filled -->", "missing 1 required positional"),
        (
            "<!-- filled: figure x y -->\n<!-- /filled -->",
            "no figure is called 'x'; there are digits",
        ),
    ],
)
def test_a_mark_that_asks_for_nothing_known_is_told(text, words):
    with pytest.raises(PageError) as error:
        filled(text, blocks_of(board({"lsh": 0.3, "itq": 0.5})))
    assert words in str(error.value)


def test_the_table_of_a_suite_has_the_rows_that_were_asked_for():
    records, values = runs_of({"lsh": 0.3, "itq": 0.5, "agh": 0.4})
    records += runs_of({"random": 0.1}, kind="yardstick")[0]
    blocks = blocks_of(compare(board_of(records), values))
    text = blocks["leaderboard"]("digits/300-1497", "itq", "nsh")
    assert re.findall(r"^\| (\w+) \|", text, re.MULTILINE) == ["method", "itq", "random"]
    assert re.search(r"\| itq \| 0\.(499|500|501) ± 0\.00\d \| 0", text)
    assert "over 3 seeds; 300 queries" in text
    assert text.endswith("Not published: nsh.")
    assert "agh" in blocks["leaderboard"]("digits")
    assert blocks["leaderboard"]("cifar10") == "*Not published with this version: cifar10.*"


def test_a_name_that_several_suites_have_is_refused():
    two = joined(runs_of({"lsh": 0.3}), runs_of({"lsh": 0.4}, backbone="other"))
    with pytest.raises(PageError, match=r"digits: is any of digits/300-1497/other, digits/300"):
        blocks_of(two)["leaderboard"]("digits")
    assert "0.4" in blocks_of(two)["leaderboard"]("digits/300-1497/other")


def test_what_is_not_there_of_the_preset_and_of_the_methods_is_said():
    text = blocks_of(board({"lsh": 0.3, "itq": 0.5}))["suites"]()
    assert f"| 2 of {len(METHODS)} |" in text
    (suites, methods) = text.split("\n\n")[1:]
    assert "digits" not in suites
    assert "cifar10/1k-5k (kmeans_patches)" in suites
    assert "tiny_imagenet/official (efficientnet_lite0)" in suites
    assert "KNNH" in methods
    assert "ITQ" not in methods.replace("\n", " ").split(", ")


def test_a_table_says_what_its_dagger_means():
    healthy = blocks_of(board({"lsh": 0.3}))["leaderboard"]("digits")
    assert "†" not in healthy
    sick = blocks_of(board({"lsh": 0.3}, more={"codes.dead_bits": 2.0}))["leaderboard"]("digits")
    assert "† |" in sick
    assert sick.endswith(
        "†: some bits are dead, that is, have one value in at least 99 % of the codes."
    )


def test_bounds_of_ties_are_those_of_the_records():
    text = blocks_of(board({"lsh": 0.3}, noise=0.0))["ties"]("digits", "lsh")
    assert "| worst | 0.250 | 0.250 |" in text
    assert "| exact mean over all orders | 0.300 | 0.300 |" in text
    assert "| best | 0.350 | 0.350 |" in text


def words(text):
    """Words of a page as a reader sees it: no comments, no targets of links."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return [word for word in text.split() if re.search("[A-Za-z]", word)]


def test_what_we_learnt_is_read_in_minutes():
    assert len(words(LEARNT_PAGE.read_text())) <= MOST_WORDS


def test_no_number_of_what_we_learnt_is_typed():
    text = LEARNT_PAGE.read_text()
    own = re.sub(r"<!-- filled.*?<!-- /filled -->", "", text, flags=re.DOTALL)
    assert not re.findall(r"\d", own)
    assert set(re.findall(r"<!-- filled: ([\w-]+) -->", text)) == set(LEARNT)
    assert len(re.findall(r"<!-- filled: figure ", text)) == 3
