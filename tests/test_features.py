import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.features import cache as module
from benchmarks.features.backbones import backbone
from benchmarks.features.base import Pixels
from benchmarks.features.cache import FeatureCache, FeatureError
from benchmarks.training.training_sets import FreshViews, ViewBank
from datasets import load
from datasets.augment import AUGMENTATIONS, resize
from datasets.errors import DatasetError
from datasets.files import disk
from datasets.files.images import EncodedImages, FileItems

CPU = torch.device("cpu")
PIXELS = backbone("pixels")


class Counting(Pixels):
    """Counts the images it is shown, and can stop at a given one."""

    def __init__(self, stop_at=None):
        super().__init__("pixels", None)
        self.seen = 0
        self.stop_at = stop_at

    def features(self, images):
        self.seen += len(images)
        if self.stop_at is not None and self.seen > self.stop_at:
            raise KeyboardInterrupt
        return super().features(images)


@pytest.fixture(scope="module")
def data():
    return load("synthetic")


@pytest.fixture
def blocks_of_100(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)


def test_features_are_those_of_the_backbone(data, tmp_path):
    array = FeatureCache(tmp_path, CPU).features(data, PIXELS).array
    images = data.images.read(torch.arange(len(data.images)))
    assert array.dtype == torch.float16
    torch.testing.assert_close(array, resize(images, images.shape[-1]).flatten(1).half())


def test_features_are_computed_once(data, tmp_path):
    net = Counting()
    first = FeatureCache(tmp_path, CPU).features(data, net)
    again = FeatureCache(tmp_path, CPU).features(data, net)
    assert net.seen == len(data.images)
    assert torch.equal(first.array, again.array)
    assert first.seconds == again.seconds > 0
    assert not list(tmp_path.rglob("*.partial.npy"))


def test_other_floats_are_other_features(data, tmp_path, monkeypatch):
    FeatureCache(tmp_path, CPU).features(data, PIXELS)
    monkeypatch.setattr(module, "precision", lambda device: "bfloat16")
    net = Counting()
    FeatureCache(tmp_path, CPU).features(data, net)
    assert net.seen == len(data.images)


def test_protocols_of_a_data_set_share_features_but_other_sizes_do_not(data, tmp_path):
    cache = FeatureCache(tmp_path, CPU)
    cache.features(data, PIXELS)
    cache.features(data, backbone("pixels", 4))
    assert len(list(tmp_path.rglob("*.npy"))) == 2


def test_interrupted_extraction_loses_at_most_a_block(data, tmp_path, blocks_of_100):
    n = len(data.images)
    broken = Counting(stop_at=250)
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path, CPU).features(data, broken)
    rest = Counting()
    resumed = FeatureCache(tmp_path, CPU).features(data, rest).array
    assert rest.seen == n - 200
    whole = FeatureCache(tmp_path / "other", CPU).features(data, Counting()).array
    assert torch.equal(resumed, whole)


@pytest.mark.parametrize("damage", ["{", '{"done": "x"}', '{"odd": 1}', "[]"])
def test_damaged_note_starts_the_extraction_anew(data, tmp_path, blocks_of_100, damage):
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path, CPU).features(data, Counting(stop_at=250))
    (note,) = tmp_path.rglob("*.json")
    note.write_text(damage)
    net = Counting()
    FeatureCache(tmp_path, CPU).features(data, net)
    assert net.seen == len(data.images)


def test_truncated_partial_file_starts_the_extraction_anew(data, tmp_path, blocks_of_100):
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path, CPU).features(data, Counting(stop_at=250))
    (partial,) = tmp_path.rglob("*.partial.npy")
    partial.write_bytes(partial.read_bytes()[:500])
    net = Counting()
    FeatureCache(tmp_path, CPU).features(data, net)
    assert net.seen == len(data.images)


def test_views_of_an_image_do_not_depend_on_the_blocks(data, tmp_path, monkeypatch):
    whole = FeatureCache(tmp_path / "a", CPU).bank(data, PIXELS, "cibhash", 3).array
    monkeypatch.setattr(module, "BLOCK", 21)
    pieces = FeatureCache(tmp_path / "b", CPU).bank(data, PIXELS, "cibhash", 3).array
    assert whole.shape == (len(data.train), 3, 192)
    torch.testing.assert_close(whole, pieces, atol=2e-3, rtol=0)
    assert not torch.equal(whole[:, 0], whole[:, 1])


def test_unaugmented_views_are_the_features_of_the_training_rows(data, tmp_path):
    cache = FeatureCache(tmp_path, CPU)
    bank = cache.bank(data, PIXELS, "none", 2).array
    plain = cache.features(data, PIXELS).array[data.train]
    for view in range(2):
        torch.testing.assert_close(bank[:, view], plain, atol=2e-3, rtol=0)


