import json
import time

import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.sources import coco

from .image_files import records, run_lsh, smaller, write_images

# Ids of the 80 categories have gaps, up to 90, as the real ones have.
CATEGORIES = [{"id": i + i // 9, "name": f"thing {i}"} for i in range(1, 81)]


def annotations(images, pairs, outline=(1.5, 2.5, 3.5, 4.5)):
    """Content of an annotation file: images as (id, name), pairs as (image id, column)."""
    return {
        "info": {"year": 2014},
        "images": [{"id": i, "file_name": name, "height": 8, "width": 8} for i, name in images],
        "annotations": [
            {
                "segmentation": [list(outline)],
                "area": 1.0,
                "iscrowd": 0,
                "image_id": image,
                "bbox": [0.0, 0.0, 1.0, 1.0],
                "category_id": CATEGORIES[column]["id"],
                "id": number,
            }
            for number, (image, column) in enumerate(pairs)
        ],
        "categories": CATEGORIES[::-1],
    }


def write_official(root, n_train=40, n_val=30):
    """Image i shows things i and i + 1 modulo 80, every tenth image nothing."""
    (root / "annotations").mkdir(parents=True)
    shown = {}
    for split, n in {"train": n_train, "val": n_val}.items():
        images = [(1000 + 7 * i, f"COCO_{split}2014_{i:012}.jpg") for i in range(n)]
        things = {i: {i % 80, (i + 1) % 80} for i in range(n) if i % 10}
        pairs = [(images[i][0], c) for i, columns in things.items() for c in columns for _ in "ab"]
        content = annotations(images[::-1], pairs)
        path = root / f"annotations/instances_{split}2014.json"
        path.write_text(json.dumps(content))
        shown |= {f"{split}2014/{images[i][1]}": columns for i, columns in things.items()}
    return shown


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data/mscoco"
    write_images(folder, write_official(folder))
    return folder


def contents(root):
    return coco.load_mscoco(datasets.protocol_of("mscoco"), LoadOptions(root.parent))


def refusal(root, name="mscoco", **options):
    with pytest.raises(DatasetError) as caught:
        datasets.load(name, LoadOptions(root.parent, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_images_with_objects_by_part_and_name(root, tmp_path):
    data = contents(root)
    shown = write_official(tmp_path / "again")
    assert data.images.encoded.names == list(shown)
    assert [set(row.nonzero()[:, 0].tolist()) for row in data.labels.dense()] == list(
        shown.values()
    )
    assert data.classes == tuple(f"thing {i}" for i in range(1, 81))
    assert {part: len(rows) for part, rows in data.parts.items()} == {"train": 36, "val": 27}
    assert data.notes == ("7 images without any object are left out",)


def test_official_layout_runs_end_to_end(root, tmp_path, monkeypatch):
    smaller(monkeypatch, "mscoco/5k-10k", n_query=10, n_train=20, n_database=53, cutoff=50)
    assert run_lsh("mscoco", root.parent, tmp_path, "--no-report") == 0
    assert any(r.startswith("mscoco/5k-10k/pixels@8/lsh/") for r in records(tmp_path))


def test_missing_images_are_left_out_where_that_is_allowed(root, tmp_path, monkeypatch):
    smaller(monkeypatch, "mscoco/5k-10k", n_query=10, n_train=20, n_database=53, cutoff=50)
    for path in sorted((root / "val2014").iterdir())[:7]:
        path.unlink()
    first = f"{root}/val2014/COCO_val2014_000000000001.jpg"
    assert f"7 of 63 images are missing, the first is {first}" in refusal(root)
    assert run_lsh("mscoco", root.parent, tmp_path, "--no-report", "--allow-missing") == 0
    assert all(r.startswith("mscoco/5k-10k_56/") for r in records(tmp_path))


def test_images_may_lie_one_folder_deeper(root):
    (root / "images").mkdir()
    for part in ("train2014", "val2014"):
        (root / part).rename(root / "images" / part)
    assert contents(root).images.encoded.names[0].startswith("images/train2014/COCO_train2014_")


def test_lists_run_end_to_end(root, tmp_path, monkeypatch):
    data = contents(root)
    lines = [
        f"{name} {' '.join(str(int(x)) for x in row)}\n"
        for name, row in zip(data.images.encoded.names, data.labels.dense(), strict=True)
    ]
    (root / "annotations").rename(root / "unused")
    for part, own in {"test": lines[:9], "train": lines[9:30], "database": lines[9:]}.items():
        (root / f"{part}.txt").write_text("".join(own))
    smaller(monkeypatch, "mscoco/lists", n_query=9, n_train=21, n_database=54, cutoff=50)
    listed = datasets.load("mscoco/lists", LoadOptions(root.parent))
    assert torch.equal(
        listed.labels.dense(), torch.cat([data.labels.dense()[:9], data.labels.dense()[9:]])
    )
    assert run_lsh("mscoco/lists", root.parent, tmp_path, "--no-report") == 0
    assert any(r.startswith("mscoco/lists/pixels@8/lsh/") for r in records(tmp_path))


def test_real_lists_without_the_database_are_refused(tmp_path, paper_lists):
    root = tmp_path / "mscoco"
    root.mkdir()
    (root / "lists").symlink_to(paper_lists / "swuxyj_DeepHash-pytorch/data/coco")
    message = refusal(root, "mscoco/lists")
    assert "database.txt (or img_database.txt and label_database.txt) missing" in message


def test_absent_annotations_are_named(tmp_path):
    message = refusal(tmp_path / "mscoco")
    assert "annotations/instances_train2014.json, annotations/instances_val2014.json" in message
    assert "cocodataset.org" in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:500], "not COCO's annotations"),
        (lambda text: "[]", "not COCO's annotations"),
        (lambda text: text.replace('"images"', '"pictures"'), "KeyError"),
        (lambda text: text.replace('"id": 1007', '"id": 1'), "KeyError(1007)"),
        (lambda text: text.replace('"file_name": "', '"file_name": "../'), "'../COCO_train2014_"),
    ],
)
def test_broken_annotations_are_named(root, change, reason):
    path = root / "annotations/instances_train2014.json"
    path.write_text(change(path.read_text()))
    message = refusal(root)
    assert message.startswith(str(path))
    assert reason in message


def test_another_number_of_categories_is_refused(root):
    path = root / "annotations/instances_train2014.json"
    content = json.loads(path.read_text())
    content["categories"].append({"id": 200, "name": "more"})
    path.write_text(json.dumps(content))
    assert "expected 80 categories, found 81" in refusal(root)


def test_outlines_are_dropped_while_they_are_read(tmp_path):
    """A file whose outlines are most of its bytes, as in the real one, a tenth of its size."""
    images = [(i, f"COCO_train2014_{i:012}.jpg") for i in range(8000)]
    pairs = [(i % 8000, i % 80) for i in range(60_000)]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(annotations(images, pairs, [123.45] * 50)))
    start = time.perf_counter()
    _, names, labels = coco._instances(path)
    assert time.perf_counter() - start < 20
    assert len(names) == 8000
    assert labels.sum() == 8000


def test_files_may_begin_with_a_byte_order_mark(root):
    before = contents(root)
    for path in root.rglob("*.json"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = contents(root)
    assert torch.equal(after.labels.dense(), before.labels.dense())
    assert after.images.encoded.names == before.images.encoded.names
