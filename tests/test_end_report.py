import pytest

from benchmarks.runner import end_report
from benchmarks.runner.end_report import end_report as report
from results.store.planned_grid import write_plan
from results.store.run_key import Address
from results.store.store import ResultStore
from tests.record_factory import fill, make_record

RECORD = make_record()
ADDRESS = Address(**vars(RECORD.key), digest=RECORD.digest)
TABLES = {RECORD.table}


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A results folder whose report is written, by code that does not change meanwhile."""
    monkeypatch.setattr(end_report, "code_stamps", lambda: iter([("code", 1, 1)]))
    store = ResultStore(tmp_path / "out")
    fill(store, [make_record(seed=seed) for seed in range(2)])
    write_plan(store, [])
    report(store, [], TABLES)
    return store


@pytest.fixture
def rendered(monkeypatch):
    """Stores whose report was rendered again."""
    made = []
    monkeypatch.setattr("results.report.render_board", lambda board, store, *_: made.append(store))
    return made


def test_a_report_that_is_up_to_date_is_not_rendered_again_and_says_the_same(store, rendered):
    first = report(store, [], TABLES)
    write_plan(store, [])
    assert report(store, [], TABLES) == first
    assert "\nLSH " in first
    assert first.endswith("leaderboard.csv\n")
    assert rendered == []


@pytest.mark.parametrize(
    "change",
    [
        lambda store, patch: fill(store, [make_record(seed=2)]),
        lambda store, patch: (store.root / "report/index.html").write_text("damaged"),
        lambda store, patch: (store.root / "report/leaderboard.csv").unlink(),
        lambda store, patch: (store.root / "report/rendered.json").write_text("{"),
        lambda store, patch: write_plan(store, [ADDRESS]),
        lambda store, patch: patch.setattr(
            end_report, "code_stamps", lambda: iter([("code", 2, 1)])
        ),
    ],
    ids=["record", "damage", "loss", "note", "plan", "code"],
)
def test_a_report_is_rendered_again_once_anything_has_changed(store, rendered, monkeypatch, change):
    change(store, monkeypatch)
    report(store, [], TABLES)
    assert rendered == [store]


def test_a_call_of_other_tables_shows_those(store, rendered):
    assert "\nLSH " not in report(store, [], {("digits", "300-1497", "other")})
    assert rendered == [store]


def test_a_record_that_is_stored_while_a_report_is_written_is_in_the_next(store, monkeypatch):
    fill(store, [make_record(seed=2)])
    made = []

    def render(board, of, say):
        made.append(board)
        if len(made) == 1:
            fill(store, [make_record(seed=3)])

    monkeypatch.setattr("results.report.render_board", render)
    for _ in range(3):
        report(store, [], TABLES)
    assert len(made) == 2


def test_a_plan_that_cannot_be_read_stops_no_report(store, rendered):
    (store.root / "plan.json").write_bytes(b"\xff")
    assert "\nLSH " in report(store, [], TABLES)
    assert rendered == [store]
