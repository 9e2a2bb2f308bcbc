"""Methods from outside of the repository, by file, by module and by entry point."""

import csv
import sys

import pytest

from benchmarks import run
from benchmarks.grid.find_method import OutsideError, describe, find_method, load_class, row_name
from benchmarks.grid.method_settings import GridError, chosen_methods, method_spec
from benchmarks.grid.method_source import source_digest
from methods import METHODS
from methods.lsh import LSH

MINE = """
from methods.lsh import LSH

SCALE = 1

class MyLSH(LSH):
    paper = "Me, 2024, https://example.org"

    def __init__(self, in_dim, n_bits, *, alpha: float = 1.0):
        super().__init__(in_dim, n_bits)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a method in it."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("mine", "plug", "pack"):
        sys.modules.pop(name, None)


@pytest.fixture
def plugin(folder):
    """An installed package that offers methods."""
    info = folder / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hashbench.methods]\nplugged = plug:MyLSH\nitq = plug:MyLSH\nodd-name = plug:MyLSH\n"
        "broken = plug:Absent\ndeep = plug:MyLSH\nrandom = plug:MyLSH\n"
    )
    (folder / "plug.py").write_text(MINE)
    return folder


def small(folder, *arguments):
    grid = ("--datasets", "synthetic", "--bits", "8", "--seeds", "1", "--no-report")
    return run.main([*grid, "--out", f"{folder}/out", "--cache", f"{folder}/cache", *arguments])


def test_method_is_found_by_file_and_by_module(folder):
    by_file, by_module = find_method("mine.py:MyLSH"), find_method("mine:MyLSH")
    assert by_file[0] == by_module[0] == "my_lsh"
    assert issubclass(by_file[1], LSH)
    assert issubclass(by_module[1], LSH)
    assert find_method(f"{folder}/mine.py:MyLSH") == by_file


def test_a_class_of_ours_keeps_its_name():
    assert find_method("methods.cibhash:CIBHash") == ("cibhash", METHODS["cibhash"])
    assert find_method("itq") == ("itq", METHODS["itq"])


@pytest.mark.parametrize(
    ("name", "row"),
    [("MyLSH", "my_lsh"), ("LSHTwo", "lsh_two"), ("Deep2Hash", "deep2_hash"), ("my_lsh", "my_lsh")],
)
def test_row_is_the_class_name_in_lower_case(name, row):
    assert row_name(type(name, (), {})) == row


@pytest.mark.parametrize("name", ["Größe", "_Private"])
def test_names_that_are_no_rows_are_refused(name):
    with pytest.raises(OutsideError, match="use a-z, 0-9 and _ alone"):
        row_name(type(name, (), {}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("min.py:MyLSH", ["min.py: No such file", "did you mean mine.py?"]),
        ("absent/x.py:MyLSH", ["absent/x.py: No such file", "check the path"]),
        ("mine.py:MyLHS", ["mine.py has no class 'MyLHS'", "did you mean 'MyLSH'?"]),
        ("mine.py:mylsh", ["did you mean 'MyLSH'?"]),
        ("mine.py", ["expected FILE.py:CLASS", "add the name of the class"]),
        ("mine.py:", ["expected FILE.py:CLASS"]),
        (":MyLSH", ["expected FILE.py:CLASS"]),
        ("mine.py:SCALE", ["SCALE is no subclass of HashMethod; write class SCALE(HashMethod)"]),
        ("methods.base:HashMethod", ["HashMethod does not define project"]),
        (
            "mien:MyLSH",
            ["mien cannot be imported", "No module named 'mien'", "install its package"],
        ),
        ("my_lsh", ["unknown method 'my_lsh'", "did you mean 'lsh'"]),
        ("bare.py:Bare", ["Bare does not define project; define it"]),
        ("fed.py:Images", ["consumes is 'images'; set it to 'features' or 'tokens' in the class"]),
        ("fed.py:Labels", ["supervision is 'labels'; set it to 'none' or 'captions' or"]),
        ("nameless.py:Nameless", ["Nameless names no paper; set paper = 'Authors,"]),
        ("typo.py:X", ["typo.py cannot be run: SyntaxError", "(typo.py, line 2)"]),
        ("raises.py:X", ["raises.py cannot be run: KeyError: 'x' (raises.py, line 3)"]),
        (
            "leaves.py:X",
            [
                "leaves.py cannot be run: ExitError: raised SystemExit(3), which",
                "(leaves.py, line 2)",
            ],
        ),
        ("sub/two.py:X", ["No module named 'other'", "give PACKAGE.MODULE:CLASS"]),
        ("pack:X", ["pack cannot be imported", "No module named 'no_such_thing'"]),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(folder, text, words):
    (folder / "bare.py").write_text(
        "from methods.base import HashMethod\nclass Bare(HashMethod):\n    paper = 'x'\n"
    )
    (folder / "nameless.py").write_text(
        "from methods.base import HashMethod\nclass Nameless(HashMethod):\n"
        "    def project(self, x):\n        return x\n"
    )
    (folder / "fed.py").write_text(
        f"{MINE}\nclass Images(MyLSH):\n    consumes = 'images'\n"
        "class Labels(MyLSH):\n    supervision = 'labels'\n"
    )
    (folder / "typo.py").write_text("import torch\nclass X(:\n")
    (folder / "raises.py").write_text("import torch\n\n{}['x']\n")
    (folder / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (folder / "sub").mkdir()
    (folder / "sub/two.py").write_text("import other\n")
    (folder / "sub/other.py").write_text("")
    (folder / "pack.py").write_text("import no_such_thing\n")
    with pytest.raises(OutsideError) as caught:
        find_method(text)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not [name for name in sys.modules if name.startswith(("typo@", "raises@", "leaves@"))]


def test_a_foreign_import_error_is_not_blamed_on_the_package(folder):
    (folder / "pack.py").write_text("import no_such_thing\n")
    with pytest.raises(OutsideError) as caught:
        find_method("pack:X")
    assert "install its package" not in str(caught.value)


def test_messages_of_errors_are_cut():
    assert describe(ValueError("x" * 999), "f.py") == f"ValueError: {'x' * 197}..."
    assert describe(KeyboardInterrupt(), "f.py") == "KeyboardInterrupt"


def test_a_changed_file_is_another_cell_and_runs_as_changed(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = load_class("mine.py:MyLSH")
    spec = method_spec("my_lsh", known={"my_lsh": before})
    assert load_class("mine.py:MyLSH") is before
    (folder / "mine.py").write_text(MINE.replace("SCALE = 1", "SCALE = 2"))  # as long, at once
    after = load_class("mine.py:MyLSH")
    assert sys.modules[after.__module__].SCALE == 2
    assert source_digest(after) != source_digest(before)
    assert method_spec("my_lsh", known={"my_lsh": after}).settings(8) != spec.settings(8)
    assert not list(folder.rglob("mine*.pyc"))


def test_settings_of_a_file_hold_no_path(folder):
    (folder / "sub").mkdir()
    (folder / "sub/mine.py").write_text(MINE)
    one, other = load_class("mine.py:MyLSH"), load_class("sub/mine.py:MyLSH")
    settings = [method_spec("m", known={"m": cls}).settings(8) for cls in (one, other)]
    assert settings[0] == settings[1]
    assert str(folder) not in str(settings)


def test_chosen_methods_keep_their_order_and_come_once(folder):
    chosen = chosen_methods(["mine.py:MyLSH", "itq", "mine.py:MyLSH", "random"])
    assert list(chosen) == ["my_lsh", "itq", "random", "float"]
    assert list(chosen_methods(["all", "mine.py:MyLSH"]))[:-2] == [*METHODS, "my_lsh"]


@pytest.mark.parametrize("name", ["ITQ", "Random", "All", "Shallow"])
def test_a_name_that_is_taken_is_refused(folder, name):
    (folder / "mine.py").write_text(MINE.replace("MyLSH", name))
    with pytest.raises(GridError, match=f"would be called '{name.lower()}' in tables"):
        chosen_methods([f"mine.py:{name}"])


def test_two_classes_of_one_name_are_refused(folder):
    (folder / "other.py").write_text(MINE.replace("SCALE = 1", "SCALE = 2"))
    with pytest.raises(GridError, match=r"other.py:MyLSH would be called 'my_lsh'"):
        chosen_methods(["mine.py:MyLSH", "other.py:MyLSH"])


def test_outside_method_runs_beside_ours_with_its_settings(folder, capsys):
    chosen = ("--methods", "mine.py:MyLSH", "itq", "--set", "my_lsh.alpha=2")
    assert small(folder, *chosen) == 0
    assert "my_lsh(alpha=2.0)" in capsys.readouterr().out
    assert small(folder, *chosen) == 0
    assert "4 cells, 4 stored, 0 to run" in capsys.readouterr().out
    (folder / "mine.py").write_text(MINE.replace("SCALE = 1", "SCALE = 2"))
    assert small(folder, *chosen, "--dry-run") == 0
    assert "4 cells, 3 stored, 1 to run" in capsys.readouterr().out


def test_outside_method_enters_the_leaderboard(folder):
    arguments = ["--datasets", "synthetic", "--bits", "8", "--seeds", "1"]
    arguments += ["--out", f"{folder}/out", "--cache", f"{folder}/cache"]
    assert run.main([*arguments, "--methods", "mine.py:MyLSH"]) == 0
    with (folder / "out/report/leaderboard.csv").open(newline="") as file:
        assert "my_lsh" in {row["method"] for row in csv.DictReader(file)}


def test_command_line_says_what_is_wrong_in_one_line(folder, capsys):
    assert small(folder, "--methods", "mine.py:MyLHS") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --methods: mine.py has no class 'MyLHS'; did you mean 'MyLSH'?")
    assert error.count("\n") == 1


def test_entry_point_is_found_by_its_name(plugin, capsys):
    assert find_method("plugged")[0] == "plugged"
    assert find_method("plugged")[1].__module__ == "plug"
    assert small(plugin, "--methods", "plugged", "--dry-run") == 0
    assert "3 cells" in capsys.readouterr().out


def test_a_name_of_ours_wins_over_an_entry_point(plugin):
    assert find_method("itq") == ("itq", METHODS["itq"])


def test_all_means_the_methods_of_this_suite(plugin):
    assert list(chosen_methods(["all"]))[:-2] == list(METHODS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plugg", "did you mean 'plugged'"),
        ("odd-name", "expected a name of a-z, 0-9 and _; name the class instead: plug:MyLSH"),
        ("broken", "plug has no class 'Absent'"),
        ("deep", "'deep' names a group of methods, not one; name the class instead: plug:MyLSH"),
    ],
)
def test_entry_points_that_cannot_be_used_are_said_in_one_line(plugin, name, words):
    with pytest.raises(OutsideError, match=words):
        find_method(name)


def test_entry_points_are_listed_without_importing_them(plugin, capsys):
    (plugin / "plug.py").write_text("raise RuntimeError")
    assert run.main(["--list", "methods"]) == 0
    out = capsys.readouterr().out
    lines = {" ".join(line.split()) for line in out.splitlines()}
    assert "plugged plug:MyLSH, of the package plug" in lines
    hidden = "plug:MyLSH, of the package plug; hidden by the suite's own"
    assert {f"{name} {hidden}" for name in ("itq", "deep", "random")} <= lines
