import pytest
import torch

from datasets.assemble import assemble
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.protocols.protocol import Protocol_
from datasets.sources import mnist
from datasets.sources.mnist import CLOTHES, DIGITS, N_TEST, N_TRAIN
from tests.parquet_factory import noise, png, write_parquet

GREY = noise(30, 28, channels=())
LOADERS = {"mnist": mnist.load_mnist, "fashion_mnist": mnist.load_fashion_mnist}


def load(root, name):
    rule = "official parts, train is the database"
    protocol = Protocol_(name, "official", 10, 20, 20, rule, 5, "shares a label", "here")
    options = LoadOptions(root)
    return assemble(protocol, LOADERS[name](protocol, options), options)


@pytest.fixture(params=list(LOADERS))
def name(request, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "PARTS", {"train": 20, "test": 10})
    folder = tmp_path / request.param
    for part, pixels in (("train", GREY[:20]), ("test", GREY[20:])):
        labels = [i % 10 for i in range(len(pixels))]
        path = folder / f"{part}-00000-of-00001.parquet"
        write_parquet(path, [png(p) for p in pixels], label=labels)
    return request.param


def test_grey_images_become_three_equal_channels(name, tmp_path):
    data = load(tmp_path, name)
    expected = torch.from_numpy(GREY[[25, 2]])[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(data.images.read(torch.tensor([25, 2])), expected)
    assert data.labels.dense().int().argmax(1).tolist() == [i % 10 for i in range(30)]
    assert data.query.tolist() == list(range(20, 30))


def test_another_size_of_images_is_refused(name, tmp_path):
    path = tmp_path / name / "test-00000-of-00001.parquet"
    write_parquet(path, [png(p) for p in noise(10, 32)], label=[*range(10)])
    with pytest.raises(DatasetError, match="expected an image of 28 x 28 pixels, got 32 x 32"):
        load(tmp_path, name).images.read(torch.tensor([0]))


def test_the_published_counts_add_up():
    assert (sum(N_TRAIN), sum(N_TEST)) == (60_000, 10_000)
    assert len(DIGITS) == len(CLOTHES) == len(N_TRAIN) == len(N_TEST) == 10
