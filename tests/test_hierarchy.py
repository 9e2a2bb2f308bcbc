import pytest
import torch

from datasets.errors import DatasetError
from datasets.sources.cifar import CLASSES, WORDNET
from datasets.sources.class_tree import lcs_similarity, nested_tree, read_tree


def test_similarity_follows_the_height_of_the_lowest_common_subsumer():
    """A root of height 3: {a: {b: {c, d}, e}, f}."""
    parents = nested_tree({"a": {"b": {"c": {}, "d": {}}, "e": {}}, "f": {}})
    s = lcs_similarity(parents, ["c", "d", "e", "f"])
    expected = [[1, 2 / 3, 1 / 3, 0], [2 / 3, 1, 1 / 3, 0], [1 / 3, 1 / 3, 1, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(s, torch.tensor(expected))


def test_cifar10_classes_are_near_their_kind():
    s = lcs_similarity(nested_tree(WORDNET), CLASSES)

    def of(a, b):
        return float(s[CLASSES.index(a), CLASSES.index(b)])

    assert of("cat", "dog") > of("cat", "horse") > of("cat", "bird") > of("cat", "truck") == 0
    assert of("airplane", "ship") == of("automobile", "truck") > of("ship", "truck") > 0


def test_published_tree_of_cifar100_is_read(shared_data):
    parents = read_tree(shared_data / "hierarchies/cifar100.parent-child.txt")
    s = lcs_similarity(parents, [str(i) for i in range(100)])
    assert s.shape == (100, 100)
    assert torch.equal(s, s.T)
    assert s.diagonal().eq(1).all()
    assert s.min() == 0
    lines = (shared_data / "hierarchies/cifar100.class_names.txt").read_text().splitlines()
    names = [line.split()[1] for line in lines]
    maple, oak, rocket = (names.index(n) for n in ("maple_tree", "oak_tree", "rocket"))
    assert s[maple, oak] > s[maple, rocket]


@pytest.mark.parametrize(
    ("parents", "classes", "words"),
    [
        ({"a": "r"}, ["b"], "class 'b' is not a leaf"),
        ({"a": "r", "b": "a"}, ["a"], "class 'a' is not a leaf"),
        ({"a": "r", "b": "q"}, ["a"], "a tree has one root, got q, r"),
        ({"a": "b", "b": "c", "c": "b"}, ["a"], "is above itself"),
    ],
)
def test_what_is_no_tree_over_the_classes_is_refused(parents, classes, words):
    with pytest.raises(DatasetError, match=words):
        lcs_similarity(parents, classes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("r a\nr\n", "line 2: expected a parent and a child"),
        ("r a\nq a\n", "a has a second parent"),
    ],
)
def test_damaged_tree_files_name_the_line(tmp_path, text, words):
    (tmp_path / "tree.txt").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_tree(tmp_path / "tree.txt")


def test_absent_tree_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"tree\.txt: No such file"):
        read_tree(tmp_path / "tree.txt")
