"""The real command, on small data, from its arguments to its files."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.runner import worker as work
from results.report import load_board
from results.store import scan as scan_module
from results.store.store import ResultStore
from tests.record_factory import fill, make_record
from tests.small_run import CELLS, NAMES, SMALL, call

pytestmark = pytest.mark.usefixtures("one_figure")

ROOT = Path(__file__).parents[1]


def rows(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def methods_in(folder):
    return {r["method"] for r in rows(folder / "out/report/runs.csv")}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """One finished grid, made by the command in a process of its own."""
    folder = tmp_path_factory.mktemp("grid")
    command = [sys.executable, "-W", "error", "-m", "benchmarks.run", "--methods", "all", *SMALL]
    command += ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--no-report"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert report.main(["--out", f"{folder}/out", "--figures", "map_against_bits"]) == 0
    return folder, done


def test_every_cell_leaves_a_record_and_its_arrays(grid):
    folder, _ = grid
    records = sorted((folder / "out/runs/synthetic/tiny/pixels").rglob("*.json"))
    names = [(p.parent.name, *p.stem.split("-")[:2]) for p in records]
    expected = [(m, b, s) for m in (*NAMES, "random") for b in ("16", "8") for s in "01"]
    assert sorted(names) == sorted([*expected, ("float", "0", "0")])
    assert all(p.with_suffix(".safetensors").is_file() for p in records)


def test_report_holds_every_file(grid):
    folder, _ = grid
    report_files = {
        str(p.relative_to(folder / "out/report")) for p in (folder / "out/report").rglob("*.*")
    }
    assert report_files >= {
        *("runs.csv", "leaderboard.csv", "leaderboard.md", "leaderboard.tex", "index.html"),
        *("figures/map_against_bits.pdf", "figures/map_against_bits.png"),
    }


def test_leaderboard_is_printed_with_sizes_and_yardsticks(grid):
    _, done = grid
    assert "synthetic/tiny on pixels: 50 queries, 300 train, 550 database, mAP@100" in done.stdout
    assert f"{CELLS} cells, 0 stored, {CELLS} to run" in done.stdout
    for name in ("LSH", "ITQ", "CIBHash(epochs=2)", "random", "float", "mAP@100"):
        assert name in done.stdout


def test_learned_order_is_plausible(grid):
    folder, _ = grid
    table = rows(folder / "out/report/leaderboard.csv")
    score = {
        r["method"]: float(r["mean"])
        for r in table
        if r["metric"] == "mAP@100" and r["bits"] in ("16", "0")
    }
    assert score["random"] < 0.3 < score["lsh"] < score["itq"]
    assert score["lsh"] < score["float"]


def test_metric_names_are_those_of_the_design(grid):
    folder, _ = grid
    names = {r["metric"] for r in rows(folder / "out/report/runs.csv") if r["method"] == "lsh"}
    assert names >= {"mAP", "mAP@100", "P@100", "R@100", "P@H<=2", "empty@H<=2"}


def test_second_call_trains_nothing_and_changes_no_record(grid, capsys, monkeypatch):
    folder, _ = grid
    before = {p: p.stat().st_mtime_ns for p in (folder / "out/runs").rglob("*.*")}
    monkeypatch.setattr(work, "run_cells", None)  # a call would be an error
    assert call(folder) == 0
    assert f"{CELLS} cells, {CELLS} stored, 0 to run" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (folder / "out/runs").rglob("*.*")} == before


def test_what_is_missing_alone_runs_again_and_gives_the_same_numbers(grid, capsys):
    folder, _ = grid
    (victim,) = (folder / "out/runs").rglob("cibhash/16-1-*.json")
    metrics = json.loads(victim.read_text())["metrics"]
    victim.unlink()
    assert call(folder) == 0
    assert f"{CELLS - 1} stored, 1 to run" in capsys.readouterr().out
    assert json.loads(victim.read_text())["metrics"] == metrics


@pytest.mark.parametrize("report", [(), ("--no-report",)])
def test_a_call_prints_its_own_tables_alone_and_reads_each_record_once(
    tmp_path, capsys, monkeypatch, report
):
    store = ResultStore(tmp_path / "out")
    (other,) = fill(store, [make_record()])
    damaged = other.with_name("damaged.json")
    damaged.write_text("{")
    read = []
    real = scan_module.read_record
    monkeypatch.setattr(scan_module, "read_record", lambda p: (read.append(p), real(p))[1])
    monkeypatch.setattr(scan_module, "_SETTLED", -(10**18))
    assert call(tmp_path, "--methods", "lsh", "--bits", "8", "--seeds", "1", *report) == 0
    assert len(read) == len(set(read))
    printed = capsys.readouterr().out
    assert "synthetic / " in printed
    assert "digits / " not in printed
    assert "Skipped: runs/digits/300-1497/pixels/lsh/damaged.json" in printed
    if not report:
        assert "digits / " in (tmp_path / "out/report/leaderboard.md").read_text()


def test_record_says_what_shaped_it(grid):
    folder, _ = grid
    (path,) = (folder / "out/runs").rglob("cibhash/16-0-*.json")
    record = json.loads(path.read_text())
    assert record["settings"]["method"]["params"] == {
        "tau": 0.3,
        "beta": 0.001,
        "hidden": 1024,
        "dropout": 0.0,
    }
    assert record["settings"]["method"]["recipe"]["epochs"] == 2
    assert record["settings"]["views"] == "bank"
    assert set(record["timings"]) == {"features", "fit", "encode", "evaluate"}
    assert set(record["cpu_timings"]) == {"fit", "encode", "evaluate"}
    assert all(seconds > 0 for seconds in record["cpu_timings"].values())
    assert len(record["history"]) == 2
    assert record["versions"]["torch"]
    assert record["command"].startswith("python -m benchmarks.run --methods all --datasets")


def test_report_alone_renders_the_same_tables(grid, capsys):
    folder, _ = grid
    path = folder / "out/report/leaderboard.csv"
    path.unlink()
    assert call(folder) == 0
    before = path.read_text()
    path.unlink()
    assert report.main(["--out", f"{folder}/out"]) == 0
    assert path.read_text() == before
    assert str(path) in capsys.readouterr().out


def test_a_name_and_its_default_protocol_are_one_data_set(grid, capsys):
    folder, _ = grid
    assert call(folder, "--datasets", "synthetic", "synthetic/tiny", "--dry-run") == 0
    assert capsys.readouterr().out.count("synthetic/tiny on pixels") == 1


def test_default_run_needs_neither_timm_nor_torchvision(tmp_path):
    code = (
        "import sys; sys.modules['timm'] = sys.modules['torchvision'] = None; "
        "from benchmarks.run import main; "
        f"sys.exit(main([*{SMALL}, '--methods', 'lsh', 'cibhash', '--seeds', '1', '--no-report', "
        f"'--out', {str(tmp_path)!r}, '--cache', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_method_is_enough_and_the_yardsticks_come_along(tmp_path):
    assert call(tmp_path, "--methods", "lsh", "--bits", "8") == 0
    assert methods_in(tmp_path) == {"lsh", "random", "float"}


def test_fresh_views_train_too(tmp_path):
    assert call(tmp_path, "--methods", "cibhash", "--views", "fresh", "--seeds", "1") == 0
    assert "cibhash" in {
        r["method"].partition("(")[0] for r in rows(tmp_path / "out/report/runs.csv")
    }


def test_failed_cells_are_named_the_others_are_kept_and_the_next_call_tries_again(tmp_path, capsys):
    arguments = ["--methods", "lsh", "cibhash", "--set", "cibhash.lr=1e38"]
    assert call(tmp_path, *arguments) == 1
    failed = [x for x in capsys.readouterr().err.splitlines() if x.startswith("failed: ")]
    assert len(failed) == 4
    assert all("epoch" in x and "Traceback" not in x for x in failed)
    noted = [Path(x.partition("the traceback is in ")[2]) for x in failed]
    assert {path.name[-12:] for path in noted if path.is_file()} == {".failed.json"}
    assert {r["method"] for r in rows(tmp_path / "out/report/runs.csv")} == {
        "lsh",
        "random",
        "float",
    }
    assert len(list((tmp_path / "out/runs").rglob("*.failed.json"))) == 4
    assert call(tmp_path, *arguments, "--dry-run") == 0
    assert "4 to run" in capsys.readouterr().out


def test_an_error_in_a_file_of_the_users_own_is_said_once_with_its_line(tmp_path, capsys):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from methods.lsh import LSH\n\n\nclass Mine(LSH):\n    def fit(self, data, trainer):\n"
        "        return data.features['nothing']\n"
    )
    assert call(tmp_path, "--methods", f"{mine}:Mine", "--bits", "8", "--seeds", "1") == 1
    error = capsys.readouterr().err
    assert error.count("(mine.py, line 6)") == 1
    assert "failed: synthetic/tiny mine 8 bits seed 0: IndexError: " in error
    assert error.count(".failed.json") == 1


def test_interruption_keeps_what_is_done(tmp_path, capsys, monkeypatch):
    real, done = work.run_cells, []

    def stop_at_the_fourth(cells, *rest, **asked):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.extend(cells)
        return real(cells, *rest, **asked)

    monkeypatch.setattr(work, "run_cells", stop_at_the_fourth)
    arguments = ("--methods", "lsh", "itq")
    assert call(tmp_path, *arguments) == 130
    assert "goes on where this one stopped" in capsys.readouterr().err
    monkeypatch.setattr(work, "run_cells", real)
    assert call(tmp_path, *arguments) == 0
    assert "13 cells, 3 stored, 10 to run" in capsys.readouterr().out


def test_corrupt_image_fails_its_cells_with_the_row(tmp_path, capsys):
    pa = pytest.importorskip("pyarrow")
    import io

    import numpy as np
    import pyarrow.parquet as pq
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 7, np.uint8)).save(buffer, "JPEG")
    folder = tmp_path / "data"
    folder.mkdir()
    for part, n in (("train", 300), ("test", 50)):
        images = [{"bytes": buffer.getvalue(), "path": f"{i}.jpg"} for i in range(n)]
        if part == "test":
            images[34]["bytes"] = b"not an image"
        table = pa.table({"img": images, "label": [i % 10 for i in range(n)]})
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")
    arguments = ["--datasets", f"parquet:{folder}", "--backbone", "pixels"]
    assert call(tmp_path, *arguments, "--methods", "lsh", "--seeds", "1", "--bits", "8") == 1
    failed = [x for x in capsys.readouterr().err.splitlines() if x.startswith("failed: ")]
    assert len(failed) == 3
    assert all("test-00000-of-00001.parquet: row 34: not an image" in x for x in failed)


def test_cell_that_another_process_stored_in_the_meantime_is_skipped(tmp_path, monkeypatch, capsys):
    arguments = ["--methods", "lsh", "--bits", "8", "--seeds", "1"]
    real, asked = ResultStore.has, []

    def stored_at_second_glance(store, address):
        asked.append(address)
        return len(asked) > 3 or real(store, address)  # three cells are planned, then run

    monkeypatch.setattr(ResultStore, "has", stored_at_second_glance)
    assert call(tmp_path, *arguments) == 2  # nothing was run, so there is nothing to show
    error = capsys.readouterr().err
    assert error.count("stored by another runner") == 3
    assert "failed" not in error


def test_rows_that_learn_from_more_are_marked_in_the_printed_table(grid):
    folder, done = grid
    assert "(learn from captions too, ranked apart)" in done.stdout
    kinds = {r["method"]: r["kind"] for r in rows(folder / "out/report/leaderboard.csv")}
    assert kinds["kl_hash_captions(epochs=2)"] == "captions"
    assert kinds["kl_hash_hierarchy(epochs=2)"] == "hierarchy"
    assert kinds["kl_hash(epochs=2)"] == "method"


def test_failed_rows_stand_among_those_of_their_kind(tmp_path, monkeypatch, capsys):
    real = work.run_cells

    def fails(cells, *rest, **asked):
        if cells[0].method.name != "lsh":
            raise ValueError("out of luck")
        return real(cells, *rest, **asked)

    monkeypatch.setattr(work, "run_cells", fails)
    arguments = ["--methods", "lsh", "kl_hash_captions", "--bits", "8", "--seeds", "1"]
    assert call(tmp_path, *arguments) == 1
    (section,) = load_board(ResultStore(tmp_path / "out")).sections
    kinds = {row.method: row.kind for row in section.rows}
    assert kinds == {
        **{"lsh": "method", "kl_hash_captions(epochs=2)": "captions"},
        **{"random": "yardstick", "float": "yardstick"},
    }
