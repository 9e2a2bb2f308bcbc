import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import repro, run
from benchmarks.features.backbones import backbone
from benchmarks.features.base import Pixels
from benchmarks.features.cache import FeatureCache
from benchmarks.machine.torchvision_stub import import_beside_torchvision, import_timm
from benchmarks.training.training_sets import EndToEnd
from datasets.augment import AUGMENTATIONS
from datasets.base import RetrievalDataset
from datasets.files.images import EncodedImages, FileItems
from datasets.image_source import MemoryImages
from datasets.protocols.protocol import Protocol_
from datasets.resample import centre_crop, resize

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports

CPU = torch.device("cpu")


def pictures(n, height, width, grain=0.0):
    """Smooth images, with a grain or not, uint8 (n, 3, H, W)."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 3, 7, 9, generator=random)
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    fine += grain * torch.randn(fine.shape, generator=random)
    return (fine.clamp(0, 1) * 255).byte()


def as_timm(images, size, share, by):
    """What timm's own pipeline for tests makes of images, float32 in [0, 1]."""
    import_timm()
    data = import_beside_torchvision("timm.data")
    transform = data.create_transform(
        (3, size, size), interpolation=by, crop_pct=share, mean=(0, 0, 0), std=(1, 1, 1)
    )
    return torch.stack([transform(Image.fromarray(x.permute(1, 2, 0).numpy())) for x in images])


@pytest.mark.parametrize("by", ["bilinear", "bicubic"])
@pytest.mark.parametrize("share", [0.875, 0.9, 1.0])
@pytest.mark.parametrize(("height", "width"), [(120, 200), (301, 77), (64, 64), (32, 32)])
def test_a_crop_is_timms_to_its_rounding(by, share, height, width):
    images = pictures(2, height, width)
    theirs = as_timm(images, 64, share, by)
    ours = centre_crop(images, 64, share, by)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 4 / 255  # theirs is rounded and clipped after each axis
    if height != width:
        assert (resize(images, 64) - theirs).abs().max() > 20 / 255


def test_a_network_keeps_the_share_that_timm_states():
    net = backbone("efficientnet_lite0", 64, "crop")
    assert (net.crop_share, net.crop_filter) == (0.875, "bicubic")
    assert backbone("timm:vgg16.tv_in1k", 64).crop_filter == "bilinear"
    assert backbone("timm:beit3_base_patch16_224.in22k_ft_in1k").crop_share == 1.0
    assert backbone("timm:volo_d4_448.sail_in1k").crop_share == 1.0  # timm's 1.15 pads


def cosine(a, b):
    return torch.cosine_similarity(a.float(), b.float()).min()


@pytest.fixture
def wide(tmp_path):
    """A data set of images that are not square, in memory and as files."""
    images = pictures(24, 300, 500, grain=0.1)
    names = [f"{i}.png" for i in range(len(images))]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / name)
    files = EncodedImages(FileItems(tmp_path, names), 256)
    return images, {"memory": MemoryImages(images), "files": files}


@pytest.mark.parametrize(("where", "near"), [("memory", 0.999), ("files", 0.95)])
def test_features_of_wide_images_are_those_of_timms_own_pipeline(tmp_path, wide, where, near):
    images, sources = wide
    net = backbone("efficientnet_lite0", 128, "crop")
    data = data_set(sources[where])
    theirs = net.features(as_timm(images, 128, 0.875, "bicubic"))
    ours = FeatureCache(tmp_path / "cache", CPU).features(data, net).array  # files: scaled twice
    assert cosine(ours, theirs) > near
    net.resize = "stretch"
    stretched = FeatureCache(tmp_path / "cache", CPU).features(data, net).array
    assert cosine(stretched, theirs) < 0.9


def data_set(images):
    """Images with four queries and one class."""
    rows, n = torch.arange(len(images)), len(images) - 4
    protocol = Protocol_("wide", "all", 4, n, n, "none", 1, "the same class", "this test")
    labels = torch.ones(len(rows), 1, dtype=torch.bool)
    parts = {"train": rows[4:], "query": rows[:4], "database": rows[4:]}
    return RetrievalDataset("wide", protocol, images, None, labels, **parts)


