"""What cells will ask for, so that one pass over the images gives all of it."""

import math

import pytest
import torch

from benchmarks.features.base import BackboneError, Pixels
from benchmarks.features.cache import FeatureCache
from benchmarks.features.extractor import BATCH
from benchmarks.grid.flags import read_grids
from benchmarks.grid.planning import expand_grids
from benchmarks.run import main
from benchmarks.runner.run_settings import RunSettings
from benchmarks.runner.task_inputs import needs_of
from benchmarks.runner.worker import run_leased
from datasets import load
from results.store.store import ResultStore

CPU = torch.device("cpu")
PIXELS = Pixels("pixels", None)


@pytest.fixture(scope="module")
def data():
    return load("synthetic")


def cells(*arguments):
    fixed = ("--datasets", "synthetic", "--bits", "8", "--seeds", "2", "--epochs", "1")
    found = expand_grids(read_grids([*fixed, *arguments], "quick"))[0]
    return [cell for cell in found if cell.method.name in arguments]  # yardsticks come uncalled


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
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
    assert needs_of(cells(*arguments)) == expected


def test_a_backbone_that_is_trained_too_needs_nothing_kept():
    found = needs_of(
        cells("--methods", "cibhash", "--finetune", "--backbone", "efficientnet_lite0")
    )
    assert found == set()


def test_features_and_tokens_of_a_grid_come_from_one_pass(tmp_path):
    told = []
    todo = cells("--methods", "cibhash", "wch")
    settings = RunSettings(tmp_path / "out", tmp_path / "cache", needs=needs_of(todo))
    for cell in todo:
        (outcome,) = run_leased(settings, [cell], told.append)
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


class Both(Pixels):
    """Counts images and the passes that give features and tokens; may have no tokens."""

    def __init__(self, has_tokens=True):
        super().__init__("pixels", None)
        self.seen = self.passes = 0
        self.has_tokens = has_tokens

    def features(self, images):
        self.seen += len(images)
        return super().features(images)

    def both(self, images):
        self.passes += 1
        return super().both(images)

    def tokens(self, images):
        if not self.has_tokens:
            raise BackboneError("no tokens")
        return super().tokens(images)


@pytest.mark.parametrize("first", ["features", "tokens"])
def test_one_pass_gives_features_and_tokens_where_both_are_wanted(data, tmp_path, first):
    second = "tokens" if first == "features" else "features"
    together, alone = FeatureCache(tmp_path / "a", CPU), FeatureCache(tmp_path / "b", CPU)
    net = Both()
    for kind, also in ((first, second), (second, first)):
        expected = alone.features(data, PIXELS, kind).array
        assert torch.equal(together.features(data, net, kind, also).array, expected)
        expected = alone.bank(data, PIXELS, "cibhash", 2, kind).array
        found = together.bank(data, net, "cibhash", 2, kind, also).array
        assert torch.equal(found, expected)
    n_batches = math.ceil(len(data.images) / BATCH["cpu"]) + math.ceil(
        2 * len(data.train) / BATCH["cpu"]
    )
    assert net.passes == n_batches
    assert net.seen == len(data.images) + 2 * len(data.train)


def test_what_is_there_already_is_not_computed_beside_the_other(data, tmp_path):
    net, cache = Both(), FeatureCache(tmp_path, CPU)
    cache.features(data, net)
    cache.features(data, net, "tokens", "features")
    assert net.passes == 0
    assert net.seen == len(data.images)


def test_features_are_had_where_there_are_no_tokens(data, tmp_path):
    net, cache = Both(has_tokens=False), FeatureCache(tmp_path / "a", CPU)
    found = cache.features(data, net, "features", "tokens").array
    assert torch.equal(found, FeatureCache(tmp_path / "b", CPU).features(data, PIXELS).array)
    with pytest.raises(BackboneError, match="no tokens"):
        cache.features(data, net, "tokens", "features")
