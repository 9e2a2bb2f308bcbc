"""Whatever goes wrong, one more call completes the grid, and nothing finished is lost."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import run
from results.store import store as store_module
from results.store.leases import SUFFIX, Lease
from results.store.store import ResultStore
from tests.faulty_runner import STAGES

pytestmark = [
    pytest.mark.usefixtures("one_figure"),
    pytest.mark.slow,  # grids that are run twice, and mostly in processes of their own
]

ROOT = Path(__file__).parents[1]
GRID = ["--datasets", "synthetic", "--bits", "8", "--seeds", "1", "--epochs", "3"]
GRID += ["--checkpoint-every", "0", "--device", "cpu"]
METHODS = ["--methods", "lsh", "cibhash"]
CELLS = 4  # both methods, random, float


def arguments(folder, *more, methods=METHODS):
    return [*methods, *GRID, "--out", f"{folder}/out", "--cache", f"{folder}/cache", *more]


def start(folder, *more, stage=None):
    """Start the command in a process of its own, with or without a fault."""
    module = ["benchmarks.run"] if stage is None else ["tests.faulty_runner", stage]
    command = [sys.executable, "-m", *module, *arguments(folder, *more)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder, *more, methods=METHODS):
    assert run.main(arguments(folder, *more, methods=methods)) == 0


def finished(folder, but=None):
    """Content and time of the files of every finished cell, `but` a method's."""
    store, files = ResultStore(folder / "out"), {}
    for record in store.records():
        if but is not None and record.method.startswith(but):
            continue
        for path in (store.locate(record), store.locate(record).with_suffix(".safetensors")):
            files[path] = path.read_bytes(), path.stat().st_mtime_ns
    return files


def check(folder, whole, before):
    """The grid is complete, as if nothing had happened."""
    after = finished(folder)
    assert {path: after[path] for path in before} == before
    assert len(after) == 2 * CELLS
    for name in ("leaderboard.csv", "runs.csv", "leaderboard.md"):
        assert (folder / "out/report" / name).read_bytes() == (whole / "report" / name).read_bytes()
    left = [p.name for p in (folder / "out").rglob("*") if p.is_file() and p.name.startswith(".")]
    assert left == []
    assert not [p for p in (folder / "out/runs").rglob("*") if p.suffix in (SUFFIX, ".checkpoint")]
    assert not list((folder / "cache").rglob("*.partial.npy"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Results of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    finish(folder)
    assert len(finished(folder)) == 2 * CELLS
    return folder / "out"


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_stage(tmp_path, whole, stage):
    process = start(tmp_path, stage=stage)
    process.communicate(timeout=300)
    assert process.returncode == -9
    before = finished(tmp_path)
    assert len(before) == {"extraction": 0, "report": 2 * CELLS}.get(stage, len(before))
    if stage == "training":
        assert len(list(tmp_path.rglob("*.checkpoint"))) == 1
    finish(tmp_path)
    check(tmp_path, whole, before)


def test_a_resumed_training_goes_on_from_its_checkpoint(tmp_path, whole, monkeypatch):
    start(tmp_path, stage="training").communicate(timeout=300)
    told = []
    from benchmarks.runner.worker import _Teller

    real = _Teller.epoch
    monkeypatch.setattr(_Teller, "epoch", lambda s, *t: (told.append(t[0]), real(s, *t))[1])
    finish(tmp_path)
    assert told == [2, 3]


@pytest.fixture
def copy(tmp_path, whole):
    """A finished grid of one's own, to damage."""
    shutil.copytree(whole, tmp_path / "out", copy_function=shutil.copy2)
    return tmp_path


def cibhash(folder, suffix):
    (path,) = (folder / "out/runs").rglob(f"cibhash/*{suffix}")
    return path


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".json", lambda path: path.write_text("{")),
        (".json", lambda path: path.write_bytes(b"")),
        (".json", lambda path: path.unlink()),
        (".safetensors", lambda path: path.write_bytes(path.read_bytes()[:-100])),
        (".safetensors", lambda path: path.write_bytes(path.read_bytes()[:20])),
        (".safetensors", lambda path: path.unlink()),
    ],
)
def test_a_damaged_cell_alone_runs_again(copy, whole, suffix, damage):
    damage(cibhash(copy, suffix))
    before = finished(copy, but="cibhash")
    assert len(before) == 2 * (CELLS - 1)
    finish(copy)
    check(copy, whole, before)


def test_a_full_disk_costs_no_finished_cell(tmp_path, whole, monkeypatch, capsys):
    real = store_module.write_atomic

    def full(path, content):
        if "cibhash" in path.parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(store_module, "write_atomic", full)
    assert run.main(arguments(tmp_path)) == 1
    assert "No space left on device" in capsys.readouterr().err
    before = finished(tmp_path)
    assert len(before) == 2 * (CELLS - 1)
    monkeypatch.undo()
    finish(tmp_path)
    check(tmp_path, whole, before)


