"""Encoded images: any mode to colour, decoded once, by one process or many, named if broken."""

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from datasets.errors import DatasetError
from datasets.files import images as images_module
from datasets.files.decode import decode, problems
from datasets.files.hub import LocalFile, file_sha256
from datasets.files.images import EncodedImages, FileItems, image_size
from datasets.files.parquet import ParquetItems
from datasets.image_source import MemoryImages

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)


def encode(pixels, mode="RGB", kind="PNG", **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if image.mode == mode else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def noise(height=16, width=16):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def files(folder, n):
    """n small JPEG files of different sizes; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / f"{i}.jpg").write_bytes(encode(noise(12 + i % 9, 12 + i % 7), kind="JPEG"))
    return [f"{i}.jpg" for i in range(n)]


# ---- one image


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "CMYK"])
def test_every_mode_becomes_colour(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    grey = np.full((5, 5, 3), 255, np.uint8)
    pixels = decode(("x", encode(grey, mode, kind)), 5, exact=True)
    assert pixels.shape == (5, 5, 3)
    assert pixels.dtype == np.uint8
    assert pixels.min() >= 254


def test_sixteen_bits_are_scaled_and_not_clipped():
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    pixels = decode(("x", encode(deep, "I;16")), 3, exact=False)
    assert pixels[0, :, 0].tolist() == [0, 100, 255]


def test_one_pixel_fills_the_square():
    one = np.array([[[10, 20, 30]]], np.uint8)
    assert (decode(("x", encode(one)), 7, exact=False) == one).all()


def test_an_image_of_the_size_asked_for_is_left_as_it_is():
    pixels = noise()
    assert np.array_equal(decode(("x", encode(pixels)), 16, exact=False), pixels)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "has no image bytes"),
        (b"", "not an image"),
        (b"a text, renamed", "not an image"),
        (encode(noise(64, 64), kind="JPEG")[:600], "corrupt image"),
        (encode(noise(64, 64))[:-900], "corrupt image"),
        (encode(noise(8, 9)), "expected an image of 16 x 16 pixels, got 9 x 8"),
    ],
)
def test_what_is_no_image_is_named(content, reason):
    assert problems([("a/b.jpg", content)], 16, exact=True)[0].startswith("a/b.jpg")
    with pytest.raises(DatasetError) as caught:
        decode(("a/b.jpg", content), 16, exact=True)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.jpg: cannot be read \(.*No such file"):
        decode(("x.jpg", tmp_path / "x.jpg"), 16, exact=False)


# ---- files


def test_files_are_read_by_name(tmp_path):
    items = FileItems(tmp_path, files(tmp_path, 5))
    assert [name for name, _ in items.items(3)] == [f"{tmp_path}/3.jpg", f"{tmp_path}/4.jpg"]
    assert items.name(2) == f"{tmp_path}/2.jpg"
    assert items.subset(torch.tensor([1, 4])).names == ["1.jpg", "4.jpg"]
    images = EncodedImages(items, 8)
    expected = decode(("x", tmp_path / "4.jpg"), 8, exact=False)
    assert np.array_equal(images.read(torch.tensor([4, 0]))[0].permute(1, 2, 0), expected)


def test_absent_and_empty_files_are_found_without_decoding(tmp_path):
    names = files(tmp_path, 5)
    (tmp_path / "1.jpg").unlink()
    (tmp_path / "3.jpg").write_bytes(b"")
    items = FileItems(tmp_path, [*names, "none/x.jpg", "."])
    assert items.absent().tolist() == [1, 3, 5, 6]
    assert items.absent().dtype == torch.int64
    assert items.subset(torch.tensor([0, 1])).absent().tolist() == [1]


@pytest.mark.parametrize("place", [0, 5000, -1])
def test_a_file_of_the_same_size_and_other_ends_is_another(tmp_path, place):
    content = bytearray(RNG.bytes(20_000))
    (tmp_path / "x").write_bytes(content)
    before = FileItems(tmp_path, ["x"]).fingerprints
    content[place] ^= 1
    (tmp_path / "x").write_bytes(content)
    same = FileItems(tmp_path, ["x"]).fingerprints == before
    assert same == (place == 5000)  # what lies in the middle is not looked at


def test_the_digest_is_of_names_content_and_size(tmp_path):
    names = files(tmp_path, 3)
    items = FileItems(tmp_path, names)
    digests = {
        EncodedImages(items, 8).digest,
        EncodedImages(items, 9).digest,
        EncodedImages(items.subset(torch.tensor([0, 1])), 8).digest,
    }
    assert len(digests) == 3
    (tmp_path / "2.jpg").write_bytes(encode(noise()))
    assert EncodedImages(FileItems(tmp_path, names), 8).digest not in digests


def test_the_size_kept_is_that_of_most_images_up_to_a_limit(tmp_path):
    (tmp_path / "0").write_bytes(b"broken")
    (tmp_path / "1").write_bytes(encode(noise(30, 40)))
    (tmp_path / "2").write_bytes(encode(noise(300, 40)))
    assert image_size(FileItems(tmp_path, ["none", "0", "1", "1", "2"])) == 40
    assert image_size(FileItems(tmp_path, ["1", "2", "2"])) == 256
    assert image_size(FileItems(tmp_path, ["1", "2"])) == 256
    assert image_size(FileItems(tmp_path, ["0"])) == 256
    assert image_size(FileItems(tmp_path, [])) == 256


def test_the_first_images_do_not_choose_the_size_of_all(tmp_path):
    (tmp_path / "small").write_bytes(encode(noise(9, 9)))
    (tmp_path / "large").write_bytes(encode(noise(90, 9)))
    assert image_size(FileItems(tmp_path, ["small"] * 300 + ["large"] * 400)) == 90
    assert image_size(FileItems(tmp_path, ["large"] * 300 + ["small"] * 400)) == 9


# ---- one image as several rows


def test_names_of_one_file_are_found_whatever_they_are(tmp_path):
    names = files(tmp_path, 3)
    (tmp_path / "hard.jpg").hardlink_to(tmp_path / "0.jpg")
    (tmp_path / "soft.jpg").symlink_to("1.jpg")
    (tmp_path / "d").symlink_to(".")
    (tmp_path / "copy.jpg").write_bytes((tmp_path / "0.jpg").read_bytes())
    names += ["hard.jpg", "soft.jpg", "d/2.jpg", "./0.jpg", "none", "none", "copy.jpg"]
    items = FileItems(tmp_path, names)
    assert items.same_files().tolist() == [0, 1, 2, 0, 1, 2, 0, 7, 8, 9]
    assert items.subset(torch.tensor([3, 6, 9])).same_files().tolist() == [0, 0, 2]
    assert items.originals().tolist() == [0, 1, 2, 0, 1, 2, 0, 7, 8, 0]


def test_files_that_look_the_same_are_read_whole_and_no_others(tmp_path, monkeypatch):
    content = bytearray(RNG.bytes(20_000))
    for name, place in (("a", 0), ("b", 0), ("c", 10_000), ("d", 10_000), ("e", 19_999)):
        content[place] ^= place > 0 and name in "ce"
        (tmp_path / name).write_bytes(content)
    (tmp_path / "f").write_bytes(content[:8000])
    (tmp_path / "g").write_bytes(content[:8000])
    items = FileItems(tmp_path, list("abcdefg"))
    read, real = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self.name) or real(self))
    assert items.originals().tolist() == [0, 0, 2, 2, 4, 5, 5]
    assert read == list("abcd")


def test_rows_of_the_same_bytes_are_found_in_parquet_files(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": b, "path": None} for b in (b"a", b"b", None, b"a", None, b"b")]
    pq.write_table(pa.table({"img": pa.array(cells, kind)}), tmp_path / "x.parquet")
    file = LocalFile(tmp_path / "x.parquet", file_sha256(tmp_path / "x.parquet"))
    items = ParquetItems([file], "img")
    assert EncodedImages(items).originals().tolist() == [0, 1, 2, 0, 4, 1]
    assert items.subset(torch.tensor([1, 3, 5])).originals().tolist() == [0, 1, 0]


def test_images_in_memory_have_originals_too():
    images = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)
    images[1], images[3] = 1, 1
    assert MemoryImages(images).originals().tolist() == [0, 1, 0, 1]


# ---- files of no use


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "\ud800", "pipe", "socket", "d", "/dev/zero"])
def test_what_is_no_file_is_absent_and_never_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "d").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        items = FileItems(Path("/") if name.startswith("/") else tmp_path, [name.lstrip("/")])
    assert items.absent().tolist() == [0]
    assert len(EncodedImages(items).digest) == 64


def test_a_name_that_is_no_utf8_is_a_name(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / name).write_bytes(encode(noise()))
    except OSError:
        pytest.skip("this file system takes no such name")
    items = FileItems(tmp_path, [name])
    assert EncodedImages(items, 8).read(torch.tensor([0])).shape == (1, 3, 8, 8)
    assert items.name(0) == rf"{tmp_path}/caf\xe9.png"


# ---- parquet


@pytest.fixture
def parquet(tmp_path):
    """Three files of 25, 1 and 14 rows, a few rows a group; every image is its row number."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    found, row = [], 0
    for part, n in enumerate((25, 1, 14)):
        cells = [{"bytes": bytes([row + i]), "path": None} for i in range(n)]
        path = tmp_path / f"{part}.parquet"
        pq.write_table(pa.table({"img": pa.array(cells, kind)}), path, row_group_size=4)
        found.append(LocalFile(path, file_sha256(path)))
        row += n
    return found


def test_only_the_groups_of_the_rows_that_are_wanted_are_read(parquet, monkeypatch):
    read = []
    real = pq.ParquetFile.iter_batches

    def watched(self, *sizes, row_groups, **options):
        read.append(row_groups)
        return real(self, *sizes, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    items = ParquetItems(parquet, "img").subset(torch.tensor([2, 9, 24, 39]))
    assert [content[0] for _, content in items.items()] == [2, 9, 24, 39]
    assert read == [[0, 2, 6], [3]]


@pytest.mark.parametrize("start", [0, 1, 3, 4, 7, 24, 25, 26, 39, 40])
@pytest.mark.parametrize(
    "keep", [None, list(range(0, 40, 3)), [0], [25], [39], [3, 4, 24, 25, 26, 38], []]
)
def test_rows_of_parquet_files_from_any_start(parquet, start, keep):
    items = ParquetItems(parquet, "img")
    rows = list(range(40))
    if keep is not None:
        items, rows = items.subset(torch.tensor(keep).long()), keep
    assert len(items) == len(rows)
    assert [content[0] for _, content in items.items(start)] == rows[start:]


def test_a_subset_of_a_subset_counts_its_own_rows(parquet):
    items = ParquetItems(parquet, "img").subset(torch.tensor([5, 24, 25, 30, 39]))
    again = items.subset(torch.tensor([1, 2, 4]))
    names = [name for name, _ in again.items()]
    assert names == [f"{parquet[i].path}: row {row}" for i, row in ((0, 24), (1, 0), (2, 13))]
    assert again.name(2) == names[2]
    fingerprints = [ParquetItems(parquet, "img").fingerprints, items.fingerprints]
    assert again.fingerprints not in fingerprints


# ---- the pass over all of them


@pytest.fixture
def workers(monkeypatch):
    """Two workers, however few the images."""
    monkeypatch.setattr(images_module, "_FEW", 0)
    monkeypatch.setattr(images_module, "cpu_count", lambda: 2)


def watch(told):
    return lambda what, done, total: told.append((what, done, total))


def test_workers_give_the_pixels_of_one_process(tmp_path, workers, monkeypatch):
    items = FileItems(tmp_path / "data", files(tmp_path / "data", 700))
    by_workers, told = EncodedImages(items, 20), []
    by_workers.prepare(tmp_path / "cache", watch(told))
    monkeypatch.setattr(images_module, "_FEW", 1000)
    here = EncodedImages(items, 20).read(torch.arange(700))
    assert torch.equal(by_workers.read(torch.arange(700)), here)
    assert told[0] == ("pixels of 700 images", 0, 700)
    assert [done for _, done, _ in told] == [*range(0, 700, 64), 700]


def test_an_error_of_a_worker_names_the_image(tmp_path, workers):
    names = files(tmp_path / "data", 300)
    (tmp_path / "data/200.jpg").write_bytes(b"broken")
    images = EncodedImages(FileItems(tmp_path / "data", names), 20)
    with pytest.raises(DatasetError, match=r"200\.jpg: not an image"):
        images.prepare(tmp_path / "cache", lambda *_: None)
    (row, reason), *others = images.problems().items()
    assert (row, others) == (200, [])
    assert reason.startswith(f"{tmp_path}/data/200.jpg: not an image")


def test_a_pass_takes_few_chunks_at_a_time(tmp_path, workers):
    """A consumer that stops asking stops the producers, or memory would grow with the set."""
    taken = []

    def chunks():
        for i in range(100):
            taken.append(i)
            yield [i]

    results = images_module._in_order(len, chunks(), 2)
    assert [next(results) for _ in range(3)] == [1, 1, 1]
    assert len(taken) <= 3 + 4
    results.close()


def test_an_interrupted_pass_goes_on_where_it_stopped(tmp_path, monkeypatch):
    items = FileItems(tmp_path / "data", files(tmp_path / "data", 300))

    def stop(what, done, total):
        if done >= 128:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EncodedImages(items, 20).prepare(tmp_path / "cache", stop)
    decoded = []
    real = images_module.decode_all

    def counting(chunk, **options):
        decoded.extend(name for name, _ in chunk)
        return real(chunk, **options)

    monkeypatch.setattr(images_module, "decode_all", counting)
    images, told = EncodedImages(items, 20), []
    images.prepare(tmp_path / "cache", watch(told))
    assert decoded == [f"{tmp_path}/data/{i}.jpg" for i in range(128, 300)]
    assert told[0][1] == 128
    whole = EncodedImages(items, 20).read(torch.arange(300))
    assert torch.equal(images.read(torch.arange(300)), whole)
    assert not list((tmp_path / "cache").rglob("*.partial.npy"))
    images.prepare(tmp_path / "cache", lambda *_: pytest.fail("computed again"))


def test_two_processes_share_one_pass(tmp_path):
    files(tmp_path / "data", 400)
    script = tmp_path / "decode.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from datasets.files.images import EncodedImages, FileItems\n"
        "if __name__ == '__main__':\n"
        "    root, rows = Path(sys.argv[1]), []\n"
        "    images = EncodedImages(FileItems(root / 'data', [f'{i}.jpg' for i in range(400)]))\n"
        "    images.prepare(root / 'cache', lambda what, done, total: rows.append(done))\n"
        "    print(len(rows))\n"
    )
    command = [sys.executable, str(script), str(tmp_path)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    told = sorted(int(process.communicate()[0]) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert told == [0, 8]  # one waited for the other: 7 chunks and the beginning
    notes = [json.loads(path.read_text()) for path in (tmp_path / "cache").rglob("*.json")]
    assert [note["done"] for note in notes] == [400]


def test_pixels_too_many_for_memory_ask_for_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(images_module, "_IN_MEMORY", 1000)
    images = EncodedImages(FileItems(tmp_path, files(tmp_path, 2)), 20)
    with pytest.raises(RuntimeError, match="call prepare with a folder first"):
        images.read(torch.tensor([0]))
