import base64
import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from results.analysis.board import About
from results.analysis.comparisons import compare
from results.analysis.curves import mean_curve
from results.figures.style import COLOURS
from results.page.data import page_data
from results.page.overview import overview, overviews
from results.page.render import page_html
from results.tables.leaderboard import leaderboard_latex, leaderboard_markdown
from results.tables.markup import TEMPLATES
from tests.record_factory import ORDER, board_of, by_neighbours, grid, make_record

VOID = {"meta", "link", "br", "img", "input"}


class Outline(HTMLParser):
    """Checks that elements close in order, and keeps tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(html):
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def page_of(records, skipped=(), figures=None):
    return page_html(board_of(records, skipped=skipped), figures or {}, ("runs.csv",))


def test_the_page_is_well_formed_and_shows_the_table():
    parsed = outline(page_of(grid(), figures={"A caption": "<svg></svg>"}))
    text = " ".join(" ".join(parsed.text).split())
    assert "digits / 300-1497 / pixels" in text
    assert "0.520 ± 0.004" in text
    assert "yardsticks, not ranked" in text
    assert "300 queries, 1,497 training images" in text
    assert parsed.tags.count("svg") == 2  # the figure, and the chart that a script fills
    assert parsed.attributes.count(("class", "best")) == 3


def test_only_the_scripts_of_the_page_may_run():
    html = page_of(grid())
    (content,) = re.findall(r'Security-Policy" content="([^"]+)"', html)
    allowed = re.findall(r"sha256-([\w+/=]+)", unescape(content))
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert digests == allowed
    assert len(scripts) == 3
    assert "default-src 'none'" in unescape(content)


def test_the_data_hold_every_entry_and_every_run_once():
    records = grid()
    board = board_of(records)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page_html(board, {}), re.DOTALL)[1])
    assert len(data["entries"]) == len(board.leaderboard)
    entry = next(e for e in data["entries"] if data["methods"][e[1]] == ["itq", "method", "itq", 1])
    assert entry[2:] == [16, 0, pytest.approx(0.21), 0.002, 3, *entry[7:9], 2, "seeds", 0]
    assert data["metrics"][0] == "mAP"
    runs = data["runs"][f"0 {entry[1]} 16"]
    assert [run["seed"] for run in runs] == [0, 1, 2]
    assert data["texts"][runs[0]["settings"]] == {"epochs": 0}
    assert runs[0]["values"]["1"] == pytest.approx(0.416)
    assert sum(map(len, data["runs"].values())) == len(records)
    best = {data["methods"][e[1]][0] for e in data["entries"] if e[11]}
    assert best == {"cibhash"}
    one_seed = [e for e in data["entries"] if data["methods"][e[1]][0] == "float"]
    assert [e[9] for e in one_seed] == [None] * len(one_seed)


def test_the_data_hold_the_mean_curves_of_each_entry():
    records = grid(("lsh",), bits=(128,), seeds=2)
    points = {"n": [1, 10], "precision": [1.0, 0.5], "recall": [0.1, 0.2]}
    records[0].curves["cutoffs"] = points
    records[1].curves["cutoffs"] = points | {"precision": [0.5, 0.25]}
    data = page_data(board_of(records))
    place = data["methods"].index(["lsh", "method", "lsh", 0])
    curves = data["curves"][f"0 {place} 128"]
    assert curves["cutoffs"] == [[1, 10], [0.75, 0.375], [0.1, 0.2]]
    radius, recall, precision = curves["precision_recall"]
    assert (len(radius), radius[0], radius[-1]) == (65, 0, 128)  # of 129, the ends among them
    assert (recall[-1], precision[-1]) == (1, pytest.approx(0.1))


def test_a_radius_at_which_every_ball_is_empty_is_no_point():
    (record,) = grid(("lsh",), bits=(2,), seeds=1)[:1]
    empty = {"radius": [0, 1, 2], "precision": [0, 0, 0.5], "recall": [0, 0, 1]}
    record.curves["precision_recall"] = empty
    (points,) = mean_curve([record], "precision_recall", ("radius", "recall", "precision")).T
    assert points.tolist() == [2, 1, 0.5]


def test_charts_have_the_colours_of_the_figures():
    css = (TEMPLATES / "page.css").read_text()
    light = css.partition("@media")[0]
    assert re.findall(r"--c\d: (#\w{6});", light) == [*COLOURS]
    assert css.count("--c7:") == 3  # light, dark by the system, dark by the switch


def test_names_with_markup_are_escaped():
    evil = "<script>alert(1)</script>\"'&"
    html = page_of(
        [make_record(method=evil, dataset="<i>", backbone='" onload="x')],
        skipped=["<b>file</b>"],
        figures={'<em>"': "<svg></svg>"},
    )
    parsed = outline(html)
    assert parsed.tags.count("script") == 4  # theme, data, page and charts
    assert not {"i", "b", "em"} & set(parsed.tags)
    assert "onload" not in {name for name, _ in parsed.attributes}
    assert evil in "".join(parsed.text)
    assert html.count("</script>") == 4


def test_nothing_is_fetched_from_anywhere():
    html = page_of(grid())
    parsed = outline(html)
    links = [value for name, value in parsed.attributes if name in ("src", "href", "action")]
    parts = ["#charts", "#leaderboard", "#main", "#overview", "#tables"]
    assert sorted(links) == [*parts, "data:,", "runs.csv"]
    assert not re.findall(r"https?:", re.sub(r"www\.w3\.org", "", html))
    assert "url(" not in html
    assert "@import" not in html


def test_light_and_dark_follow_the_reader():
    html = page_of(grid())
    assert "prefers-color-scheme: dark" in html
    assert ':root[data-theme="dark"]' in html
    assert '<meta name="color-scheme" content="light dark">' in html


def test_every_heading_cell_names_its_scope():
    html = page_of(grid())
    assert html.count("<th") == html.count("<th scope=") + html.count("<thead")
    assert html.count('aria-sort="none"') == html.count("data-column=") == 8


@pytest.mark.parametrize("skipped", [[], ["x.json: broken"]])
def test_a_page_without_records_says_so(skipped):
    text = "".join(outline(page_of([], skipped=skipped)).text)
    assert "No record can be shown." in text
    assert ("broken" in text) == bool(skipped)


def test_rows_that_learn_from_captions_are_set_apart_under_a_heading():
    record = make_record(method="kl_hash_captions", kind="captions")
    text = page_html(board_of([*grid(), record]), {}).partition('id="tables"')[2]
    heading = text.index("learn from captions too, ranked apart")
    assert text.index("cibhash") < heading < text.index("kl_hash_captions") < text.index("random")


def test_the_page_opens_with_a_row_a_method_by_mean_rank():
    records = [*grid(), *grid(dataset="other", bits=(16,)), make_record(method="a(b=1)", bits=16)]
    paper = "Qiu et al., 2021, https://arxiv.org/abs/2105.06138"
    board = compare(board_of(records, about={"cibhash": About("CIBHash", paper, "@misc{<b>}")}), {})
    shown = overview(board)
    assert [line.title for line in shown.lines] == ["CIBHash", "itq", "lsh", "a(b=1)"]
    assert [line.rank for line in shown.lines] == [1, 2, 3, None]
    assert (shown.bits, shown.datasets, shown.tables) == ((16, 32, 64), 2, 2)
    assert shown.lines[2].means == pytest.approx((0.32, 0.336, 0.368))
    assert shown.lines[3].means == (None, None, None)
    html = page_html(board, {})
    link = '<a href="https://arxiv.org/abs/2105.06138" rel="noreferrer">Qiu et al., 2021</a>'
    assert link in html
    assert "<pre>@misc{&lt;b&gt;}</pre>" in html
    assert html.index('id="overview"') < html.index('id="board"')


def test_the_overview_never_takes_a_mean_over_both_truths():
    board = compare(board_of([*grid(), *by_neighbours(grid())]), {})
    labels, neighbours = overviews(board)
    assert [line.method for line in labels.lines] == ["cibhash", "itq", "lsh"]
    assert [line.method for line in neighbours.lines] == ["lsh", "itq", "cibhash"]
    assert labels.lines[1].means == pytest.approx((0.42, 0.436, 0.468))
    assert neighbours.lines[1].means == pytest.approx((0.58, 0.564, 0.532))
    assert (labels.tables, neighbours.tables) == (1, 1)
    html = page_html(board, {})
    assert "What is relevant: neighbours." in html
    assert "mean of each protocol's recall over 1 table" in " ".join(html.split())


def test_a_paper_that_is_no_address_is_no_link():
    about = dict.fromkeys(ORDER, About("x", "javascript:alert(1) https://a b"))
    assert 'rel="noreferrer"' not in page_html(board_of(grid(), about=about), {})


def test_the_statistics_of_the_leaderboard_are_on_the_page():
    names = ["<b>|*a*", "it_q", "_c_"]
    board = compare(board_of(grid(names)), {})
    html = page_html(board, {})
    part = html[html.index('id="statistics"') : html.index("</main>")]
    assert "Mean ranks over one data set" in part
    heads = re.findall('<th scope="col">(.*?)</th>', part)
    assert heads[:4] == ["over", "_c_", "it_q", "&lt;b&gt;|*a*"]
    assert "<b>" not in part


def test_tables_leaderboard_and_files_mark_the_same_entries():
    marks = {("cibhash", 16): "best", ("itq", 16): "second"}
    board = board_of(grid())
    board = replace(board, sections=(replace(board.sections[0], marks=marks),))
    html = page_html(board, {})
    assert re.findall('<td class="(best|second)">(.*?) ±', html) == [
        ("second", "0.420"),
        ("best", "0.520"),
    ]
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    shown = {(data["methods"][e[1]][0], e[2], e[11]) for e in data["entries"] if e[11]}
    assert shown == {("cibhash", 16, 1), ("itq", 16, 2)}
    for text, best, second in (
        (leaderboard_markdown(board), r"\*\*(0.*?) ±", r"<ins>(0.*?) ±"),
        (leaderboard_latex(board), r"textbf{(0.*?) ", r"underline{(0.*?) "),
    ):
        assert (re.findall(best, text), re.findall(second, text)) == (["0.520"], ["0.420"])