def mount(folder, option):
    command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("part", "size", "done"),
    [
        ("cache", "700k", 3),  # room for features, and none for views
        ("out", "28k", 1),
    ],
)
def test_a_disk_that_fills(tmp_path, whole, part, size, done):
    disk = tmp_path / part
    disk.mkdir()
    if not mount(disk, f"size={size}"):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        runner = start(tmp_path)
        _, err = runner.communicate(timeout=300)
        assert runner.returncode == (1 if part == "cache" else 2), err
        assert "No space left on device" in err
        assert "Traceback" not in err
        before = finished(tmp_path)
        assert len(before) == 2 * done
        assert mount(disk, "remount,size=64m")
        runner = start(tmp_path)
        _, err = runner.communicate(timeout=300)
        assert runner.returncode == 0, err
        check(tmp_path, whole, before)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_stale_lease_is_taken_over(copy, whole):
    record = cibhash(copy, ".json")
    record.unlink()
    lease = record.with_suffix(SUFFIX)
    lease.write_text('{"host": "elsewhere", "pid": 1, "token": "t", "since": 0}')
    os.utime(lease, (0, 0))
    before = finished(copy)
    finish(copy)
    check(copy, whole, before)


def test_a_cell_of_another_runner_is_waited_for(copy, whole):
    record = cibhash(copy, ".json")
    content = record.read_bytes()
    record.unlink()
    plan = copy / "out/plan.json"
    plan.unlink()
    with Lease.acquire(record.with_suffix(SUFFIX)):
        runner = start(copy)
        while not plan.exists():  # it comes to the cell after that
            assert runner.poll() is None
            time.sleep(0.1)
        time.sleep(5)
        assert runner.poll() is None  # it waits, and does not run the cell itself
        assert not record.exists()
        record.write_bytes(content)
    _, err = runner.communicate(timeout=120)
    assert runner.returncode == 0, err
    assert "cibhash(epochs=3) 8 bits seed 0: stored by another runner" in err
    check(copy, whole, finished(copy))


def test_two_runners_share_the_work(tmp_path, whole):
    runners = [start(tmp_path), start(tmp_path)]
    told = [runner.communicate(timeout=300)[1] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], told
    lines = [line for text in told for line in text.splitlines() if line.startswith("[")]
    ran = [line.partition("] ")[2].partition(": ")[0] for line in lines if "mAP@100" in line]
    assert len(ran) == len(set(ran)) == CELLS
    check(tmp_path, whole, finished(tmp_path))


FAULTY = '''
import time
from pathlib import Path
from methods.cibhash import CIBHash

FLAG = Path({flag!r})


class Faulty(CIBHash):
    """Its fault lasts as long as a file is there."""

    paper = "none, http://localhost"

    def loss(self, batch):
        terms = super().loss(batch)
        fault = FLAG.read_text() if FLAG.exists() else ""
        if fault == "raises":
            raise RuntimeError("no luck today")
        if fault == "hangs":
            time.sleep(600)
        return {{k: v * float("nan") for k, v in terms.items()}} if fault == "nan" else terms

    def project(self, x):
        scores = super().project(x)
        return scores[..., :-1] if FLAG.exists() and FLAG.read_text() == "shape" else scores
'''


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raises", "no luck today"),
        ("nan", "must be finite, got nan"),
        ("shape", ""),
        ("hangs", "took longer than --cell-timeout 10 seconds"),
    ],
)
def test_a_faulty_method_fails_alone(tmp_path, capsys, fault, reason):
    method, flag = tmp_path / "faulty.py", tmp_path / "flag"
    method.write_text(FAULTY.format(flag=str(flag)))
    methods = ["--methods", f"{method}:Faulty", "lsh"]
    flag.write_text(fault)
    more = ("--cell-timeout", "10") if fault == "hangs" else ()
    if fault == "hangs":  # what every cell needs is there before the clock runs
        assert run.main(arguments(tmp_path, methods=["--methods", "cibhash"])) == 0
        shutil.rmtree(tmp_path / "out")
    assert run.main(arguments(tmp_path, *more, methods=methods)) == 1
    error = capsys.readouterr().err
    failed = [line for line in error.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1
    assert "faulty(epochs=3) 8 bits seed 0" in failed[0]
    assert reason in failed[0]
    (note,) = (tmp_path / "out/runs").rglob("*.failed.json")
    assert "Traceback" in note.read_text()
    before = finished(tmp_path)
    assert len(before) == 2 * (CELLS - 1)
    flag.unlink()
    finish(tmp_path, methods=methods)
    undisturbed = tmp_path / "undisturbed"
    finish(undisturbed, methods=methods)
    check(tmp_path, undisturbed / "out", before)
