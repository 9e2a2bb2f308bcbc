"""Images that are read while others are decoded."""

import threading
import time

import pytest
import torch

from datasets.errors import DatasetError
from datasets.files import images as images_module
from datasets.files.images import EncodedImages, FileItems
from tests.test_images import files, watch, workers

__all__ = ["workers"]  # a fixture


def test_rows_are_read_while_others_are_decoded(tmp_path, monkeypatch):
    items = FileItems(tmp_path / "data", files(tmp_path / "data", 200))
    whole = EncodedImages(items, 20).read(torch.arange(200))
    decoded, let, real = [], threading.Event(), images_module.decode_all

    def slowly(chunk, **options):
        if len(decoded) == 2:
            assert let.wait(60)
        decoded.append(len(chunk))
        return real(chunk, **options)

    monkeypatch.setattr(images_module, "decode_all", slowly)
    images, told = EncodedImages(items, 20), []
    with images.arriving(tmp_path / "cache", watch(told)):
        rows = torch.tensor([127, 3])
        assert torch.equal(images.read(rows), whole[rows])
        assert len(decoded) == 2
        let.set()
    assert torch.equal(images.read(torch.arange(200)), whole)
    assert told == [(f"pixels of {200} images", done, 200) for _, done, _ in told]
    with images.arriving(tmp_path / "cache", watch(told := [])):
        assert torch.equal(images.read(torch.arange(200)), whole)
    assert told == []
    assert len(decoded) == 4


def test_an_error_while_rows_arrive_names_the_image(tmp_path, workers):
    names = files(tmp_path / "data", 300)
    (tmp_path / "data/200.jpg").write_bytes(b"broken")
    images = EncodedImages(FileItems(tmp_path / "data", names), 20)
    wrong = r"200\.jpg: not an image"
    for rows in ([299], [0]):  # what is asked for need not be what is broken
        with (
            pytest.raises(DatasetError, match=wrong),
            images.arriving(tmp_path / "cache", lambda *_: None),
        ):
            images.read(torch.tensor(rows))


def test_a_block_that_fails_ends_the_pass_which_goes_on_in_the_next(tmp_path, workers, monkeypatch):
    items = FileItems(tmp_path / "data", files(tmp_path / "data", 700))
    images, told, real = EncodedImages(items, 20), [], EncodedImages._blocks

    def slowly(self, start):
        for block in real(self, start):
            yield block
            time.sleep(0.1)

    def read_and_fail():
        with images.arriving(tmp_path / "cache", watch(told)):
            images.read(torch.tensor([0]))
            raise KeyboardInterrupt

    monkeypatch.setattr(EncodedImages, "_blocks", slowly)
    with pytest.raises(KeyboardInterrupt):
        read_and_fail()
    assert told == []
    assert len(list((tmp_path / "cache").rglob("*.partial.npy"))) == 1
    images.prepare(tmp_path / "cache", watch(told))
    assert 64 <= told[0][1] < 700
    whole = EncodedImages(items, 20).read(torch.arange(700))
    assert torch.equal(images.read(torch.arange(700)), whole)
