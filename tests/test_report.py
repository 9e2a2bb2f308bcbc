import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import main
from results.report import Options, load_board, render_board
from results.store.leases import Lease
from results.store.planned_grid import write_plan
from results.store.record import SCHEMA, check_record
from results.store.run_key import Address
from results.store.store import ResultStore, StoreError
from results.tables.leaderboard import leaderboard_plain
from tests.record_factory import ARRAYS, ORDER, fill, grid, make_record

FILES = {
    *("runs.csv", "leaderboard.csv", "leaderboard.md", "leaderboard.tex", "index.html"),
    *("leaderboard.parquet", "statistics.csv", "published.csv", "published.md"),
    *("figures/map_against_bits.pdf", "figures/map_against_bits.png"),
    *("figures/precision_recall.pdf", "figures/precision_recall.png"),
    *("figures/cost.pdf", "figures/cost.png"),
    *("figures/mean_ranks.pdf", "figures/mean_ranks.png"),
}


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path)


def render(store, options=None):
    return render_board(load_board(store, ORDER), store, options)


def below(folder):
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return {path for path in found if "/.drawn/" not in path}


def test_render_writes_every_file_and_nothing_else(store):
    fill(store, grid())
    written = render(store)
    assert {path.relative_to(store.root / "report").as_posix() for path in written} == FILES
    assert below(store.root / "report") == FILES
    page = (store.root / "report/index.html").read_text()
    assert page.count('<svg role="img"') == 4


def test_csv_files_hold_every_run(store):
    records = grid()
    fill(store, records)
    render(store)
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


def test_no_name_in_a_csv_file_is_a_formula_for_a_spreadsheet(store):
    names = ["=1+1", "+HYPERLINK(1)", "-2", "@sum", "'=quoted"]
    fill(store, grid(names, bits=(8,), seeds=2))
    render(store)
    for path in (store.root / "report").glob("*.csv"):
        with path.open(newline="") as file:
            cells = {cell for row in csv.reader(file) for cell in row}
        texts = {cell for cell in cells if not re.fullmatch(r"-?[\d.e+-]+", cell)}
        assert not [text for text in texts if text[:1] in tuple("=+-@")], path.name
    with (store.root / "report/runs.csv").open(newline="") as file:
        written = {row["method"] for row in csv.DictReader(file)}
    assert {re.sub("^'('*[=+@-])", r"\1", name) for name in written} == {*names, "float", "random"}


def test_a_second_render_gives_the_same_bytes(store):
    fill(store, grid(seeds=2))
    first = {path: path.read_bytes() for path in render(store)}
    assert {path: path.read_bytes() for path in render(store)} == first


def test_an_empty_store_is_one_line_with_the_way_out(store):
    with pytest.raises(StoreError, match=r"no records under .*; run a grid first, or") as caught:
        load_board(store)
    assert "\n" not in str(caught.value)
    assert below(store.root) == set()


def test_bad_records_are_named_and_the_rest_is_rendered(store):
    paths = fill(store, grid(seeds=2))
    paths[0].write_text("{")
    render(store)
    text = (store.root / "report/leaderboard.md").read_text()
    assert paths[0].name in text
    assert "(n=1)" in text


