"""What cells of a call will ask for, so that one pass over the images gives it."""

import pytest

from benchmarks.inputs import wanted
from benchmarks.planning import expand_grids
from benchmarks.run import _grids, main
from benchmarks.work import Bench, work
from results.store import ResultStore


def cells(*arguments):
    fixed = ("--datasets", "synthetic", "--bits", "8", "--seeds", "2", "--epochs", "1")
    found = expand_grids(_grids([*fixed, *arguments], "quick"))[0]
    return [cell for cell in found if cell.method.name in arguments]  # yardsticks come uncalled


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--methods", "random"], set()),
        (["--methods", "lsh"], {("", 1, "features")}),
        (["--methods", "float"], {("", 1, "features")}),
        (["--methods", "cibhash"], {("", 1, "features"), ("cibhash", 10, "features")}),
        (["--methods", "wch"], {("", 1, "tokens"), ("cibhash", 10, "tokens")}),
        (["--methods", "wch", "--views", "fresh"], {("", 1, "tokens")}),
        (
            ["--methods", "lsh", "wch"],
            {("", 1, "features"), ("", 1, "tokens"), ("cibhash", 10, "tokens")},
        ),
    ],
)
def test_what_cells_want(arguments, expected):
    assert wanted(cells(*arguments)) == expected


def test_a_backbone_that_is_trained_too_needs_nothing_kept():
    found = wanted(cells("--methods", "cibhash", "--finetune", "--backbone", "efficientnet_lite0"))
    assert found == set()


def test_features_and_tokens_of_a_grid_come_from_one_pass(tmp_path):
    told = []
    todo = cells("--methods", "cibhash", "wch")
    bench = Bench(tmp_path / "out", tmp_path / "cache", wants=wanted(todo))
    for cell in todo:
        (outcome,) = work(bench, [cell], told.append)
        assert outcome.state == "done", outcome.note
    passes = {line.partition(":")[0] for line in told if "synthetic" in line}
    assert passes == {
        "features and tokens of synthetic",
        "features and tokens of 10 views of the training images of synthetic",
    }


def test_the_runner_tells_what_is_wanted(tmp_path):
    grid = ["--methods", "cibhash", "wch", "--datasets", "synthetic", "--bits", "8", "--seeds", "1"]
    folders = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main([*grid, "--epochs", "1", "--no-report", *folders]) == 0
    assert len(list(ResultStore(tmp_path / "out").records())) == 4  # two yardsticks
    notes = [path.read_text() for path in (tmp_path / "cache" / "pixels").glob("*.json")]
    assert len(notes) == 4
    assert all('"features and tokens of' in note for note in notes)
