"""Tables, figures and the page show a method's title; files for programs keep its name."""

import csv
import hashlib
import json
import re
from dataclasses import replace

import pytest

from results.analysis.arrange import display_names
from results.analysis.board import About
from results.figures.lines import map_against_bits
from results.figures.ranks import mean_ranks
from results.gallery.view import View
from results.report import Options, load_board, render_board
from results.store.store import ResultStore
from results.tables.leaderboard import leaderboard_plain
from tests.record_factory import ARRAYS, ORDER, grid

ROWS = ("lsh", "kl_hash", "kl_hash(tau=0.5)")
TITLES = {"LSH", "KL-hash", "KL-hash(tau=0.5)"}
ABOUT = {
    "lsh": About("LSH", "Charikar, 2002", "@misc{lsh,\n}"),
    "kl_hash": About("KL-hash", "Arponen, 2020", "@misc{kl_hash,\n}"),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    store = ResultStore(tmp_path_factory.mktemp("out"))
    records = grid(ROWS)
    for record in records:
        digest = hashlib.sha256(record.method.encode()).hexdigest()
        store.save(replace(record, digest=digest), ARRAYS)
    board = load_board(store, ORDER, ABOUT)
    render_board(board, store, Options(figures=("cost",), formats=("svg",)))
    return board, store.root / "report"


def names(path):
    with path.open(newline="") as file:
        return {line["method"] for line in csv.DictReader(file)}


def test_tables_and_page_show_titles(report):
    board, folder = report
    plain, page = leaderboard_plain(board), (folder / "index.html").read_text()
    markdown = (folder / "leaderboard.md").read_text()
    assert {line.split("  ")[0] for line in plain.splitlines()} >= TITLES
    assert markdown.count("| KL-hash(tau=0.5) |") >= 2  # of the table and of what it is behind
    assert "kl_hash" not in plain + markdown
    assert "    KL-hash(tau=0.5) & " in (folder / "leaderboard.tex").read_text()
    assert {*re.findall(r'<th scope="row">([^<]+?)</th>', page)} >= TITLES


def test_files_for_programs_keep_the_names(report):
    _, folder = report
    assert names(folder / "runs.csv") == names(folder / "leaderboard.csv")
    assert names(folder / "runs.csv") == {*ROWS, "random", "float"}
    assert names(folder / "statistics.csv") >= {*ROWS}


def test_figures_show_titles(report):
    view = View(report[0])
    (legend,) = map_against_bits(view).legends
    assert {text.get_text() for text in legend.get_texts()} >= TITLES
    (axes,) = mean_ranks(view).axes
    assert {text.get_text().rpartition(" ")[0] for text in axes.texts} >= TITLES


def test_the_page_finds_a_row_by_title_and_by_name(report):
    _, folder = report
    page = (folder / "index.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert ["kl_hash(tau=0.5)", "method", "KL-hash(tau=0.5)", 3] in data["methods"]


def test_rows_whose_titles_are_one_keep_their_names():
    about = {"a": About("Hash", ""), "b": About("Hash", "")}
    assert display_names(["a", "b", "Hash", "a(x=1)"], about) == {
        **{"a": "a", "b": "b", "Hash": "Hash"},
        "a(x=1)": "Hash(x=1)",
    }


def test_the_report_has_bibtex_of_each_method_once(report):
    _, folder = report
    assert (folder / "papers.bib").read_text() == "@misc{lsh,\n}\n\n@misc{kl_hash,\n}\n"
    assert 'href="papers.bib"' in (folder / "index.html").read_text()