def test_non_finite_features_are_refused_with_the_first_row(data, tmp_path):
    class Broken(Pixels):
        def features(self, images):
            x = super().features(images)
            x[3, 0] = float("inf")
            return x

    with pytest.raises(FeatureError, match=r"features of synthetic: .* first row 3"):
        FeatureCache(tmp_path, CPU).features(data, Broken("pixels", None))
    assert not list(tmp_path.rglob("*.npy"))


def test_progress_runs_to_the_end(data, tmp_path, blocks_of_100):
    told = []
    FeatureCache(tmp_path, CPU, lambda *step: told.append(step)).features(data, PIXELS)
    n = len(data.images)
    assert [done for _, done, _ in told] == [0, *range(100, n, 100), n]
    assert {(what, total) for what, _, total in told} == {("features of synthetic", n)}


def test_cache_is_plain_npy(data, tmp_path):
    array = FeatureCache(tmp_path, CPU).features(data, PIXELS).array
    (file,) = tmp_path.rglob("*.npy")
    np.testing.assert_array_equal(np.load(file, allow_pickle=False), array.numpy())
    assert json.loads(file.with_suffix(".json").read_text())["done"] == len(array)


def numbered_bank(n=6, v=4):
    """Row i, view j holds 10 i + j."""
    return (10 * torch.arange(n)[:, None] + torch.arange(v)).half()[..., None]


