import pytest
import torch
from torch.nn import functional as F

from benchmarks.features import kmeans_patches as module
from benchmarks.features.backbones import backbone, learnt_from
from benchmarks.features.base import BackboneError
from benchmarks.features.cache import FeatureCache
from benchmarks.grid.tasks import TaskRequest, open_task
from benchmarks.models.folder import load_model, save_model
from benchmarks.run import main
from datasets.contents import LoadOptions
from datasets.image_source import MemoryImages
from results.store.store import ResultStore

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_centres(monkeypatch):
    monkeypatch.setattr(module, "CENTRES", 20)
    monkeypatch.setattr(module, "PATCHES", 2000)
    monkeypatch.setattr(module, "ROUNDS", 4)
    shapes = {"centres": (20, 108), "mean": (4, 20), "deviation": (4, 20)}
    monkeypatch.setattr(module, "_SHAPES", module._SHAPES | shapes)


def images(n=40, size=12, seed=0):
    pixels = torch.randint(256, (n, 3, size, size), generator=torch.Generator().manual_seed(seed))
    return MemoryImages(F.avg_pool2d(pixels.float(), 3, 1, 1).byte())


def learnt(source=None, rows=None, size=12):
    source = source or images()
    rows = torch.arange(30) if rows is None else rows
    return backbone("kmeans_patches", size).learnt_from(source, rows)


def test_an_activation_is_how_much_nearer_than_the_mean_a_centre_is_summed_over_a_quadrant():
    net = learnt()
    x = net.square(images().read(torch.tensor([35])))
    parts = module._parts(net.weights)
    expected = torch.zeros(4, 20, dtype=torch.float64)
    for top in range(7):
        for left in range(7):
            patch = x[0, :, top : top + 6, left : left + 6].flatten().double()
            patch = (patch - patch.mean()) / (patch.var(correction=0) + 10 / 255**2).sqrt()
            white = (patch - parts["patch"]) @ parts["whitening"].double()
            z = (parts["centres"] - white).norm(dim=1)
            expected[2 * (top > 3) + (left > 3)] += (z.mean() - z).clamp_min(0)
    expected = (expected - parts["mean"]) / parts["deviation"]
    torch.testing.assert_close(net.tokens(x)[0].double(), expected, rtol=1e-3, atol=1e-3)
    assert torch.equal(net.features(x), net.tokens(x).flatten(1))
    assert all(map(torch.equal, net.both(x), (net.features(x), net.tokens(x))))


def test_whitened_patches_have_a_covariance_of_almost_one():
    patches = torch.randn(5000, 108, generator=torch.Generator().manual_seed(0))
    patches = patches * torch.linspace(1, 3, 108) + 2
    mean, matrix = module._whitening(patches)
    covariance = ((patches - mean) @ matrix).T.cov()
    values = torch.linspace(1, 9, 108)
    expected = float((values / (values + 0.1)).mean())
    assert covariance.diag().mean() == pytest.approx(expected, abs=0.02)
    assert (matrix - matrix.T).abs().max() < 1e-5  # ZCA: the turned axes are turned back


def test_features_of_the_training_images_have_mean_0_and_deviation_1():
    net = learnt()
    found = net.features(net.square(images().read(torch.arange(30))))
    torch.testing.assert_close(found.mean(0), torch.zeros(80), atol=1e-3, rtol=0)
    deviation = found.std(0, correction=0)
    used = deviation > 0  # a centre may be farther than the mean from every patch
    assert used.sum() > 60
    torch.testing.assert_close(deviation[used], torch.ones(80)[used], atol=1e-3, rtol=0)


def test_centres_move_to_the_mean_of_what_is_nearest():
    rows = torch.randn(300, 108, generator=torch.Generator().manual_seed(1))
    centres = module._k_means(rows, rows[:20].clone(), lambda done: None)
    before = rows[:20].clone()
    for _ in range(4):
        own = torch.cdist(rows, before).argmin(1)
        before = torch.stack([rows[own == k].mean(0) for k in range(20)])
    torch.testing.assert_close(centres, before)


def test_the_same_is_learnt_each_time_on_any_number_of_threads():
    one = learnt().weights
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = learnt().weights
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, learnt().weights)
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_the_digest_follows_the_training_rows_the_images_and_the_input():
    nets = [
        learnt(),
        learnt(rows=torch.arange(29)),
        learnt(images(seed=1)),
        learnt(size=16),
    ]
    assert len({net.digest for net in nets}) == 4
    assert learnt().digest == nets[0].digest
    assert len(nets[0].digest) == 64


