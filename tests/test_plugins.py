"""Data sets that installed packages offer."""

import sys

import pytest

from benchmarks import run
from datasets import full_name, load, protocol_of
from datasets.errors import DatasetError, UnknownName

DATA = """
import torch
from datasets import MemoryImages
from datasets.contents import Contents
from datasets.protocols import Protocol_

RULE = "pooled, train is the database"
PROTOCOLS = (Protocol_("birds", "tiny", 10, 50, 50, RULE, 10, "shares a label", "here"),)


def load(protocol, options):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 3, 8, 8), dtype=torch.uint8, generator=generator)
    labels = torch.nn.functional.one_hot(torch.arange(60) % 5, 5).bool()
    return Contents(labels, MemoryImages(images))
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed package that offers data sets, some of them broken."""
    info = tmp_path / "aviary-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aviary\nVersion: 1.0\n")
    names = ["birds = aviary", "cifar10 = aviary", "fish = aviary", "gone = absent_module"]
    names += ["odd = aviary_odd", "none = aviary_none", "leaves = aviary_leaves"]
    names += ["owls = aviary_owls"]
    (info / "entry_points.txt").write_text("[hashbench.datasets]\n" + "\n".join(names) + "\n")
    (tmp_path / "aviary.py").write_text(DATA)
    (tmp_path / "aviary_odd.py").write_text("PROTOCOLS = ('tiny',)\ndef load(p, o): pass\n")
    (tmp_path / "aviary_none.py").write_text("PROTOCOLS = ()\n")
    (tmp_path / "aviary_leaves.py").write_text("exit(0)\n")
    owls = DATA.replace("birds", "owls").replace("generator = ", "raise SystemExit(0)\n    g = ", 1)
    (tmp_path / "aviary_owls.py").write_text(owls)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("aviary", "aviary_odd", "aviary_none", "aviary_leaves", "aviary_owls"):
        sys.modules.pop(name, None)


def test_a_data_set_of_a_package_is_found_by_its_name(plugin):
    assert protocol_of("birds").label == full_name("birds/tiny") == "birds/tiny"
    data = load("birds/tiny")
    assert (len(data.query), len(data.database)) == (10, 50)


def test_the_runner_takes_it(plugin, capsys):
    folders = ["--out", f"{plugin}/out", "--cache", f"{plugin}/cache", "--backbone", "pixels"]
    grid = ["--methods", "lsh", "--datasets", "birds", "--bits", "8", "--seeds", "1"]
    assert run.main([*grid, *folders, "--no-report"]) == 0
    assert "birds / tiny / pixels" in capsys.readouterr().out
    assert run.main(["--list", "datasets"]) == 0
    listed = capsys.readouterr().out
    assert "birds                aviary\n" in listed
    assert "cifar10              aviary; hidden by the suite's own" in listed


def test_our_own_names_go_first(plugin):
    assert protocol_of("cifar10").label == "cifar10/1k-5k"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fish", "protocols must be of the data set 'fish', got birds/tiny"),
        ("gone", r"'gone' \(absent_module\): cannot be imported"),
        ("odd", r"PROTOCOLS must be one Protocol_ or more, .* got \('tiny',\)"),
        ("leaves", r"'leaves' \(aviary_leaves\): cannot be imported \(SystemExit: 0\)"),
        ("owls", r"load raised SystemExit\(0\); raise DatasetError with the reason instead"),
        ("none", r"has no load; define load\(protocol, options\)"),
    ],
)
def test_a_broken_package_is_said(plugin, name, message):
    with pytest.raises(DatasetError, match=message):
        load(name)


def test_an_unknown_name_is_suggested_the_offered_ones_too(plugin):
    with pytest.raises(UnknownName, match="did you mean 'birds'"):
        load("bird")
    with pytest.raises(UnknownName, match="unknown protocol of birds 'big'; known: tiny"):
        load("birds/big")
