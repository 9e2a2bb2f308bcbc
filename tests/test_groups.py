"""Groups of methods, and the list that says what belongs to them."""

import pytest

from benchmarks import run
from benchmarks.grid.groups import GROUPS, members
from benchmarks.grid.method_settings import MethodSpec, chosen_methods
from benchmarks.grid.yardsticks import YARDSTICKS
from methods import METHODS
from methods.base import HashMethod


def listed(capsys):
    assert run.main(["--list", "methods"]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_method_is_shallow_or_deep_by_whether_it_has_a_loss():
    shallow, deep = members("shallow"), members("deep")
    assert {"lsh", "itq"} <= set(shallow)
    assert {"cibhash", "nsh", "wch", "kl_hash"} <= set(deep)
    assert all(cls.loss is HashMethod.loss for cls in shallow.values())
    assert not any(cls.loss is HashMethod.loss for cls in deep.values())
    assert all(MethodSpec(name, cls).is_trained for name, cls in deep.items())


def test_every_method_belongs_to_one_group_and_to_all():
    assert sorted([*members("shallow"), *members("deep")]) == sorted(METHODS)
    assert list(members("all")) == list(METHODS)


def test_a_class_that_gains_a_loss_changes_its_group(monkeypatch):
    monkeypatch.setattr(METHODS["lsh"], "loss", lambda self, batch: {})
    assert "lsh" not in members("shallow")
    assert "lsh" in members("deep")


@pytest.mark.parametrize("group", ["shallow", "deep", "all"])
def test_a_group_is_a_name_for_its_methods(group):
    assert list(chosen_methods([group])) == [*members(group), "random", "float"]


def test_groups_and_names_go_together_and_each_method_comes_once():
    rows = list(chosen_methods(["nsh", "deep", "itq"]))
    assert rows[0] == "nsh"
    assert set(rows) == {*members("deep"), "itq", "random", "float"}
    assert len(rows) == len(set(rows))


def test_a_group_runs_as_its_methods_do(tmp_path, capsys):
    flags = ["--methods", "shallow", "--datasets", "synthetic", "--bits", "8", "--seeds", "1"]
    assert run.main([*flags, "--dry-run", "--out", f"{tmp_path}/out"]) == 0
    assert f"{len(members('shallow')) + 2} cells, 0 stored" in capsys.readouterr().out


@pytest.mark.parametrize("name", METHODS)
def test_the_list_gives_name_title_group_and_paper_with_its_year(name, capsys):
    cls = METHODS[name]
    (line,) = (line for line in listed(capsys) if line.split()[0] == name)
    group = "deep" if MethodSpec(name, cls).is_trained else "shallow"
    assert " ".join(line.split()) == " ".join([name, cls.title, group, cls.paper])
    assert any(f" {year}" in cls.paper for year in range(1990, 2030)), cls.paper


def test_the_list_says_what_every_group_holds(capsys):
    lines = listed(capsys)
    for group in GROUPS:
        assert f"--methods {group}: {' '.join(members(group))}" in lines


@pytest.mark.parametrize("name", YARDSTICKS)
def test_yardsticks_are_listed_as_such(name, capsys):
    (line,) = (line for line in listed(capsys) if line.split()[0] == name)
    assert f"  yardsticks  {YARDSTICKS[name].paper}" in line
