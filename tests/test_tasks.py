"""What is sent to another process arrives as what it was."""

import pickle

import pytest

from benchmarks.grid import tasks as tasks
from benchmarks.grid.flags import read_grids
from benchmarks.grid.method_settings import GridError, chosen_methods, method_spec
from benchmarks.grid.planning import expand_grids
from benchmarks.grid.tasks import Task, TaskRequest, open_task
from datasets.contents import LoadOptions

REQUEST = TaskRequest("synthetic/tiny", LoadOptions())


def sent(value):
    return pickle.loads(pickle.dumps(value))


def test_a_cell_arrives_whole_and_small():
    cells, _ = expand_grids(read_grids(["--datasets", "synthetic", "--bits", "8"], "quick"))
    for cell in cells:
        arrived = sent(cell)
        assert (arrived.key, arrived.digest) == (cell.key, cell.digest)
        assert len(pickle.dumps(cell)) < 10_000
    assert sent(cells[0]).task is sent(cells[1]).task


def test_a_method_from_a_file_arrives(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from methods.lsh import LSH\n\n\nclass Mine(LSH):\n    paper = 'none, http://localhost'\n"
    )
    known = chosen_methods([f"{path}:Mine"])
    spec = sent(method_spec("mine", known=known))
    assert spec.name == "mine"
    assert spec.settings(8) == method_spec("mine", known=known).settings(8)


def test_other_data_on_the_other_side_are_refused(monkeypatch):
    message = pickle.dumps(open_task(REQUEST))
    tasks._opened.cache_clear()
    monkeypatch.setattr(Task, "digest", "another")
    with pytest.raises(GridError, match="finds other data or weights"):
        pickle.loads(message)


def test_a_suite_without_a_request_cannot_be_sent():
    task = open_task(REQUEST)
    with pytest.raises(TypeError, match="not opened by a request"):
        pickle.dumps(Task(task.data, task.backbone))
