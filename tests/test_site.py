"""The site: what `docs/site/build.py` assembles for Sphinx."""

import importlib.util
import re
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.grid.method_settings import method_spec
from methods import METHODS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs/site/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "source"
    build.write_pages(folder)
    return folder


def links(page):
    """Files that the links of a page lead to."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s#]+)", text):
        if not re.match(r"\w+:", target):
            yield (page.parent / target).resolve()


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("[a](../README.md#x)", "docs/flags.md", "[a](readme.md#x)"),
        ("[a](docs/flags.md)", "README.md", "[a](flags.md)"),
        ("[a](#here) [b](https://b.org/x)", "README.md", "[a](#here) [b](https://b.org/x)"),
        ("![a](docs/figures/a.svg)", "README.md", "![a](figures/a.svg)"),
        ("[a](../../docs/metrics.md)", "benchmarks/perf/README.md", "[a](metrics.md)"),
        ("[a](../datasets/base.py)", "docs/data.md", "`datasets/base.py`"),
    ],
)
def test_links_lead_to_where_pages_stand_in_the_site(build, text, name, expected):
    assert build.linked(text, name) == expected


def read_by_sphinx(pages):
    """Pages that become pages; what lies below `extra` is copied as it is."""
    return {page for page in pages.rglob("*.md") if pages / "extra" not in page.parents}


def test_every_link_of_the_site_leads_somewhere(pages):
    for page in read_by_sphinx(pages):
        for target in links(page):
            assert target.exists(), f"{page.name}: {target.name}"


def test_every_page_is_in_a_table_of_contents(pages):
    listed = set()
    for page in read_by_sphinx(pages):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                entry = re.sub(r"^.*<(.*)>$", r"\1", line.strip())
                if entry and not entry.startswith(":"):
                    listed.add((page.parent / f"{entry}.md").resolve())
    found = {page.resolve() for page in read_by_sphinx(pages)} - {(pages / "index.md").resolve()}
    assert found == {path for path in listed if path.exists()}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_its_page(pages, name):
    page = (pages / f"methods/{name}.md").read_text()
    assert page.startswith(f"# {METHODS[name].title}\n")
    assert f"--methods {name}\n" in page
    assert ("| `lr` |" in page) == method_spec(name).is_trained


def test_published_numbers_are_on_the_pages_of_their_methods(
    build, stored, tmp_path, monkeypatch, one_figure
):
    reference = tmp_path / "reference"
    assert report.main(["--out", str(stored.root), "--publish", str(reference)]) == 0
    monkeypatch.setattr(build, "REFERENCE", reference)
    build.write_pages(tmp_path / "site")
    mean = (stored.root / "report/leaderboard.md").read_text()
    (entry,) = re.findall(r"^\| LSH.*?\| (.*?) \|", mean, re.MULTILINE)[:1]
    page = (tmp_path / "site/methods/lsh.md").read_text()
    assert "## Published results" in page
    assert entry.strip("*") in page
    assert "LSH: bits.entropy" in page
    assert "leaderboard/index.html#record=synthetic%2F" in page
    assert "%2Flsh%2F8" in page
    leaderboards = (tmp_path / "site/leaderboards.md").read_text()
    assert "LSH" in leaderboards
    assert "Suites not in it: digits (pixels), cifar10/1k-5k" in leaderboards
    assert (tmp_path / "site/extra/leaderboard/index.html").is_file()
    assert "## Published results" not in (tmp_path / "site/methods/itq.md").read_text()
