"""Commands as processes, under terminals and pipes that take less than they say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def arguments(command, store, folder):
    """What a command is called with; the first word is its module."""
    out, cache = ["--out", str(store.root)], ["--cache", f"{folder}/cache"]
    record = str(next(store.runs.rglob("lsh/8-0-*.json")))
    np.save(folder / "c.npy", np.random.default_rng(0).random((600, 8)) < 0.5)
    return {
        "run": ["benchmarks.run", *SMALL, *out, *cache],
        "list": ["benchmarks.run", "--list", "protocols"],
        "help": ["benchmarks.run", "--help"],
        "report": ["benchmarks.report", "--figures", "cost", *out],
        "status": ["benchmarks.status", *out],
        "score": ["benchmarks.score", "--codes", f"{folder}/c.npy", "--dataset", "synthetic"],
        "rescore": ["benchmarks.rescore", "--no-report", *out, *cache],
        "repro": ["benchmarks.repro", record, *cache],
        "explain": ["benchmarks.explain", record, record],
        "doctor": ["datasets.doctor", "synthetic", *cache],
        "check": ["methods.check", "lsh"],
    }[command]


SMALL = ["--methods", "lsh", "--datasets", "synthetic", "--bits", "8", "--seeds", "2"]
SMALL += ["--device", "cpu", "--no-report"]
COMMANDS = ["list", "help", "status", "doctor", "check"]
LONG = ["run", "report", "score", "rescore", "repro", "explain"]


def start(words, **streams):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONIOENCODING"}
    environment |= {"OMP_NUM_THREADS": "1", **streams.pop("env", {})}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, timeout=300, check=False, **streams)


@pytest.fixture
def nobody():
    """The end of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "command", [*COMMANDS, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)]
)
def test_a_reader_that_left_is_no_error(stored, tmp_path, nobody, command):
    words = arguments(command, stored, tmp_path)
    unbuffered = {"PYTHONUNBUFFERED": "1"}  # so that it shows at the first line, and not at the end
    done = start(words, stdout=nobody, stderr=subprocess.PIPE, text=True, env=unbuffered)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.slow
def test_a_run_whose_progress_nobody_reads_goes_on_to_its_report(stored, tmp_path, nobody):
    out = tmp_path / "other"
    words = ["benchmarks.run", *SMALL[:-1], "--out", str(out), "--cache", f"{tmp_path}/cache"]
    done = start(words, stdout=nobody, stderr=nobody)
    assert done.returncode == 0
    assert (out / "report/index.html").is_file()


def test_an_error_that_nobody_reads_is_one_still(tmp_path, nobody):
    assert start(["benchmarks.status", "--out", str(tmp_path)], stderr=nobody).returncode == 2


def test_closed_streams_are_no_error(stored):
    words = ["benchmarks.status", "--out", str(stored.root)]
    closing = [sys.executable, "-c", "import os, sys; os.close(1); os.execv(sys.argv[1], "
               "sys.argv[1:])", sys.executable, "-m", *words]  # fmt: skip
    done = subprocess.run(closing, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_behind_standard_output_is_said(stored):
    with Path("/dev/full").open("w") as full:
        words = ["benchmarks.status", "--out", str(stored.root)]
        done = start(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: standard output: No space left on device\n"


@pytest.mark.slow
def test_a_terminal_that_knows_ascii_only_gets_the_leaderboard_in_ascii(stored, tmp_path):
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    words = arguments("run", stored, tmp_path)
    done = start(words, capture_output=True, env=ascii_only)
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode("ascii")
    assert " +- 0.0" in told
    assert "mean +- standard deviation over n = 2 seeds" in told
    usual = start(words, capture_output=True, env={"PYTHONIOENCODING": "utf-8"})
    assert usual.stdout.decode().replace("±", "+-") == told


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("ascii", "0.41 ± 0.01 été 中", b"0.41 +- 0.01 ete \\u4e2d"),
        ("latin-1", "0.41 ± 0.01 été 中", b"0.41 \xb1 0.01 \xe9t\xe9 \\u4e2d"),
        ("utf-8", "caf\udce9 中", b"caf\\udce9 \xe4\xb8\xad"),
        ("ascii:replace", "± 中", b"? ?"),
    ],
)
def test_what_an_encoding_lacks_is_written_in_ascii(encoding, text, written):
    code = f"import sys\nfrom datasets.terminal import run_command\ndef main(): print({text!a})\n"
    code += "sys.exit(run_command(main))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    assert done.stdout.rstrip() == written


def test_an_interruption_is_a_word_and_an_exit_code(monkeypatch):
    code = "import sys\nfrom datasets.terminal import run_command\n"
    code += "def main(): raise KeyboardInterrupt\nsys.exit(run_command(main))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_every_command_is_run_as_one():
    commands = [*(ROOT / "benchmarks").glob("**/*.py"), *(ROOT / "methods").glob("*.py")]
    commands += (ROOT / "datasets").glob("**/*.py")
    programs = [path for path in commands if '__name__ == "__main__"' in path.read_text()]
    assert len(programs) > 10
    programs.remove(ROOT / "benchmarks/models/numpy_encoder.py")  # which NumPy alone can run
    for path in programs:
        assert "run_command(main)" in path.read_text(), path
