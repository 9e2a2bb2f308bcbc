import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.files.lists import read_lists
from datasets.sources import voc
from datasets.sources.voc import CLASSES

from .image_files import records, run_lsh, smaller, write_images

SETS = "VOCdevkit/VOC2012/ImageSets/Main"


def write_sets(root, shown):
    """Write the image sets; shown maps names to the columns of their classes."""
    (root / SETS).mkdir(parents=True)
    for c, name in enumerate(CLASSES):
        lines = (
            f"{image} {' 1' if c in columns else ' 0' if c == 19 else '-1'}\n"
            for image, columns in shown.items()
        )
        (root / SETS / f"{name}_trainval.txt").write_text("".join(lines))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data/voc2012"
    shown = {f"2008_{i:06}": {i % 20, (i + 3) % 20} if i % 6 else set() for i in range(60)}
    write_sets(folder, shown)
    write_images(folder / "VOCdevkit/VOC2012/JPEGImages", [f"{name}.jpg" for name in shown])
    return folder


def contents(root, name="voc2012"):
    return voc.load_voc2012(datasets.protocol_of(name), LoadOptions(root.parent))


def refusal(root, name="voc2012"):
    with pytest.raises(DatasetError) as caught:
        datasets.load(name, LoadOptions(root.parent))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_images_that_show_a_class(root):
    data = contents(root)
    assert len(data) == 50
    assert data.images.encoded.names[0] == "VOCdevkit/VOC2012/JPEGImages/2008_000001.jpg"
    assert data.labels.dense()[0].nonzero()[:, 0].tolist() == [1, 4]
    assert data.classes[:2] == ("aeroplane", "bicycle")


def test_official_layout_runs_end_to_end(root, tmp_path, monkeypatch):
    smaller(monkeypatch, "voc2012/1k-4k", n_query=8, n_train=20, n_database=42, cutoff=40)
    assert run_lsh("voc2012", root.parent, tmp_path, "--no-report") == 0
    assert any(r.startswith("voc2012/1k-4k/pixels@8/lsh/") for r in records(tmp_path))


def test_real_lists_and_the_same_labels_as_image_sets_agree(tmp_path, paper_lists):
    folder = paper_lists / "swuxyj_DeepHash-pytorch/data/voc2012"
    lists = read_lists(folder, "there")
    stems = [name.rpartition("/")[2].removesuffix(".jpg") for name in lists.names]
    root = tmp_path / "voc2012"
    shown = (set(row.nonzero()[:, 0].tolist()) for row in lists.labels.dense())
    write_sets(root, dict(zip(stems, shown, strict=True)))
    (root / "lists").symlink_to(folder)
    write_images(root, lists.names[:3])
    listed, official = contents(root, "voc2012/lists"), contents(root)
    for data in (listed, official):
        assert len(data) == 11_540
        assert tuple(data.labels.dense().sum(0).tolist()) == data.published["all"]
        p = datasets.protocol_of("voc2012/lists" if data is listed else "voc2012")
        assert len(p.split(data.labels, data.parts).query) == 1000
    order = sorted(range(len(listed)), key=lambda i: listed.images.encoded.names[i])
    assert torch.equal(official.labels.dense(), listed.labels.dense()[order])


def test_absent_image_sets_are_named(root):
    (root / SETS / "cow_trainval.txt").unlink()
    message = refusal(root)
    assert f"{SETS}/cow_trainval.txt" in message
    assert "host.robots.ox.ac.uk" in message


@pytest.mark.parametrize("line", ["2008_000001", "2008_000001 2", "../../x 1"])
def test_a_wrong_line_is_named(root, line):
    path = root / SETS / "cow_trainval.txt"
    path.write_text(f"2008_000000 -1\n{line}\n")
    assert refusal(root).startswith(f"{path} line 2: expected an image's name")


def test_files_may_begin_with_a_byte_order_mark(root):
    before = contents(root)
    for path in root.rglob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = contents(root)
    assert torch.equal(after.labels.dense(), before.labels.dense())
    assert after.images.encoded.names == before.images.encoded.names