def test_bank_hands_out_different_views_of_the_rows_asked_for():
    data = ViewBank(torch.zeros(6, 1), numbered_bank(), CPU)
    index, generator = torch.tensor([5, 0, 3, 3]), data.generator(0)
    seen = set()
    for _ in range(50):
        views = data.views(index, data.draw(4, 2, generator))  # (2, 4, 1)
        assert views.dtype == torch.float32
        assert torch.equal((views // 10).squeeze(-1), index.float().expand(2, -1))
        assert (views[0] != views[1]).all()
        seen |= {int(x) for x in views[:, 0].flatten()}
    assert seen == {50, 51, 52, 53}


def test_bank_draws_the_same_for_the_same_seed():
    def draw(seed):
        data = ViewBank(torch.zeros(6, 1), numbered_bank(), CPU)
        generator = data.generator(seed)
        return torch.cat(
            [data.views(torch.arange(6), data.draw(6, 2, generator)) for _ in range(5)]
        )

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_fresh_views_are_new_at_every_call_and_those_of_the_rows(data):
    images = data.images.read(data.train)
    plain = resize(images, images.shape[-1]).flatten(1)
    fresh = FreshViews(plain, images, PIXELS, "features", AUGMENTATIONS["cibhash"], CPU)
    index, generator = torch.tensor([4, 9]), fresh.generator(0)
    first, second = (fresh.views(index, fresh.draw(2, 2, generator)) for _ in range(2))
    assert first.shape == (2, 2, 192)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    still = FreshViews(plain, images, PIXELS, "features", AUGMENTATIONS["none"], CPU)
    drawn = still.draw(2, 2, generator)
    torch.testing.assert_close(still.views(index, drawn), plain[index].expand(2, -1, -1))


def test_tokens_have_an_array_and_a_bank_of_their_own(data, tmp_path):
    cache = FeatureCache(tmp_path, CPU)
    tokens = cache.features(data, PIXELS, "tokens").array
    assert tokens.shape == (len(data.images), 9, 108)
    bank = cache.bank(data, PIXELS, "cibhash", 2, "tokens").array
    assert bank.shape == (len(data.train), 2, 9, 108)
    flat = cache.bank(data, PIXELS, "cibhash", 2).array  # the same views, seen as features
    pixels = flat.float().view(-1, 3, 8, 8)
    torch.testing.assert_close(PIXELS.tokens(pixels).reshape(bank.shape), bank.float())


def test_bank_hands_out_tokens_in_the_shape_of_tokens():
    bank = torch.rand(6, 4, 3, 5).half()
    index = torch.tensor([1, 2])
    data, plain = (ViewBank(bank[:, 0], given, CPU) for given in (bank, None))
    drawn = data.draw(2, 2, data.generator(0))
    assert data.views(index, drawn).shape == (2, 2, 3, 5)
    drawn = plain.draw(2, 2, plain.generator(0))
    assert torch.equal(plain.views(index, drawn)[1, 0], bank[1, 0].float())


@pytest.mark.parametrize("kind", ["bank", "fresh"])
def test_views_of_several_trainings_are_those_of_each(data, kind):
    """Leading axes of rows and draws pass through."""
    images = data.images.read(data.train)
    plain = resize(images, images.shape[-1]).flatten(1)
    if kind == "bank":
        training = ViewBank(plain, torch.randn(len(plain), 4, 192).half(), CPU)
    else:
        training = FreshViews(plain, images, PIXELS, "features", AUGMENTATIONS["cibhash"], CPU)
    index = torch.tensor([[4, 9, 0], [2, 2, 7]])
    drawn = torch.stack([training.draw(3, 2, training.generator(seed)) for seed in range(2)])
    together = training.views(index, drawn)
    assert together.shape == (2, 2, 3, 192)
    for views, rows, own in zip(together, index, drawn, strict=True):
        torch.testing.assert_close(views, training.views(rows, own))


def test_note_of_an_array_that_was_deleted_says_nothing_of_the_next(data, tmp_path, monkeypatch):
    """Killed before its first block is noted, the second extraction must not count as finished."""
    cache = FeatureCache(tmp_path, CPU)
    whole = cache.features(data, PIXELS).array.clone()
    (final,) = tmp_path.rglob("*.npy")
    final.unlink()

    def die(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(disk.Note, "write", die)
    with pytest.raises(KeyboardInterrupt):
        cache.features(data, PIXELS)
    monkeypatch.undo()
    assert torch.equal(cache.features(data, PIXELS).array, whole)


@pytest.fixture
def on_disk(data, tmp_path):
    """The data set with its images in files."""
    folder = tmp_path / "files"
    folder.mkdir()
    names = [f"{i}.png" for i in range(len(data.images))]
    for name, pixels in zip(names, data.images.read(torch.arange(len(names))), strict=True):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / name)
    return replace(data, images=EncodedImages(FileItems(folder, names), 8, exact=True))


def test_images_are_decoded_once_before_the_first_pass(data, on_disk, tmp_path):
    told = []
    cache = FeatureCache(tmp_path / "a", CPU, lambda what, *_: told.append(what))
    found = cache.features(on_disk, PIXELS).array
    decoding, extraction = f"pixels of {len(data.images)} images", "features of synthetic"
    assert list(dict.fromkeys(told)) == [decoding, extraction]
    assert told == sorted(told, reverse=True)  # one after the other
    assert torch.equal(found, FeatureCache(tmp_path / "b", CPU).features(data, PIXELS).array)
    told.clear()
    cache.bank(on_disk, PIXELS, "cibhash", 2)
    assert set(told) == {"features of 2 views of the training images of synthetic"}


def test_an_interrupted_extraction_decodes_nothing_again(data, on_disk, tmp_path, blocks_of_100):
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path / "a", CPU).features(on_disk, Counting(stop_at=250))
    rest, told = Counting(), []
    cache = FeatureCache(tmp_path / "a", CPU, lambda *step: told.append(step))
    found = cache.features(on_disk, rest).array
    assert rest.seen == len(data.images) - 200
    assert told[0] == ("features of synthetic", 200, len(data.images))
    assert torch.equal(found, FeatureCache(tmp_path / "b", CPU).features(data, PIXELS).array)


def test_stored_features_need_no_images(on_disk, tmp_path):
    cache = FeatureCache(tmp_path / "a", CPU)
    found = cache.features(on_disk, PIXELS).array
    for folder in (tmp_path / "a/pixels/8px", tmp_path / "files"):
        shutil.rmtree(folder)
    assert torch.equal(cache.features(on_disk, PIXELS).array, found)


def test_a_broken_image_is_named_before_the_backbone_sees_any(on_disk, tmp_path):
    (tmp_path / "files/400.png").write_bytes(b"broken")
    net = Counting()
    with pytest.raises(DatasetError, match=r"400\.png: not an image"):
        FeatureCache(tmp_path / "a", CPU).features(on_disk, net)
    assert net.seen == 0


def test_views_of_a_part_of_a_bank_are_those_of_the_part():
    bank = torch.rand(6, 4, 3).half()
    training = ViewBank(bank[:, 0], bank[:, :2], CPU)
    index, drawn = torch.tensor([5, 0]), torch.tensor([[1, 0], [0, 1]])
    expected = torch.stack([bank[[5, 0], [1, 0]], bank[[5, 0], [0, 1]]]).float()
    torch.testing.assert_close(training.views(index, drawn), expected)


def test_a_whole_bank_on_its_device_is_not_copied():
    bank = torch.rand(6, 4, 3).half()
    training = ViewBank(bank[:, 0], bank, CPU)
    bank.fill_(7)
    assert (training.views(torch.tensor([5]), torch.tensor([[1, 0]])) == 7).all()


@pytest.mark.gpu
def test_a_gpu_keeps_images_that_it_has_seen(data, tmp_path):
    cache = FeatureCache(tmp_path, torch.device("cuda", 0))
    plain = cache.features(data, PIXELS).array
    bank = cache.bank(data, PIXELS, "none", 2).array
    torch.testing.assert_close(bank[:, 0], plain[data.train], atol=2e-3, rtol=0)
    assert cache.images(data) is cache.images(data)
    assert cache.images(data).read(data.train).is_cuda
    here = FeatureCache(tmp_path / "cpu", CPU).features(data, PIXELS).array
    torch.testing.assert_close(plain, here, atol=2e-3, rtol=0)
