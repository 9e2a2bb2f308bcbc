"""Code lengths that a method does not have are told before anything runs."""

import inspect
from dataclasses import replace

import pytest
import torch

from benchmarks import run
from benchmarks.features.backbones import backbone
from benchmarks.grid.groups import members
from benchmarks.grid.method_settings import MethodSpec, method_spec
from benchmarks.grid.tasks import Task
from datasets import load
from methods import METHODS
from methods.base import LengthError
from methods.lsh import LSH
from tests.small_run import NAMES


class Pairs(LSH):
    """Two bits a direction, each direction in a part of its own of the features."""

    def __init__(self, in_dim, n_bits, *, b: int = 2):
        if n_bits % b:
            low = n_bits - n_bits % b
            raise LengthError(f"Pairs: n_bits must be a multiple of b = {b}; {low} would be one")
        if in_dim % (n_bits // b):
            raise LengthError(f"Pairs: {n_bits // b} parts of {in_dim} features are uneven")
        super().__init__(in_dim, n_bits)


class Whole(LSH):
    """Its file goes wrong in another way than by a length that it has not."""

    def __init__(self, in_dim, n_bits, *, error):
        super().__init__(in_dim, n_bits)
        raise error("a table that is absent")


NAMED = f"{inspect.getfile(Pairs)}:Pairs"


def plan(tmp_path, *arguments):
    flags = ["--datasets", "synthetic", "--seeds", "1", "--dry-run", "--out", f"{tmp_path}/out"]
    return run.main([*flags, *arguments])


@pytest.fixture(scope="module")
def task():
    return Task(load("synthetic"), backbone("pixels"))


def test_a_method_that_was_named_is_refused_in_one_line_with_what_works(tmp_path, capsys):
    assert plan(tmp_path, "--methods", NAMED, "--bits", "16", "9") == 2
    said = capsys.readouterr()
    assert said.err == (
        "error: --methods: pairs at 9 bits: Pairs: n_bits must be a multiple of b = 2; "
        "8 would be one; leave it out, or take other data or --bits\n"
    )
    assert "cells" not in said.out


def test_of_a_group_the_cell_alone_is_left_out_with_the_reason(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(METHODS, "pairs", Pairs)
    assert plan(tmp_path, "--methods", "shallow", "--bits", "8", "9") == 0
    out = capsys.readouterr().out
    assert "skipped: pairs at 9 bits: Pairs: n_bits must be a multiple of b = 2; 8 " in out
    assert "pairs at 8 bits" not in out
    left_out = [line for line in out.splitlines() if line.startswith("skipped:")]
    assert all(" at 9 bits: " in line for line in left_out)
    n_cells = 2 * len(members("shallow")) - len(left_out) + 2 + 1  # random at both, float
    assert f"{n_cells} cells, 0 stored, {n_cells} to run" in out


def test_a_method_that_is_named_beside_its_group_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(METHODS, "pairs", Pairs)
    assert plan(tmp_path, "--methods", "all", "pairs", "--bits", "8", "9") == 2
    assert "--methods: pairs at 9 bits" in capsys.readouterr().err


def test_a_rule_about_the_width_of_the_features_is_told_too(task, tmp_path, capsys):
    width = task.in_dim("features")
    assert width % 7
    assert plan(tmp_path, "--methods", NAMED, "--bits", "14") == 2
    assert f"pairs at 14 bits: Pairs: 7 parts of {width} features" in capsys.readouterr().err
    given = replace(task.data, images=None, features=torch.randn(600, 21))
    assert Task(given, task.backbone).refuses(MethodSpec("pairs", Pairs), 14) is None


@pytest.mark.parametrize("name", ["pixels", "efficientnet_lite0"])
@pytest.mark.parametrize("kind", ["features", "tokens"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports
def test_the_width_is_that_of_the_backbone(task, name, kind):
    net = backbone(name, 32)
    expected = getattr(net, kind)(torch.rand(2, 3, 32, 32)).shape[-1]
    assert Task(task.data, net).in_dim(kind) == expected


def test_a_width_that_nobody_knows_refuses_no_length(task):
    spec = MethodSpec("pairs", Pairs, {"b": 2})
    on_disk = Task(replace(task.data, images=Unread(task.data.images)), task.backbone)
    assert on_disk.in_dim("features") is None
    assert on_disk.refuses(spec, 14) is None
    assert "multiple" in on_disk.refuses(spec, 9)
    assert on_disk.refuses(method_spec("float"), 0) is None


class Unread(type(load("synthetic").images).__base__):
    """Images that nobody may look at before the grid runs."""

    def __init__(self, images):
        self.images, self.digest = images, images.digest

    def __len__(self):
        return len(self.images)

    def read(self, rows):
        raise AssertionError("read while the grid was planned")

    def subset(self, rows):
        return self


@pytest.mark.parametrize("error", [KeyError, ValueError])
def test_what_else_goes_wrong_in_a_constructor_is_left_to_the_cell(task, error):
    assert task.refuses(MethodSpec("whole", Whole, {"error": error}), 8) is None


def test_a_length_of_thousands_of_bits_costs_no_memory(monkeypatch):
    devices = []
    monkeypatch.setattr(torch.Tensor, "normal_", lambda self, *a, **k: devices.append(self.device))
    for n_bits in (1024, 1025):
        assert MethodSpec("lsh", METHODS["lsh"]).length_fault(8, n_bits) is None
    assert [device.type for device in devices] == ["cpu", "meta"]


def test_a_setting_is_not_refused_for_the_length_that_checks_it():
    spec = method_spec("pairs", {"b": 3}, known={"pairs": Pairs})
    assert spec.params == {"b": 3}
    assert spec.length_fault(8, 9) is not None  # 3 parts of 8
    assert spec.length_fault(9, 9) is None


def test_every_length_of_a_code_is_had_by_every_method(task):
    for name in NAMES:
        assert task.refuses(method_spec(name), 16) is None
