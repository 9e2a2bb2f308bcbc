import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import datasets
from datasets.assemble import assemble
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.protocols.protocol import Protocol_
from datasets.sources import cifar

PROTOCOL = Protocol_(
    "cifar10", "toy", 10, 10, 20, "official parts, train inside the database", 5, "a label", "here"
)
PIXELS = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (30, 32, 32, 3), np.uint8)
IMG = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encode(pixels, mode="RGB", kind="PNG"):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if image.mode == mode else image.convert(mode)).save(file, kind)
    return file.getvalue()


def write(folder, part, images, labels, columns=("img", "label")):
    folder.mkdir(parents=True, exist_ok=True)
    cells = [None if image is None else {"bytes": image, "path": None} for image in images]
    table = pa.table({columns[0]: pa.array(cells, IMG), columns[1]: labels})
    path = folder / f"{part}-00000-of-00001.parquet"
    pq.write_table(table, path, compression="none", row_group_size=7)
    return path


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "PARTS", {"train": 20, "test": 10})
    images = [encode(p) for p in PIXELS]
    write(tmp_path / "cifar10", "train", images[:20], [i % 10 for i in range(20)])
    write(tmp_path / "cifar10", "test", images[20:], list(range(10)))
    return tmp_path


def rewrite(root, row, image=b"", label=None):
    """Write the train file again, with another image or label in one row."""
    images = [encode(p) for p in PIXELS[:20]]
    labels = [i % 10 for i in range(20)]
    if image != b"":
        images[row] = image
    if label is not None:
        labels[row] = label
    return write(root / "cifar10", "train", images, labels)


def load(root):
    options = LoadOptions(root)
    return assemble(PROTOCOL, cifar.load_cifar10(PROTOCOL, options), options)


def refusal(root):
    """The one-line message with which loading or the first reading ends."""
    with pytest.raises(DatasetError) as caught:
        load(root).images.read(torch.arange(1))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_those_of_the_train_file_then_of_the_test_file(root):
    data = load(root)
    expected = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    assert torch.equal(data.images.read(torch.tensor([29, 0, 20])), expected[[29, 0, 20]])
    assert len(data.images) == 30
    assert data.labels.dense().int().argmax(1).tolist() == [
        *[i % 10 for i in range(20)],
        *range(10),
    ]
    assert data.query.tolist() == list(range(20, 30))


def test_the_hubs_own_folders_are_found_too(root):
    inner = root / "cifar10" / "plain_text"
    inner.mkdir()
    digest = load(root).digest
    for file in (root / "cifar10").glob("*.parquet"):
        file.rename(inner / file.name)
    assert load(root).digest == digest


def test_loading_decodes_nothing(root):
    rewrite(root, 3, b"no image")
    data = load(root)
    assert len(data.digest) == 64
    with pytest.raises(DatasetError):
        data.images.read(torch.arange(1))


def test_images_are_decoded_once(root):
    images = load(root).images
    first = images.read(torch.arange(30))
    for file in (root / "cifar10").glob("*.parquet"):
        file.unlink()
    assert torch.equal(images.read(torch.arange(30)), first)


def test_another_copy_has_another_digest(root):
    first = load(root)
    rewrite(root, 3, encode(PIXELS[3], kind="JPEG"))
    second = load(root)
    assert first.data_digest != second.data_digest
    assert first.digest != second.digest


def test_absent_files_are_listed_with_the_ways_out(tmp_path):
    message = refusal(tmp_path)
    for part in ("train", "test"):
        name = f"{part}-00000-of-00001.parquet"
        assert str(tmp_path / "cifar10" / name) in message
        assert str(tmp_path / "cifar10" / "plain_text" / name) in message
    assert "huggingface.co/datasets/uoft-cs/cifar10" in message
    assert "leave --data-root out" in message


