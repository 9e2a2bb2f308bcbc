import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from results.page.render import page_html
from tests.record_factory import board_of, grid, make_record

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
    assert parsed.tags.count("svg") == 1
    assert parsed.attributes.count(("class", "best")) == 3


def test_only_the_scripts_of_the_page_may_run():
    html = page_of(grid())
    (content,) = re.findall(r'Security-Policy" content="([^"]+)"', html)
    allowed = re.findall(r"sha256-([\w+/=]+)", unescape(content))
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert digests == allowed
    assert len(scripts) == 2
    assert "default-src 'none'" in unescape(content)


def test_the_data_hold_every_entry_and_every_run_once():
    records = grid()
    board = board_of(records)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page_html(board, {}), re.DOTALL)[1])
    assert len(data["entries"]) == len(board.leaderboard)
    entry = next(e for e in data["entries"] if data["methods"][e[1]] == ["itq", "method"])
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


def test_names_with_markup_are_escaped():
    evil = "<script>alert(1)</script>\"'&"
    html = page_of(
        [make_record(method=evil, dataset="<i>", backbone='" onload="x')],
        skipped=["<b>file</b>"],
        figures={'<em>"': "<svg></svg>"},
    )
    parsed = outline(html)
    assert parsed.tags.count("script") == 3  # the theme, the data and the page's own
    assert not {"i", "b", "em"} & set(parsed.tags)
    assert "onload" not in {name for name, _ in parsed.attributes}
    assert evil in "".join(parsed.text)
    assert html.count("</script>") == 3


def test_nothing_is_fetched_from_anywhere():
    html = page_of(grid())
    parsed = outline(html)
    links = [value for name, value in parsed.attributes if name in ("src", "href", "action")]
    parts = ["#leaderboard", "#main", "#tables"]
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
    text = page_html(board_of([*grid(), record]), {})
    heading = text.index("learn from captions too, ranked apart")
    assert text.index("cibhash") < heading < text.index("kl_hash_captions") < text.index("random")
