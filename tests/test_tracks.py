from dataclasses import replace

import pytest
import torch

from benchmarks.evaluation.counts import Codes, evaluate
from benchmarks.evaluation.labels import labels_of
from benchmarks.evaluation.metrics import average_precision, precision_at
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import score_codes
from benchmarks.evaluation.tracks import growth_curve, shift_metrics
from benchmarks.features.backbones import backbone
from benchmarks.features.cache import FeatureCache
from benchmarks.features.corrupted import KINDS, SEVERITIES, CorruptedImages, corrupt
from benchmarks.grid.errors import GridError
from benchmarks.grid.flags import read_grids
from benchmarks.grid.planning import expand_grids
from benchmarks.grid.tasks import Task, TaskRequest, open_task
from benchmarks.repro import main as repro
from benchmarks.rescore import main as rescore
from benchmarks.run import main
from datasets import load
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.image_source import MemoryImages
from datasets.protocols.rules import fixed_order
from results.store.store import ResultStore

CPU = torch.device("cpu")
ROWS = torch.arange(3)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def images(n=3, size=32):
    pixels = torch.randint(256, (n, 3, size, size), generator=torch.Generator().manual_seed(0))
    return pixels.byte()


def error(kind, severity, x=None):
    x = images() if x is None else x
    return (corrupt(x, torch.arange(len(x)), kind, severity).float() - x.float()).square().mean()


@pytest.mark.parametrize("size", [8, 32, 70])
@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_severity_does_more(kind, size):
    errors = [error(kind, severity, images(size=size)) for severity in SEVERITIES]
    assert 0 < errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_made_worse_alike_in_any_batch(kind):
    whole = corrupt(images(), ROWS, kind, 3)
    torch.manual_seed(5)  # the global generator must not matter
    turned = corrupt(images().flip(0), ROWS.flip(0), kind, 3).flip(0)
    alone = torch.cat([corrupt(images()[i : i + 1], ROWS[i : i + 1], kind, 3) for i in range(3)])
    assert whole.dtype == torch.uint8
    assert (whole.int() - turned.int()).abs().max() <= 1  # a level, by rounding
    assert (whole.int() - alone.int()).abs().max() <= 1


def test_noise_has_the_deviation_that_is_told():
    grey = torch.full((3, 3, 64, 64), 128, dtype=torch.uint8)
    noise = corrupt(grey, ROWS, "noise", 1).float() / 255
    assert float(noise.std()) == pytest.approx(0.08, rel=0.03)
    assert not torch.equal(noise[0], noise[1])


def test_corrupted_images_are_those_of_their_rows_and_have_a_digest_of_their_own():
    source = MemoryImages(images(5))
    worse = CorruptedImages(source, torch.tensor([1, 4]), "noise", 3)
    assert torch.equal(
        worse.read(torch.tensor([1])), corrupt(images(5)[4:], torch.tensor([4]), "noise", 3)
    )
    assert torch.equal(
        worse.subset(torch.tensor([1])).read(torch.tensor([0])), worse.read(torch.tensor([1]))
    )
    others = [
        CorruptedImages(source, torch.tensor([1, 4]), "noise", 5),
        CorruptedImages(source, torch.tensor([1, 4]), "blur", 3),
        CorruptedImages(source, torch.tensor([1, 3]), "noise", 3),
        CorruptedImages(MemoryImages(images(6)[1:]), torch.tensor([1, 4]), "noise", 3),
    ]
    assert len({one.digest for one in (worse, source, *others)}) == 6


def test_features_of_worse_queries_are_those_of_the_worse_images(digits, tmp_path):
    net = backbone("pixels")
    found = FeatureCache(tmp_path, CPU).shifted(digits, net, "features", "noise", 5).array
    worse = corrupt(digits.images.read(digits.query), digits.query, "noise", 5)
    torch.testing.assert_close(found, (worse.float() / 255).flatten(1).half())


def random_codes(n, seed):
    return PackedBits.of(torch.randint(2, (n, 12), generator=torch.Generator().manual_seed(seed)))


def test_a_grown_database_scores_as_one_that_was_that_large_from_the_start(digits):
    query, database = random_codes(300, 0), random_codes(1497, 1)
    others = random_codes(900, 2)
    curve = growth_curve(query, database, others, digits, "cpu")
    assert curve["n"] == [100, 200, 500, 1000]
    rows = fixed_order(1497)[:100]
    asked = Codes(query, labels_of(digits, digits.query))
    own = Codes(database[rows.numpy()], labels_of(digits, digits.database[rows]))
    for place, n in enumerate((0, 100, 400, 900)):
        none = PackedBits.of(torch.zeros(n, 10).bool())
        stats = evaluate(asked, [own, Codes(others[:n], none)], device="cpu")
        assert curve["map"][place] == average_precision(stats, 100).mean()
        assert curve["precision"][place] == precision_at(stats, 100).mean()


