"""The class trees of Barz and Denzler: found below the user's folder, else downloaded.

Trees come from github.com/cvjena/semantic-embeddings (MIT licence) at a pinned commit: files of
lines ``parent child``, see `datasets.sources.class_tree.read_tree`.

References
----------
B. Barz and J. Denzler, "Hierarchy-based image embeddings for semantic image retrieval", WACV 2019.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path
from torch import Tensor

from datasets.contents import LoadOptions
from datasets.errors import AbsentData, DatasetError, one_line
from datasets.files.hub import folders_of
from datasets.sources.class_tree import lcs_similarity, read_tree

SOURCE = (
    "https://raw.githubusercontent.com/cvjena/semantic-embeddings/"
    "c236a34daec5bcd054cbcb973207a8338c2f2cd1"
)
_SECONDS = 30  # to wait for an answer


@dataclass(frozen=True)
class Tree:
    """A published tree: its name here, its path at the source, its SHA-256."""

    name: str
    path: str
    sha256: str


CIFAR100 = Tree(
    "cifar100.parent-child.txt",
    "Cifar-Hierarchy/cifar.parent-child.txt",
    "72bf4a9ee95ec9ad40ee22b007ca16b0ac232f4c2849aaef8e5d478fc50e28c6",
)
"""Over the classes of CIFAR-100, numbered from 0."""

ILSVRC = Tree(
    "ilsvrc.parent-child.mintree.txt",
    "ILSVRC/wordnet.parent-child.mintree.txt",
    "ff046b876dd1f4601d0bdc0cb204c96325a6fabc7ba2336ba028c88b7178af40",
)
"""WordNet made a tree, over the 1,000 classes of ILSVRC by their WordNet ids."""


def tree_similarity(
    tree: Tree, dataset: str, classes: Sequence[str], options: LoadOptions
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Similarity of classes in a published tree, see `lcs_similarity`.

    Parameters
    ----------
    tree : Tree
    dataset : str
        Whose classes they are: the tree may lie in its folder.
    classes : sequence of str
        Leaves of the tree, in the order of the label columns; C of them.
    options : LoadOptions
        Its `data_root` holds the tree in ``hierarchies`` or in the folder of the data set; None
        downloads it into `cache`, the user's own where that is None.

    Returns
    -------
    Tensor, float32, shape (C, C), or None
        None where `data_root` has no such file.
    tuple of str
        What the user should know about it.

    Raises
    ------
    AbsentData
        If the tree cannot be downloaded.
    DatasetError
        If it has no such leaves.
    """
    if options.data_root is None:
        path = _downloaded(tree, options.cache or user_cache_path("hashbench"))
        return lcs_similarity(read_tree(path), classes), ()
    folders = [options.data_root / "hierarchies", *folders_of(dataset, options.data_root)]
    for path in (folder / tree.name for folder in folders):
        if path.is_file():
            return lcs_similarity(read_tree(path), classes), ()
    return None, (
        f"no class tree, so no mAHP: put {SOURCE}/{tree.path} at {folders[0] / tree.name}",
    )


def _downloaded(tree: Tree, cache: Path) -> Path:
    """Return the tree's file in the cache; what is there has the pinned SHA-256."""
    path, url = cache / "hierarchies" / tree.name, f"{SOURCE}/{tree.path}"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == tree.sha256:
        return path
    way_out = f"try again, or put {url} at {path} yourself"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise AbsentData(
            f"hierarchy: {url} could not be downloaded ({one_line(error)}); {way_out}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != tree.sha256:
        raise DatasetError(
            f"hierarchy: {url} has SHA-256 {found}, expected {tree.sha256}; {way_out}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path
