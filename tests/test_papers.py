import re

import pytest

from benchmarks.grid.yardsticks import IN_EVERY_TABLE, YARDSTICKS
from methods import METHODS
from methods.papers import SOURCE, bibtex

FROM_PAPERS = METHODS | {
    name: cls
    for name, cls in YARDSTICKS.items()
    if name not in IN_EVERY_TABLE and not cls.paper.startswith("no paper")
}


@pytest.mark.parametrize("name", FROM_PAPERS)
def test_every_method_has_bibtex_of_the_year_that_it_names(name):
    (year,) = re.findall(r"^  year = \{(\d{4})\},$", bibtex()[name], re.MULTILINE)
    assert year in re.findall(r"\b\d{4}\b", FROM_PAPERS[name].paper.partition("http")[0])


def test_every_entry_of_the_file_is_whole_and_stands_once():
    text = SOURCE.read_text()
    assert len(bibtex()) == text.count("\n@")
    for entry in bibtex().values():
        fields = re.findall(r"^  (\w+) = \{", entry, re.MULTILINE)
        assert fields[:2] == ["author", "title"]
        assert len(set(fields)) == len(fields)
        assert entry.count("{") == entry.count("}")
        assert entry.isascii()


def test_no_two_methods_have_one_title():
    titles = [method.title for method in (METHODS | YARDSTICKS).values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", {**METHODS, **YARDSTICKS})
def test_every_row_says_what_paper_it_is_of_or_that_there_is_none(name):
    cls = {**METHODS, **YARDSTICKS}[name]
    assert cls.title
    assert cls.paper