def test_no_part_of_a_growing_database_is_counted_twice(digits, monkeypatch):
    seen = []

    def counting(asked, stored, **how):
        seen.append(len(stored))
        return evaluate(asked, stored, **how)

    monkeypatch.setattr("benchmarks.evaluation.tracks.evaluate", counting)
    growth_curve(random_codes(300, 0), random_codes(1497, 1), random_codes(900, 2), digits, "cpu")
    assert seen == [100, 100, 300, 500]


def test_a_database_smaller_than_its_share_grows_whole(digits):
    codes = random_codes(300, 0), random_codes(1497, 1), random_codes(20_000, 2)
    assert growth_curve(*codes, digits, "cpu")["n"] == [1497, 2994, 7485, 14_970]
    with pytest.raises(ValueError, match="expected 9 distractors at least, got 8"):
        growth_curve(*codes[:2], random_codes(8, 2), digits, "cpu")


def test_queries_that_are_not_worse_score_the_same(digits):
    query, database = random_codes(300, 0), random_codes(1497, 1)
    found = shift_metrics(
        {"noise-1": query, "blur-3": random_codes(300, 3)}, database, digits, "cpu"
    )
    assert (
        found["mAP@100:noise-1"] == score_codes(query, database, digits, "cpu").metrics["mAP@100"]
    )
    both = found["mAP@100:noise-1"] + found["mAP@100:blur-3"]
    assert found["mAP@100:shift"] == pytest.approx(both / 2)
    vectors = torch.rand(300, 4), torch.rand(1497, 4)
    assert 0 < shift_metrics({"fog-1": vectors[0]}, vectors[1], digits, "cpu")["mAP@100:shift"] < 1


CALL = ["--datasets", "synthetic", "--methods", "itq", "bihalf", "--bits", "8", "--seeds", "1"]
TRACKS = ["--shift", "--distractors", "digits", "--epochs", "1"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracks")
    where = ["--out", str(folder), "--cache", str(folder / "cache")]
    assert main([*CALL, *TRACKS, *where]) == 0
    return folder


def test_a_run_measures_both(stored):
    by_method = {record.method: record for record in ResultStore(stored).scan().records}
    itq = by_method["itq"]
    names = {f"mAP@100:{kind}-{severity}" for kind in KINDS for severity in SEVERITIES}
    assert names | {"mAP@100:shift", "mAP@100:x1", "mAP@100:x10", "P@100:x10"} <= itq.metrics.keys()
    assert itq.metrics["mAP@100:noise-5"] < itq.metrics["mAP@100"]
    assert itq.curves["growth"]["n"] == [199, 398, 995, 1990]
    assert itq.curves["growth"]["map"][3] == itq.metrics["mAP@100:x10"]
    assert names <= by_method["float"].metrics.keys()
    assert "growth" not in by_method["float"].curves
    assert set(itq.settings["tracks"]) == {"shift", "distractors"}
    assert (stored / "report/figures/shift.png").is_file()
    assert (stored / "report/figures/growth.png").is_file()
    table = (stored / "report/leaderboard.md").read_text()
    assert "mAP@100:shift" in table
    assert "noise-5" not in table  # twelve columns are for the CSV file


def test_rescoring_keeps_what_the_tracks_say(stored, capsys):
    assert rescore(["--out", str(stored), "--no-report"]) == 0
    assert "0 changed" in capsys.readouterr().out


def test_a_cell_with_tracks_is_repeated_with_them(stored, capsys):
    store = ResultStore(stored)
    record = next(r for r in store.scan().records if r.method == "itq")
    assert repro([str(store.locate(record)), "--cache", str(stored / "cache")]) == 0, (
        capsys.readouterr().out
    )


def test_tracks_change_the_digest_of_a_cell_and_not_its_codes(stored, tmp_path):
    where = ["--out", str(tmp_path), "--cache", str(stored / "cache"), "--no-report"]
    assert main([*CALL, "--epochs", "1", *where]) == 0
    plain, with_tracks = (
        {r.method: r for r in ResultStore(folder).scan().records} for folder in (tmp_path, stored)
    )
    for method, record in plain.items():
        assert record.digest != with_tracks[method].digest
        assert "tracks" not in record.settings
        assert record.metrics.items() <= with_tracks[method].metrics.items()


def opened(name, **tracks):
    return open_task(TaskRequest(name, LoadOptions(), **tracks))


def test_data_that_cannot_be_measured_so_are_refused(tmp_path, digits):
    features = replace(digits, images=None, features=torch.rand(1797, 4))
    with pytest.raises(DatasetError, match="--shift: makes images worse, and digits has features"):
        Task(features, backbone("pixels"), shift=True)
    with pytest.raises(DatasetError, match="digits has images, and digits has 4 features"):
        Task(features, backbone("pixels"), distractors=digits)
    with pytest.raises(DatasetError, match="digits is the data set itself"):
        opened("digits", distractors="digits")
    with pytest.raises(DatasetError, match="neighbours are relevant"):
        opened("digits/300-1497+knn10-l2", shift=True)


def test_a_fine_tuned_backbone_is_not_measured_so():
    call = [*CALL, "--finetune", "--shift", "--backbone", "efficientnet_lite0"]
    with pytest.raises(GridError, match="--finetune: takes no --shift"):
        expand_grids(read_grids(call, "quick"))
