"""Images that stay on a device, reads that run ahead, features on their way back."""

import threading
from dataclasses import replace

import pytest
import torch

from benchmarks.features import device_images as module
from benchmarks.features.backbones import backbone
from benchmarks.features.cache import FeatureCache
from benchmarks.features.device_images import DeviceImages, read_ahead, to_host
from benchmarks.grid.tasks import Task
from benchmarks.runner.task_inputs import TaskInputs
from datasets import load
from datasets.image_source import ImageSource, MemoryImages

CPU = torch.device("cpu")
PIXELS = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 2, 2)


class Counting(MemoryImages):
    """Notes which rows it is asked for."""

    def __init__(self, pixels=PIXELS):
        super().__init__(pixels)
        self.asked = []

    def read(self, rows):
        self.asked.append(rows.tolist())
        return super().read(rows)


def check(images, rows):
    assert torch.equal(images.read(torch.tensor(rows)), PIXELS[rows])


def test_images_that_fit_are_fetched_once(monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda device: 4 * 10 * 12)
    source = Counting()
    images = DeviceImages(source, CPU)
    check(images, [3, 1])
    check(images, [1, 4, 3])
    check(images, [4, 4, 1])
    assert source.asked == [[3], [3, 1], [4]]  # the first tells how large they are


def test_images_that_do_not_fit_are_fetched_each_time(monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda device: 4 * 10 * 12 - 1)
    source = Counting()
    images = DeviceImages(source, CPU)
    check(images, [3, 1])
    check(images, [1, 3])
    assert source.asked == [[3], [3, 1], [1, 3]]


def test_kept_images_are_those_of_their_source_in_all_else(tmp_path):
    told = []

    class Source(Counting):
        def prepare(self, folder, progress):
            told.append(folder)

        def name(self, row):
            return f"image {row}"

        def absent(self):
            return torch.tensor([7])

        def problems(self, progress=None):
            return {3: "torn"}

    source = Source()
    images = DeviceImages(source, CPU)
    assert isinstance(images, ImageSource)
    assert (len(images), images.digest) == (10, source.digest)
    assert (images.name(2), images.absent().tolist()) == ("image 2", [7])
    assert images.problems() == {3: "torn"}
    images.prepare(tmp_path / "a", None)
    assert told == [tmp_path / "a"]
    assert images.subset(torch.tensor([1, 2])).digest == source.subset(torch.tensor([1, 2])).digest


def test_a_part_is_read_while_the_one_before_is_worked_on():
    read, second = [], threading.Event()

    def slow_read(rows):
        read.append(rows.tolist())
        if len(read) == 2:
            second.set()
        return rows

    parts = torch.arange(10).split(2)
    ahead = read_ahead(slow_read, parts, CPU)
    assert next(ahead).tolist() == [0, 1]
    assert second.wait(60)  # nobody has asked for it
    assert len(read) == 2  # and for no more: memory is bounded
    assert [part.tolist() for part in ahead] == [part.tolist() for part in parts[1:]]


def test_an_error_comes_where_its_part_would():
    def read(rows):
        if 4 in rows:
            raise OSError("torn")
        return rows

    ahead = read_ahead(read, torch.arange(10).split(2), CPU)
    assert [next(ahead).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="torn"):
        next(ahead)


def test_features_come_back_as_they_are():
    values = to_host(torch.tensor([[1.0, 2.5]]).half())()
    assert values.dtype == "float16"
    assert values.tolist() == [[1.0, 2.5]]


def test_training_images_are_read_once_for_all_cells_of_a_suite(tmp_path, monkeypatch):
    data = load("synthetic")
    source = Counting(data.images.read(torch.arange(len(data.images))))
    task = Task(replace(data, images=source), backbone("pixels"))
    inputs = TaskInputs(task, FeatureCache(tmp_path, CPU))
    assert inputs.training_images() is inputs.training_images()
    assert torch.equal(inputs.training_images(), data.images.read(data.train))
    assert source.asked == [data.train.tolist()]


@pytest.mark.gpu
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_gpu_gets_and_gives_what_was_read(monkeypatch, share):
    monkeypatch.setattr(module, "SHARE", share)
    device = torch.device("cuda", 0)
    pixels = torch.randint(0, 256, (600, 3, 16, 16), dtype=torch.uint8)
    images = DeviceImages(MemoryImages(pixels), device)
    order = torch.randperm(600)
    for _ in range(2):
        parts = list(read_ahead(images.read, order.split(100), device))
        assert all(part.is_cuda for part in parts)
        assert torch.equal(torch.cat(parts).cpu(), pixels[order])
        order = order.flip(0)
    values = to_host(torch.cat(parts).half())()
    assert torch.equal(torch.from_numpy(values), pixels[order.flip(0)].half())