def test_records_of_another_schema_are_one_line_of_the_report_or_its_only_error(store, capsys):
    paths = fill(store, grid(seeds=2))
    for path in paths[1:]:
        path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', '"schema": 3'))
    (note,) = load_board(store, ORDER).notes
    assert note.startswith(f"{len(paths) - 1} records of schema 3 under {store.runs}: ")
    paths[0].unlink()
    assert main(["--out", str(store.root)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {len(paths) - 1} records of schema 3 under {store.runs}: ")
    assert error.count("\n") == 1


def test_failures_alone_give_a_report_without_numbers(store):
    store.mark_failed(make_record(), kind="method", error="out of luck")
    written = render(store)
    assert not [path for path in written if path.suffix in (".png", ".pdf")]
    assert "out of luck" in (store.root / "report/index.html").read_text()
    assert "out of luck" in leaderboard_plain(load_board(store))
    assert len((store.root / "report/runs.csv").read_text().splitlines()) == 1


def test_a_figure_that_the_records_no_longer_give_is_removed(store):
    paths = fill(store, grid(seeds=1))
    render(store)
    for path in paths:
        path.unlink()
    store.save(make_record(seed=9), ARRAYS)
    render(store)
    assert below(store.root / "report") == {
        f for f in FILES if not re.search("precision_recall|mean_ranks", f)
    }


def test_chosen_figures_are_drawn_and_others_stay(store):
    fill(store, grid(seeds=1))
    render(store)
    written = render(store, Options(figures=("cost",), formats=("svg",), width="column"))
    assert [path.name for path in written if path.parent.name == "figures"] == ["cost.svg"]
    here = {path.name for path in (store.root / "report/figures").iterdir()}
    assert "cost.svg" in here
    assert "map_against_bits.pdf" in here
    assert "cost.pdf" not in here  # of another form, so out of date


def test_an_unwritable_report_folder_is_one_line(store):
    fill(store, [make_record()])
    (store.root / "report").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be written.*--out"):
        render(store)


def test_report_is_rendered_without_torch_and_leaves_no_figure_open(store):
    fill(store, grid(methods=("lsh", "itq"), seeds=3))
    code = (
        "import sys; from pathlib import Path; from results import report; "
        "from results.store.store import ResultStore; store = ResultStore(Path(sys.argv[1])); "
        "report.render_board(report.load_board(store), store); "
        "assert 'torch' not in sys.modules; "
        "import matplotlib.pyplot; assert not matplotlib.pyplot.get_fignums()"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=True, cwd=root)


def planned(record, **changes):
    return Address(**(vars(record.key) | {"digest": record.digest} | changes))


def test_cells_that_are_missing_or_running_are_said_by_row(store):
    records = grid(seeds=1)
    fill(store, records)
    lost = [planned(records[0], seed=seed, digest=f"{seed}" * 64) for seed in (1, 2, 3)]
    write_plan(store, [*(planned(record) for record in records), *lost])
    with Lease.acquire(store.lease_path(lost[2])):
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
    path = store.mark_failed(make_record(seed=1), kind="method", error="x")

    def save_meanwhile(record):
        path.unlink(missing_ok=True)
        return check_record(record)

    monkeypatch.setattr("results.store.scan.check_record", save_meanwhile)
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
    assert below(store.root / "report") == FILES | {"papers.bib"}
    assert "training (s)" in (store.root / "report/leaderboard.md").read_text()
    assert ",cost.fit_s,0.5," in (store.root / "report/leaderboard.csv").read_text()
    assert "cost." not in (store.root / "report/runs.csv").read_text()


def test_an_unknown_column_is_refused_with_those_there_are(store, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--out", str(store.root), "--columns", "price"])
    assert caught.value.code == 2
    assert "ties" in capsys.readouterr().err


def drawn(store, options=None):
    told = []
    render_board(load_board(store, ORDER), store, options, told.append)
    return [text.removeprefix("drawing ") for text in told]


def changed(store, name, change):
    """Figures that a report draws anew after a change of one record."""
    path = next(path for path in sorted(store.runs.rglob("*.json")) if path.parent.name == name)
    data = json.loads(path.read_bytes())
    change(data)
    path.write_text(json.dumps(data))
    return drawn(store)


def test_only_figures_of_what_has_changed_are_drawn_again(store, monkeypatch):
    curves = {"history": [{"a": 1.0}, {"a": 0.5}]}
    fill(store, [*grid(seeds=1, **curves), *grid(seeds=1, dataset="other", **curves)])
    first = drawn(store)
    assert {"map_against_bits", "loss-digits-300-1497-pixels"} <= set(first)
    whole = {path.name: path.read_bytes() for path in (store.root / "report").rglob("*.p*")}
    page = (store.root / "report/index.html").read_bytes()
    again = [stem for stem in drawn(store) if stem.startswith(("map", "loss"))]
    assert again == []
    assert (store.root / "report/index.html").read_bytes() == page
    assert whole == {p.name: p.read_bytes() for p in (store.root / "report").rglob("*.p*")}

    of_other = changed(store, "lsh", lambda data: data["history"].append({"a": 0.1}))
    assert "loss-other-300-1497-pixels" not in of_other
    assert {"map_against_bits", "loss-digits-300-1497-pixels"} <= set(of_other)
    (store.root / "report/figures/cost.png").write_bytes(b"damaged")
    assert "cost" in drawn(store)
    assert "map_against_bits" in drawn(store, Options(width="column"))
    monkeypatch.setattr("results.figures.kept._code", lambda: "other code")
    assert "map_against_bits" in drawn(store, Options(width="column"))
