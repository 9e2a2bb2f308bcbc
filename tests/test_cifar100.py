import pytest
import torch

import datasets
from datasets.assemble import assemble
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.protocols.protocol import Protocol_
from datasets.sources import cifar100
from datasets.sources.cifar100 import COARSE, FINE
from datasets.sources.class_tree import lcs_similarity, read_tree
from datasets.sources.published_trees import CIFAR100 as TREE
from tests.parquet_factory import noise, png, write_parquet

ABOVE = [next(c for c, names in enumerate(COARSE.values()) if n in names.split()) for n in FINE]
PIXELS = noise(300, 32)


def write(root, part, pixels, fine, coarse):
    path = root / "cifar100" / f"{part}-00000-of-00001.parquet"
    images = [png(p) for p in pixels]
    return write_parquet(path, images, "img", fine_label=fine, coarse_label=coarse)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar100, "PARTS", {"train": 200, "test": 100})
    write(tmp_path, "train", PIXELS[:200], [*range(100)] * 2, ABOVE * 2)
    write(tmp_path, "test", PIXELS[200:], [*range(100)], ABOVE)
    return tmp_path


def load(root, name="official"):
    rule = "official parts, train is the database"
    protocol = Protocol_("cifar100", name, 100, 200, 200, rule, 5, "shares a label", "here")
    options = LoadOptions(root)
    return assemble(protocol, cifar100.load_cifar100(protocol, options), options)


def test_fine_labels_are_the_hundred_classes(root):
    data = load(root)
    assert data.labels.dense().int().argmax(1).tolist() == [*range(100)] * 3
    assert torch.equal(
        data.images.read(torch.tensor([250, 3])),
        torch.from_numpy(PIXELS[[250, 3]]).permute(0, 3, 1, 2),
    )


def test_coarse_protocols_take_the_twenty_classes_above(root):
    data = load(root, "coarse-official")
    assert data.labels.shape == (300, 20)
    assert data.labels.dense().int().argmax(1).tolist() == ABOVE * 3
    assert data.labels.dense()[data.query].sum(0).tolist() == [5] * 20
    assert data.hierarchy is None


def test_classes_are_in_the_published_order():
    assert (len(FINE), len(COARSE)) == (100, 20)
    assert list(COARSE) == sorted(COARSE)
    assert [FINE[0], FINE[1], FINE[26], FINE[99]] == ["apple", "aquarium_fish", "crab", "worm"]
    assert ABOVE[:10] == [4, 1, 14, 8, 0, 6, 7, 7, 18, 3]  # published with the binary version


def test_other_numbers_are_refused(root):
    wrong = [*ABOVE[:7], 3, *ABOVE[8:]]
    write(root, "test", PIXELS[200:], [*range(100)], wrong)
    with pytest.raises(DatasetError, match=r"row 207 has fine_label 7 \(beetle\), whose coarse_"):
        load(root)


def test_without_a_tree_the_user_is_told_where_to_put_it(root):
    data = load(root)
    assert data.hierarchy is None
    (note,) = data.notes
    assert str(root / "hierarchies" / TREE.name) in note


def test_the_tree_is_numbered_as_the_classes_are(root, shared_data):
    folder = shared_data / "hierarchies"
    lines = (folder / "cifar100.class_names.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines[:100]] == list(FINE)
    (root / "hierarchies").symlink_to(folder)
    data = load(root)
    tree = read_tree(folder / TREE.name)
    assert torch.equal(data.hierarchy, lcs_similarity(tree, [str(i) for i in range(100)]))
    maple, oak, rocket = (FINE.index(n) for n in ("maple_tree", "oak_tree", "rocket"))
    assert data.hierarchy[maple, oak] > data.hierarchy[maple, rocket]
    assert data.notes == ()


def test_the_default_protocol_is_the_published_one():
    assert datasets.protocol_of("cifar100").label == "cifar100/official"
