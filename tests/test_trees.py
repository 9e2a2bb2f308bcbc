import hashlib
import io
import urllib.error
import urllib.request

import pytest
import torch

from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.sources import published_trees as trees
from datasets.sources.class_tree import read_tree
from datasets.sources.published_trees import CIFAR100, ILSVRC, Tree, tree_similarity

TEXT = b"root animal\nanimal cat\nanimal dog\nroot car\n"
TREE = Tree("toy.txt", "Toy/toy.txt", hashlib.sha256(TEXT).hexdigest())
CLASSES = ["cat", "dog", "car"]
EXPECTED = torch.tensor([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])


@pytest.fixture
def web(monkeypatch):
    """What the net delivers, and the addresses asked for."""

    class Web:
        def __init__(self):
            self.content, self.asked = TEXT, []

        def open(self, url, timeout):
            self.asked.append(url)
            if self.content is None:
                raise urllib.error.URLError("no route to host")
            return io.BytesIO(self.content)

    web = Web()
    monkeypatch.setattr(urllib.request, "urlopen", web.open)
    return web


def test_a_tree_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "toy.txt").write_bytes(b"\xef\xbb\xbf" + TEXT)
    assert read_tree(tmp_path / "toy.txt")["animal"] == "root"
    (tmp_path / "toy.txt").write_bytes(b"\xff" + TEXT)
    with pytest.raises(DatasetError, match=r"toy\.txt: not UTF-8 \('utf-8' codec"):
        read_tree(tmp_path / "toy.txt")


@pytest.mark.parametrize("folder", ["hierarchies", "toy", "."])
def test_a_tree_below_the_users_folder_is_read_and_nothing_is_downloaded(tmp_path, folder, web):
    root = tmp_path / "toy"
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "toy.txt").write_bytes(TEXT)
    similarity, notes = tree_similarity(TREE, "toy", CLASSES, LoadOptions(root))
    assert torch.equal(similarity, EXPECTED)
    assert notes == ()
    assert web.asked == []


def test_an_absent_tree_is_a_note(tmp_path, web):
    similarity, notes = tree_similarity(TREE, "toy", CLASSES, LoadOptions(tmp_path))
    assert similarity is None
    assert str(tmp_path / "hierarchies" / "toy.txt") in notes[0]
    assert f"{trees.SOURCE}/Toy/toy.txt" in notes[0]
    assert web.asked == []


def test_without_a_folder_it_is_downloaded_once(tmp_path, web):
    options = LoadOptions(cache=tmp_path)
    for _ in range(2):
        similarity, _ = tree_similarity(TREE, "toy", CLASSES, options)
        assert torch.equal(similarity, EXPECTED)
    assert web.asked == [f"{trees.SOURCE}/Toy/toy.txt"]
    assert [p.name for p in (tmp_path / "hierarchies").iterdir()] == ["toy.txt"]


def test_a_spoiled_file_of_the_cache_is_fetched_again(tmp_path, web):
    (tmp_path / "hierarchies").mkdir()
    (tmp_path / "hierarchies" / "toy.txt").write_bytes(TEXT[:-5])
    tree_similarity(TREE, "toy", CLASSES, LoadOptions(cache=tmp_path))
    assert len(web.asked) == 1
    assert (tmp_path / "hierarchies" / "toy.txt").read_bytes() == TEXT


@pytest.mark.parametrize(
    ("content", "words"),
    [(TEXT[:20], "has SHA-256"), (None, "could not be downloaded (<urlopen error no route")],
)
def test_what_did_not_arrive_whole_leaves_nothing(tmp_path, web, content, words):
    web.content = content
    with pytest.raises(DatasetError) as caught:
        tree_similarity(TREE, "toy", CLASSES, LoadOptions(cache=tmp_path))
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert f"at {tmp_path / 'hierarchies' / 'toy.txt'} yourself" in message
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("tree", [CIFAR100, ILSVRC], ids=lambda tree: tree.name)
def test_the_published_trees_have_the_pinned_checksums(tree, shared_data):
    content = (shared_data / "hierarchies" / tree.name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == tree.sha256


def test_a_thousand_classes_agree_with_a_walk_up_the_tree(shared_data):
    parents = trees.read_tree(shared_data / "hierarchies" / ILSVRC.name)
    leaves = sorted(set(parents) - set(parents.values()))
    similarity, _ = tree_similarity(ILSVRC, "imagenet", leaves, LoadOptions(shared_data))
    assert similarity.shape == (1000, 1000)

    def above(node):
        path = [node]
        while path[-1] in parents:
            path.append(parents[path[-1]])
        return path

    heights = {}
    for leaf in leaves:
        for edges, node in enumerate(above(leaf)):
            heights[node] = max(heights.get(node, 0), edges)
    for u, v in torch.randint(1000, (200, 2), generator=torch.Generator().manual_seed(0)).tolist():
        common = next(node for node in above(leaves[v]) if node in set(above(leaves[u])))
        expected = 1 - heights[common] / max(heights.values())
        assert similarity[u, v] == pytest.approx(expected)
