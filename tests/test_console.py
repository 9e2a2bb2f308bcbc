"""The console command, and what hides our packages or only seems to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hashbench
from benchmarks import hidden
from datasets.arguments import default_out
from datasets.errors import call_of

ROOT = Path(hashbench.__file__).parent
HIDING = "raise RuntimeError('the stand-in was imported')\n"
SMALL = ("--methods", "lsh", "--datasets", "synthetic", "--bits", "8", "--seeds", "1")


@pytest.fixture
def elsewhere(tmp_path):
    """A folder with another `datasets` and `methods`, and an output folder called `results`."""
    folder = tmp_path / "elsewhere"
    for name in ("datasets", "methods"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(HIDING)
    (folder / "results/samples").mkdir(parents=True)
    return folder


@pytest.fixture
def script(tmp_path):
    """What an installation makes of the entry point; the checkout comes last on the path."""
    path = tmp_path / "bin/hashbench"
    path.parent.mkdir()
    path.write_text(
        f"import sys\nsys.path.append({str(ROOT)!r})\n"
        "from hashbench import main\nsys.exit(main())\n"
    )
    return path


def started(folder, *command, path):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_console_command_takes_our_packages_from_anywhere_and_again(elsewhere, script):
    for stored in (0, 3):
        call = (script, "run", *SMALL, "--no-report", "--cache", "cache", "--jobs", "2")
        done = started(elsewhere, *call, path=elsewhere)
        assert done.returncode == 0, done.stderr
        assert f"3 cells, {stored} stored" in done.stdout
    (record,) = (elsewhere / "hashbench-results/runs").rglob("lsh/*.json")
    assert json.loads(record.read_text())["command"].startswith("hashbench run --methods lsh")
    assert not list((elsewhere / "results/samples").iterdir())
    done = started(elsewhere, script, "status", path=elsewhere)
    assert "3 cells: 3 done" in done.stdout


@pytest.mark.parametrize("name", ["datasets", "methods", "results"])
def test_a_package_that_is_hidden_from_python_m_is_told_in_one_line(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(HIDING)
    done = started(tmp_path, "-m", "benchmarks.run", path=ROOT)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path / name} hides the {name!r} of HashBench in {ROOT}; call hashbench in "
        "place of python -m, or go to another folder\n"
    )


def test_a_folder_that_hides_nothing_is_no_matter(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert hidden() == {}


def test_a_package_that_was_written_over_is_told_in_one_line(tmp_path):
    (tmp_path / "datasets").mkdir()
    ours = [path for path in (ROOT / "datasets").iterdir() if path.name != "__init__.py"]
    for path in [ROOT / "hashbench.py", ROOT / "benchmarks", *ours]:
        (tmp_path / path.relative_to(ROOT)).symlink_to(path)
    (tmp_path / "datasets/__init__.py").write_text("def load_dataset(): ...\n")
    call = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import hashbench as h; "
    done = started(tmp_path, "-c", call + "sys.exit(h.main(['doctor', 'digits']))", path="")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: {tmp_path}/datasets/__init__.py is not HashBench's own, or not all of it ("
    )
    assert done.stderr.count("\n") == 1


def test_other_import_errors_are_shown_whole(monkeypatch):
    monkeypatch.setitem(hashbench.VERBS, "explain", ("no_such_module", ""))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        hashbench.main(["explain"])


def test_help_names_every_verb(capsys):
    assert hashbench.main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb, (_, what) in hashbench.VERBS.items():
        assert f"  {verb:<12} {what}\n" in out
    assert hashbench.main([]) == 2


def test_an_unknown_verb_is_one_line(capsys):
    assert hashbench.main(["stauts"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: unknown command 'stauts'; did you mean 'status'? known: run, ")
    assert error.count("\n") == 1


def test_a_verb_gives_the_exit_code_of_its_command(tmp_path, capsys):
    assert hashbench.main(["status", "--out", str(tmp_path)]) == 2
    assert "no grid was planned there; start one with python -m benchmarks.run" in (
        capsys.readouterr().err
    )


def test_as_a_program_a_verb_runs_as_every_command_does(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.terminal.run_command", lambda main: 40 + main())
    monkeypatch.setattr(sys, "argv", ["hashbench", "status", "--out", str(tmp_path)])
    assert hashbench.main() == 42


@pytest.mark.parametrize("verb", hashbench.VERBS)
def test_usage_names_the_way_of_the_call(verb, monkeypatch, capsys):
    module = hashbench.VERBS[verb][0]
    for program, called in (("/bin/hashbench", f"hashbench {verb}"), ("x", f"python -m {module}")):
        monkeypatch.setattr(sys, "argv", [program])
        assert call_of(module) == called
        with pytest.raises(SystemExit) as left:
            hashbench.main([verb, "--help"])
        assert left.value.code == 0
        assert f"usage: {called} " in capsys.readouterr().out


@pytest.mark.parametrize("verb", hashbench.VERBS)
def test_help_does_not_wait_for_torch(tmp_path, verb):
    code = f"import sys, hashbench\nsys.argv[1:] = [{verb!r}, '--help']\n"
    code += "try: hashbench.main()\n"
    code += "finally: assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    done = started(tmp_path, "-c", code, path=ROOT)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def test_a_plan_does_not_wait_for_what_writes_reports(tmp_path):
    flags = ["--methods", "lsh", "--bits", "16", "--seeds", "1", "--dry-run", "--out", "here"]
    code = f"import sys; from benchmarks.run import main; assert main({flags}) == 0\n"
    code += "assert not {'pandas', 'matplotlib', 'scipy.stats', 'pyarrow'} & set(sys.modules)"
    done = started(tmp_path, "-c", code, path=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_results_lie_in_results_in_the_root_of_a_checkout_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert default_out() == Path("results")
    for folder in (ROOT / "docs", tmp_path):
        monkeypatch.chdir(folder)
        assert default_out() == Path("hashbench-results")
