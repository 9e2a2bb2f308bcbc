"""Flags by which every command loads data sets, and the progress that it shows."""

import io
from dataclasses import fields
from pathlib import Path

import pytest

from datasets import progress
from datasets.arguments import Parser, add_data_arguments, load_options
from datasets.contents import LoadOptions
from datasets.progress import ProgressLine


def parse(*arguments):
    parser = Parser("benchmarks.run")
    add_data_arguments(parser)
    return load_options(parser.parse_args(arguments))


def test_every_flag_reaches_its_option():
    options = parse(
        *("--data-root", "data", "--cache", "cache", "--allow-missing"),
        *("--queries", "3", "--train", "4", "--cutoff", "5"),
        *("--image-column", "photo", "--label-column", "kind"),
    )
    assert (options.data_root, options.cache) == (Path("data"), Path("cache"))
    assert options.allow_missing
    assert (options.n_query, options.n_train, options.cutoff) == (3, 4, 5)
    assert (options.image_column, options.label_column) == ("photo", "kind")


def test_without_flags_all_is_chosen_but_the_cache():
    options = parse()
    assert options.cache.name == "hashbench"
    for field in fields(LoadOptions):
        if field.name not in ("cache", "progress"):
            assert getattr(options, field.name) == field.default


def test_a_wrong_flag_is_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        parse("--cutoff", "many")
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "error: argument --cutoff: invalid int value: 'many'; see --help\n"
    )


def test_what_was_given_is_shown_and_not_obeyed(capsys):
    with pytest.raises(SystemExit):
        parse("a\x1b[2J")
    assert r"unrecognized arguments: a\x1b[2J" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_progress_tells_the_rate_of_this_pass_and_the_time_left(clock):
    stream = io.StringIO()
    line = ProgressLine(stream)
    line("images checked", 1000, 5000)  # an earlier pass did these
    clock[0] += 5
    line("images checked", 1500, 5000)
    assert stream.getvalue() == ""
    clock[0] += 5
    line("images checked", 2000, 5000)
    assert stream.getvalue() == "images checked: 2,000/5,000, 100 images/s, 0:30 left\n"


def test_on_a_terminal_progress_stays_on_its_line(clock):
    stream = Terminal()
    line = ProgressLine(stream)
    for done in (0, 50, 100):
        line("images checked", done, 100)
        clock[0] += 0.5
    last = stream.getvalue().split("\r")[-1]
    assert "100/100" in last
    assert stream.getvalue().count("\n") == 1
    assert last.endswith("\n")