def test_what_was_learnt_is_read_from_the_cache_by_the_next_process(tmp_path, monkeypatch):
    task = open_task(TaskRequest("synthetic/tiny", LoadOptions(), "kmeans_patches", 8))
    first = FeatureCache(tmp_path, CPU).features(task.data, task.backbone)
    monkeypatch.setattr(module, "_k_means", None)
    again = open_task(TaskRequest("synthetic/tiny", LoadOptions(), "kmeans_patches", 8))
    FeatureCache(tmp_path, CPU).features(again.data, again.backbone)
    assert torch.equal(again.backbone.weights, task.backbone.weights)
    assert first.array.shape == (600, 80)
    assert task.in_dim("features") == 80
    assert task.in_dim("tokens") == 20


def test_a_plan_learns_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(module, "_k_means", None)
    call = ["--datasets", "synthetic", "--backbone", "kmeans_patches", "--dry-run"]
    assert main([*call, "--out", str(tmp_path), "--methods", "itq"]) == 0
    assert "backbone learnt from: the training images of the protocol, no labels" in (
        capsys.readouterr().out
    )


def test_every_table_says_what_the_backbone_learnt_from(tmp_path, capsys):
    call = ["--datasets", "synthetic", "--backbone", "kmeans_patches", "--input-size", "8"]
    call += ["--methods", "itq", "--bits", "8", "--seeds", "1", "--cache", str(tmp_path / "cache")]
    assert main([*call, "--out", str(tmp_path)]) == 0
    said = "backbone learnt from: the training images of the protocol, no labels"
    assert said in capsys.readouterr().out
    for name in ("leaderboard.md", "leaderboard.tex", "index.html"):
        assert said in (tmp_path / "report" / name).read_text()


def test_a_model_takes_its_backbone_along(tmp_path):
    call = ["--datasets", "synthetic", "--backbone", "kmeans_patches", "--input-size", "8"]
    call += ["--methods", "itq", "--bits", "8", "--seeds", "1", "--cache", str(tmp_path / "cache")]
    assert main([*call, "--out", str(tmp_path), "--no-report", "--keep-models", "all"]) == 0
    store = ResultStore(tmp_path)
    record = next(found for found in store.scan().records if found.method == "itq")
    kept = store.model(store.locate(record))
    save_model(tmp_path / "model", record, {n: torch.from_numpy(v) for n, v in kept.items()})
    model = load_model(tmp_path / "model")
    task = open_task(TaskRequest("synthetic/tiny", LoadOptions(), "kmeans_patches", 8))
    x = task.data.images.read(torch.arange(5)).float() / 255
    assert torch.equal(model.network().features(x), task.backbone.features(x))
    assert model.network().digest == task.backbone.digest


def test_one_without_training_images_says_so():
    with pytest.raises(BackboneError, match="was given none"):
        backbone("kmeans_patches").features(torch.rand(1, 3, 32, 32))


def test_too_few_patches_for_the_centres_are_told():
    flat = MemoryImages(torch.zeros(5, 3, 12, 12, dtype=torch.uint8))
    with pytest.raises(BackboneError, match="20 centres need as many patches that differ"):
        learnt(flat, torch.arange(5)).features(torch.rand(1, 3, 12, 12))


def test_an_input_of_one_patch_is_refused():
    with pytest.raises(BackboneError, match="must be above 6 pixels"):
        backbone("kmeans_patches", 6)
    assert backbone("kmeans_patches").label == "kmeans_patches@32"


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("efficientnet_lite0@128,crop", "with its labels"),
        ("timm:vgg16.tv_in1k@224", "with its labels"),
        ("timm:vit_base_patch16_224.augreg_in21k@224", "with its labels"),
        ("timm:vit_small_patch14_dinov2.lvd142m", "no labels"),
        ("timm:vit_base_patch16_224.mae@224", "no labels"),
        ("timm:vit_base_patch16_clip_224.openai", "captions"),
        ("timm:vit_base_patch16_clip_224.openai_ft_in1k", "with its labels"),
        ("timm:vgg16=mine@224", "not known"),
        ("theirs", "not known"),
    ],
)
def test_what_a_backbone_learnt_from_is_told_by_its_name(label, said):
    assert said in learnt_from(label)
