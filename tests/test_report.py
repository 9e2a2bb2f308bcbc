import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import main
from results.report import Options, leaderboard_text, load_board, render
from results.store.leases import Lease
from results.store.planned_grid import Planned, write_plan
from results.store.store import ResultStore, StoreError
from tests.record_factory import ARRAYS, ORDER, fill, grid, make_record

FILES = {
    *("runs.csv", "leaderboard.csv", "leaderboard.md", "leaderboard.tex", "index.html"),
    *("statistics.csv", "published.csv", "published.md"),
    *("figures/map_against_bits.pdf", "figures/map_against_bits.png"),
    *("figures/precision_recall.pdf", "figures/precision_recall.png"),
    *("figures/cost.pdf", "figures/cost.png"),
    *("figures/mean_ranks.pdf", "figures/mean_ranks.png"),
}


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path)


def below(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_render_writes_every_file_and_nothing_else(store):
    fill(store, grid())
    written = render(store, ORDER)
    assert {path.relative_to(store.root / "report").as_posix() for path in written} == FILES
    assert below(store.root / "report") == FILES
    page = (store.root / "report/index.html").read_text()
    assert page.count("<svg") == 4


def test_csv_files_hold_every_run(store):
    records = grid()
    fill(store, records)
    render(store, ORDER)
    with (store.root / "report/runs.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert ",".join(rows[0]) == "dataset,protocol,backbone,method,bits,seed,metric,value"
    assert len(rows) == 1 + sum(len(record.metrics) for record in records)
    stored = {
        (r.method, str(r.bits), str(r.seed), name): v
        for r in records
        for name, v in r.metrics.items()
    }
    assert {(*row[3:6], row[6]): float(row[7]) for row in rows[1:]} == stored
    assert b"\r" not in (store.root / "report/leaderboard.csv").read_bytes()


def test_a_second_render_gives_the_same_bytes(store):
    fill(store, grid(seeds=2))
    first = {path: path.read_bytes() for path in render(store, ORDER)}
    assert {path: path.read_bytes() for path in render(store, ORDER)} == first


def test_an_empty_store_is_one_line_with_the_way_out(store):
    for call in (render, leaderboard_text):
        with pytest.raises(StoreError, match=r"no records under .*benchmarks\.run") as caught:
            call(store, ORDER)
        assert "\n" not in str(caught.value)
    assert below(store.root) == set()


def test_bad_records_are_named_and_the_rest_is_rendered(store):
    paths = fill(store, grid(seeds=2))
    paths[0].write_text("{")
    render(store, ORDER)
    text = (store.root / "report/leaderboard.md").read_text()
    assert paths[0].name in text
    assert "(n=1)" in text


def test_failures_alone_give_a_report_without_numbers(store):
    record = make_record()
    names = ("dataset", "protocol", "backbone", "method", "bits", "seed", "digest")
    key = {name: getattr(record, name) for name in names}
    store.mark_failed(**key, kind="method", error="out of luck")
    written = render(store, ORDER)
    assert not [path for path in written if path.suffix in (".png", ".pdf")]
    assert "out of luck" in (store.root / "report/index.html").read_text()
    assert "out of luck" in leaderboard_text(store, ORDER)
    assert len((store.root / "report/runs.csv").read_text().splitlines()) == 1


def test_a_figure_that_the_records_no_longer_give_is_removed(store):
    paths = fill(store, grid(seeds=1))
    render(store, ORDER)
    for path in paths:
        path.unlink()
    store.save(make_record(seed=9), ARRAYS)
    render(store, ORDER)
    assert below(store.root / "report") == {
        f for f in FILES if not re.search("precision_recall|mean_ranks", f)
    }


def test_chosen_figures_are_drawn_and_others_stay(store):
    fill(store, grid(seeds=1))
    render(store, ORDER)
    written = render(store, ORDER, Options(figures=("cost",), formats=("svg",), width="column"))
    assert [path.name for path in written if path.parent.name == "figures"] == ["cost.svg"]
    here = {path.name for path in (store.root / "report/figures").iterdir()}
    assert "cost.svg" in here
    assert "map_against_bits.pdf" in here
    assert "cost.pdf" not in here  # of another form, so out of date


def test_an_unwritable_report_folder_is_one_line(store):
    fill(store, [make_record()])
    (store.root / "report").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be written.*--out"):
        render(store, ORDER)


def test_report_is_rendered_without_torch_and_leaves_no_figure_open(store):
    fill(store, grid(methods=("lsh", "itq"), seeds=3))
    code = (
        "import sys; from pathlib import Path; from results.report import render; "
        "from results.store.store import ResultStore; render(ResultStore(Path(sys.argv[1]))); "
        "assert 'torch' not in sys.modules; "
        "import matplotlib.pyplot; assert not matplotlib.pyplot.get_fignums()"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=True, cwd=root)


def planned(record, **changes):
    names = ("dataset", "protocol", "backbone", "method", "bits", "seed", "digest")
    return Planned(**({name: getattr(record, name) for name in names} | changes))


def test_cells_that_are_missing_or_running_are_said_by_row(store):
    records = grid(seeds=1)
    fill(store, records)
    lost = [planned(records[0], seed=seed, digest=f"{seed}" * 64) for seed in (1, 2, 3)]
    write_plan(store, [*(planned(record) for record in records), *lost])
    with Lease.acquire(store.lease_path(**vars(lost[2]))):
        board = load_board(store, ORDER)
    assert board.notes == (
        "Missing: digits/300-1497 pixels lsh: 16 bits (seeds 1, 2)",
        "Running: digits/300-1497 pixels lsh: 16 bits (seed 3)",
    )


def test_a_damaged_plan_is_named_and_the_rest_is_rendered(store):
    fill(store, [make_record()])
    (store.root / "plan.json").write_text("{")
    board = load_board(store, ORDER)
    assert [note for note in board.notes if "plan.json: damaged" in note]
    assert board.sections


def test_a_failure_that_is_made_good_while_the_store_is_read_is_no_fault(store, monkeypatch):
    fill(store, [make_record()])
    record = make_record(seed=1)
    names = ("dataset", "protocol", "backbone", "method", "bits", "seed", "digest")
    cell = {name: getattr(record, name) for name in names}
    path = store.mark_failed(**cell, kind="method", error="x")
    read = store.read

    def save_meanwhile(at):
        path.unlink(missing_ok=True)
        return read(at)

    monkeypatch.setattr(store, "read", save_meanwhile)
    assert store.scan().skipped == []


def test_the_command_renders_says_what_is_missing_and_adds_columns(store, capsys):
    records = grid(seeds=1)
    fill(store, records)
    write_plan(store, [planned(records[0], seed=1, digest="1" * 64)])
    export = store.root / "export.parquet"
    flags = ["--out", str(store.root), "--columns", "time", "memory", "--benchopt", str(export)]
    assert main(flags) == 0
    shown = capsys.readouterr().out
    assert "Missing: digits/300-1497 pixels lsh: 16 bits (seed 1)\n" in shown
    assert export.is_file()
    assert below(store.root / "report") == FILES
    assert "training (s)" in (store.root / "report/leaderboard.md").read_text()
    assert ",cost.fit_s,0.5," in (store.root / "report/leaderboard.csv").read_text()
    assert "cost." not in (store.root / "report/runs.csv").read_text()


def test_an_unknown_column_is_refused_with_those_there_are(store, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--out", str(store.root), "--columns", "price"])
    assert caught.value.code == 2
    assert "ties" in capsys.readouterr().err