class Counting(Pixels):
    """Counts the images it is shown."""

    def __init__(self, resize):
        super().__init__("pixels", 8)
        self.resize, self.seen = resize, 0

    def features(self, images):
        self.seen += len(images)
        return super().features(images)


@pytest.mark.parametrize("where", ["memory", "files"])
def test_both_ways_have_features_of_their_own_and_share_views(tmp_path, wide, where):
    data = data_set(wide[1][where])
    nets = {resize: Counting(resize) for resize in ("stretch", "crop")}
    cache = FeatureCache(tmp_path / "cache", CPU)
    found = {resize: cache.features(data, net).array for resize, net in nets.items()}
    assert not torch.equal(found["stretch"], found["crop"])
    banks = [cache.bank(data, net, "cibhash", 2).array for net in nets.values()]
    assert torch.equal(*banks)
    n = len(data.images)
    assert [net.seen for net in nets.values()] == [n + 2 * len(data.train), n]


def test_files_keep_the_centre_of_the_original(wide):
    images, sources = wide
    stretched, cut = sources["files"], sources["files"].undistorted()
    assert cut.digest != stretched.digest
    rows = torch.arange(3)
    middle = images[:3, :, :, 100:400]  # 300 x 300 of 300 x 500
    near = resize(middle, 256) * 255
    assert (cut.read(rows) - near).abs().max() < 2
    assert (cut.subset(rows).read(rows) - near).abs().max() < 2
    assert (stretched.read(rows) - near).abs().max() > 20


def test_images_of_one_size_are_never_cut_when_they_are_kept(wide):
    exact = EncodedImages(wide[1]["files"].encoded, 256, exact=True)
    assert exact.undistorted() is exact


def test_fine_tuning_sees_whole_images_as_it_is_told_and_views_as_they_are_kept():
    net = backbone("efficientnet_lite0", 64, "crop")
    kept, whole = pictures(2, 80, 80), pictures(2, 80, 120)
    recipe = AUGMENTATIONS["none"]
    training = EndToEnd(kept, net, "features", recipe, CPU, None, whole)
    own = training.parameters()
    assert next(own).requires_grad
    with torch.no_grad():
        torch.testing.assert_close(training.features, net.features(net.square(whole)))
        drawn = training.draw(2, 1, torch.Generator().manual_seed(0))
        views = training.views(torch.arange(2), drawn)
        torch.testing.assert_close(views[0], net.features(resize(kept, 64)))
    assert training.shape == (1280,)


@pytest.fixture(scope="module")
def cropped(tmp_path_factory):
    """A run over wide images of one's own, with ``--resize crop``."""
    folder = tmp_path_factory.mktemp("cropped")
    rng = np.random.Generator(np.random.PCG64(0))
    for i in range(40):
        path = folder / "data" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 20, 3), np.uint8)).save(path)
    return folder


def test_a_run_says_how_images_were_seen_and_is_repeated_so(cropped, capsys):
    words = ["--methods", "lsh", "--datasets", f"folder:{cropped}/data", "--bits", "8"]
    words += ["--seeds", "1", "--backbone", "pixels", "--input-size", "8", "--device", "cpu"]
    folders = ["--out", f"{cropped}/out", "--cache", f"{cropped}/cache"]
    for how in ("stretch", "crop"):
        assert run.main([*words, *folders, "--no-report", "--resize", how]) == 0
    paths = sorted((cropped / "out/runs").rglob("lsh/*.json"))
    records = {path: json.loads(path.read_text()) for path in paths}
    assert {r["backbone"] for r in records.values()} == {"pixels@8", "pixels@8,crop"}
    (path,) = [path for path, r in records.items() if r["backbone"] == "pixels@8,crop"]
    assert records[path]["settings"]["backbone"]["resize"] == "crop"
    capsys.readouterr()
    again = [str(path), "--dataset", f"folder:{cropped}/data", "--device", "cpu"]
    assert repro.main([*again, "--cache", f"{cropped}/cache"]) == 0
    assert "every number and code is the same" in capsys.readouterr().out
