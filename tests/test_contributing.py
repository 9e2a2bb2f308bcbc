"""The page for authors of methods, followed to the letter."""

import csv
import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
SECTION = PAGE.partition("## Try a method")[2].partition("\n## ")[0]


@pytest.mark.slow
def test_own_method_is_checked_and_enters_the_leaderboard(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall("```python\n(.*?)```", SECTION, re.DOTALL)
    Path("my_method.py").write_text(code)
    commands = re.findall(r"^python -m (\S+) (.*)$", SECTION, re.MULTILINE)
    assert [module for module, _ in commands] == ["methods.check", "benchmarks.run"]
    folders = {"benchmarks.run": ["--cache", "cache", "--device", "cpu"]}
    for module, arguments in commands:
        main = importlib.import_module(module).main
        assert main([*shlex.split(arguments), *folders.get(module, [])]) == 0
    out = capsys.readouterr().out
    assert "FAILED" not in out
    assert "checks passed" in out
    with Path("hashbench-results/report/leaderboard.csv").open(newline="") as file:
        rows = {r["method"]: float(r["mean"]) for r in csv.DictReader(file) if r["metric"] == "mAP"}
    assert rows["my_hash"] > 2 * rows["random"]


@pytest.fixture(autouse=True)
def _modules_of_files_are_forgotten():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_method@"):
            del sys.modules[name]