def test_one_absent_file_is_listed_alone(root):
    (root / "cifar10" / "test-00000-of-00001.parquet").unlink()
    message = refusal(root)
    assert "test-00000" in message
    assert "train-00000" not in message


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda b: b"", "not a readable parquet file"),
        (lambda b: b[: len(b) // 2], "not a readable parquet file"),
        (lambda b: b[:-100] + bytes(92) + b[-8:], "not a readable parquet file"),
        (lambda b: b[:4] + bytes(20_000) + b[20_004:], ""),  # the first images
    ],
)
def test_a_damaged_file_is_named(root, damage, reason):
    path = root / "cifar10" / "train-00000-of-00001.parquet"
    path.write_bytes(damage(path.read_bytes()))
    message = refusal(root)
    assert message.startswith(str(path))
    assert reason in message


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"no image", "not an image (JPEG, PNG, "),
        (encode(PIXELS[0])[:900], "corrupt image"),
        (encode(PIXELS[0], kind="JPEG")[:400], "corrupt image"),
        (None, "has no image bytes"),
        (encode(PIXELS[0][:31]), "expected an image of 32 x 32 pixels, got 32 x 31"),
    ],
)
def test_a_wrong_image_is_named_by_file_and_row(root, image, reason):
    path = rewrite(root, 13, image)
    message = refusal(root)
    assert message.startswith(f"{path}: row 13")
    assert reason in message


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_any_mode_becomes_colour(root, mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    rewrite(root, 0, encode(np.full((32, 32, 3), 255, np.uint8), mode, kind))
    assert load(root).images.read(torch.tensor([0])).min() >= 254


def test_transparent_palettes_and_sixteen_bits_become_colour(root):
    file = io.BytesIO()
    palette = Image.fromarray(np.full((32, 32), 255, np.uint8)).convert("P")
    palette.save(file, "PNG", transparency=bytes(256))
    rewrite(root, 0, file.getvalue())
    assert load(root).images.read(torch.tensor([0])).min() == 255
    deep = np.full((32, 32), 65535 // 2, np.uint16)
    rewrite(root, 0, encode(deep, Image.fromarray(deep).mode))
    assert load(root).images.read(torch.tensor([0])).unique().tolist() == [127]


@pytest.mark.parametrize("label", [10, -1])
def test_a_label_out_of_range_is_named_by_file_and_row(root, label):
    path = rewrite(root, 11, label=label)
    assert refusal(root) == f"{path}: row 11 has 'label' {label}, expected 0..9"


def test_a_missing_label_is_named(root):
    labels = pa.array([*range(10), None, *range(9)])
    path = write(root / "cifar10", "train", [encode(p) for p in PIXELS[:20]], labels)
    assert refusal(root) == f"{path}: row 10 has no 'label'"


def test_labels_that_are_no_integers_are_refused(root):
    write(root / "cifar10", "train", [encode(p) for p in PIXELS[:20]], ["cat"] * 20)
    assert "column 'label' must hold integers, it holds string" in refusal(root)


@pytest.mark.parametrize("columns", [("image", "label"), ("img", "class")])
def test_other_columns_are_refused_and_listed(root, columns):
    images = [encode(p) for p in PIXELS[:20]]
    write(root / "cifar10", "train", images, list(range(20)), columns)
    message = refusal(root)
    assert "expected a column" in message
    assert columns[0] in message
    assert columns[1] in message


def test_an_image_column_without_bytes_is_refused(root):
    path = root / "cifar10" / "train-00000-of-00001.parquet"
    pq.write_table(pa.table({"img": ["a.png"] * 20, "label": [0] * 20}), path)
    assert "expected a column img{bytes}, found img string, label int64" in refusal(root)


def test_another_number_of_rows_is_refused(root):
    images = [encode(p) for p in PIXELS[:19]]
    path = write(root / "cifar10", "train", images, [0] * 19)
    assert refusal(root) == f"{path}: expected 20 rows, got 19"


def test_the_real_copy_has_its_published_counts(shared_data):
    data = datasets.load("cifar10", LoadOptions(shared_data))
    assert data.labels.dense()[:50_000].sum(0).tolist() == [5000] * 10
    assert data.labels.dense()[50_000:].sum(0).tolist() == [1000] * 10
    assert data.protocol.label == "cifar10/1k-5k"


def test_the_data_sets_own_folder_can_be_given(root):
    assert load(root / "cifar10").digest == load(root).digest
