import json

import pytest

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.protocols.table import PROTOCOLS
from datasets.sources import tiny_imagenet
from datasets.sources.tiny_imagenet import CLASSES, HUB_CLASSES, OTHER_IDS
from tests.parquet_factory import noise, png, write_parquet

PROTOCOL = PROTOCOLS["tiny_imagenet"]["official"]
IMAGE = png(noise(1, 64)[0])


def stating(names):
    """Schema metadata as the hub's files have it."""
    feature = {"names": names, "_type": "ClassLabel"}
    return {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "PARTS", {"train": 200, "test": 200})
    write(tmp_path, "train-00000-of-00001.parquet")
    write(tmp_path, "valid-00000-of-00001.parquet")
    return tmp_path


def write(root, name, metadata=None):
    path = root / "tiny_imagenet" / name
    return write_parquet(path, [IMAGE] * 200, label=[*range(200)], metadata=metadata)


def classes(root, part):
    contents = tiny_imagenet.load_tiny_imagenet(PROTOCOL, LoadOptions(root))
    return [CLASSES[i] for i in contents.labels.dense()[contents.parts[part]].int().argmax(1)]


def test_both_lists_of_classes_are_sorted_and_complete():
    for ids in (CLASSES, HUB_CLASSES):
        assert len(set(ids)) == 200
        assert list(ids) == sorted(ids)
    assert {OTHER_IDS.get(name, name) for name in HUB_CLASSES} == set(CLASSES)
    assert len(OTHER_IDS) == 18


def test_a_file_without_names_numbers_the_classes_of_ilsvrc(root):
    assert classes(root, "train") == classes(root, "test") == list(CLASSES)


def test_a_file_that_names_its_classes_is_renumbered(root):
    write(root, "valid-00000-of-00001.parquet", stating(HUB_CLASSES))
    assert classes(root, "train") == list(CLASSES)
    assert classes(root, "test") == [OTHER_IDS.get(name, name) for name in HUB_CLASSES]
    assert HUB_CLASSES[-1] == "n14991210"  # in another place than n07747607, the same class


def test_a_downloaded_file_is_numbered_as_the_hub_does(root, monkeypatch):
    files = tiny_imagenet.fetch(tiny_imagenet.TINY_IMAGENET, root)
    monkeypatch.setattr(tiny_imagenet, "fetch", lambda source, data_root: files)
    monkeypatch.setattr(tiny_imagenet, "tree_similarity", lambda *args: (None, ()))
    assert classes(None, "train") == [OTHER_IDS.get(name, name) for name in HUB_CLASSES]


@pytest.mark.parametrize("names", [CLASSES[:199], (*CLASSES[:199], "n00000000")])
def test_other_classes_are_refused(root, names):
    write(root, "train-00000-of-00001.parquet", stating(names))
    with pytest.raises(DatasetError, match="expected the 200 classes of Tiny ImageNet"):
        classes(root, "train")


def test_the_names_of_the_hub_are_found_too(root):
    folder = root / "tiny_imagenet"
    for file in tiny_imagenet.TINY_IMAGENET.files:
        short = file.path.split("/")[1]
        (folder / f"{short[:20]}.parquet").rename(folder / short)
    assert classes(root, "train") == list(CLASSES)


def test_the_real_copy_is_refused_for_it_is_not_complete(shared_data):
    with pytest.raises(DatasetError, match="expected 100000 rows, got 20000"):
        datasets.load("tiny_imagenet", LoadOptions(shared_data))


def test_the_real_copy_has_the_classes_listed_here(shared_data):
    lines = (shared_data / "tiny_imagenet/classes.tsv").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines[1:]] == list(CLASSES)
    contents = tiny_imagenet.load_tiny_imagenet(
        PROTOCOL, LoadOptions(shared_data, allow_missing=True)
    )
    assert contents.labels.dense()[contents.parts["train"]].sum(0).tolist() == [100] * 200
    assert contents.labels.dense()[contents.parts["test"]].sum(0).tolist() == [50] * 200
    goldfish, salamander, backpack = (
        CLASSES.index(n) for n in ("n01443537", "n01629819", "n02769748")
    )
    assert contents.hierarchy[goldfish, salamander] > contents.hierarchy[goldfish, backpack]
