"""Trees over classes, and the similarity of two classes, or two sets of classes, in a tree.

References
----------
B. Barz and J. Denzler, "Hierarchy-based image embeddings for semantic image retrieval", WACV 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.errors import DatasetError, one_line


def lcs_similarity(parents: Mapping[str, str], classes: Sequence[str]) -> Tensor:
    """Similarity of classes: one less the height of their lowest common subsumer over the root's.

    ``s(u, v) = 1 - height(lcs(u, v)) / height(root)``, the height of a node being the number of
    edges to the farthest leaf below it. Equal classes have 1; classes that only the root joins, 0.

    Parameters
    ----------
    parents : mapping from str to str
        Parent of every node but the root.
    classes : sequence of str
        Leaves of the tree, in the order of the label columns; C of them.

    Returns
    -------
    Tensor, float32, shape (C, C)

    Raises
    ------
    DatasetError
        If a class is not a leaf of the tree, or the nodes form no tree with one root.

    References
    ----------
    Barz and Denzler, WACV 2019, Eq. (1) and (2).

    Examples
    --------
    >>> parents = {"cat": "animal", "dog": "animal", "animal": "thing", "car": "thing"}
    >>> lcs_similarity(parents, ["cat", "dog", "car"])
    tensor([[1.0000, 0.5000, 0.0000],
            [0.5000, 1.0000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    """
    inner = set(parents.values())
    for name in classes:
        if name not in parents or name in inner:
            raise DatasetError(
                f"hierarchy: class {name!r} is not a leaf of the tree; name its leaves"
            )
    paths = {name: _to_root(parents, name) for name in parents if name not in inner}
    roots = {path[-1] for path in paths.values()}
    if len(roots) != 1:
        raise DatasetError(f"hierarchy: a tree has one root, got {', '.join(sorted(roots))}")
    height: dict[str, int] = {}
    for path in paths.values():
        for edges, node in enumerate(path):
            height[node] = max(height.get(node, 0), edges)
    tallest = height[roots.pop()]
    number = {node: i for i, node in enumerate(height)}
    value = torch.tensor([1 - h / tallest for h in height.values()])
    # From the root down: two classes share a node of one level only if they share all above it.
    similarity = torch.zeros(len(classes), len(classes))
    for level in range(1, max(len(paths[name]) for name in classes) + 1):
        below = [-1 if len(path := paths[n]) < level else number[path[-level]] for n in classes]
        nodes = torch.tensor(below)  # (C,), -1 where the class lies above this level
        shared = (nodes[:, None] == nodes) & (nodes >= 0)
        similarity = torch.where(shared, value[nodes], similarity)
    return similarity


def set_similarity(
    sets: NDArray[np.bool_], others: NDArray[np.bool_], similarity: NDArray[Any]
) -> NDArray[Any]:
    """Similarity of sets of classes: that of the two classes that are nearest, one of each.

    Parameters
    ----------
    sets, others : ndarray, bool, shapes (S, C) and (P, C)
        Which of the classes each set holds.
    similarity : ndarray, shape (C, C)
        Of classes, 0 or more.

    Returns
    -------
    ndarray, shape (S, P)
        Of the dtype of `similarity`; 0 where a set is empty.

    Examples
    --------
    >>> similarity = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> set_similarity(np.array([[1, 0, 1]], bool), np.array([[0, 1, 0]], bool), similarity)
    array([[0.5]])
    """
    nearest = _best(similarity, sets)  # (S, C)
    return np.ascontiguousarray(_best(nearest.T, others).T)


def read_tree(path: Path) -> dict[str, str]:
    """Read a tree from a file of lines ``parent child``.

    Raises
    ------
    DatasetError
        If the file is absent, a line has another form, or a node has two parents.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DatasetError(f"hierarchy: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"hierarchy: {path}: not UTF-8 ({one_line(error)})") from error
    parents: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        names = line.split()
        if not names:
            continue
        if len(names) != 2:
            raise DatasetError(
                f"hierarchy: {path} line {number}: expected a parent and a child, got {line!r}"
            )
        parent, child = names
        if parents.setdefault(child, parent) != parent:
            raise DatasetError(f"hierarchy: {path} line {number}: {child} has a second parent")
    return parents


def nested_tree(tree: Mapping[str, object], root: str = "root") -> dict[str, str]:
    """Parents of a tree written as nested mappings; a leaf maps to an empty one.

    Examples
    --------
    >>> nested_tree({"animal": {"cat": {}, "dog": {}}, "car": {}}, "thing")
    {'animal': 'thing', 'cat': 'animal', 'dog': 'animal', 'car': 'thing'}
    """
    parents: dict[str, str] = {}
    for name, below in tree.items():
        assert isinstance(below, Mapping), "leaves map to an empty mapping"
        parents[name] = root
        parents |= nested_tree(below, name)
    return parents


def _best(values: NDArray[Any], sets: NDArray[np.bool_]) -> NDArray[Any]:
    """Maximum over the rows (C, X) that are in each of the sets (S, C); (S, X)."""
    best = np.zeros((len(sets), values.shape[1]), values.dtype)
    for row, own in zip(best, sets, strict=True):
        values[own].max(axis=0, initial=0, out=row)
    return best


def _to_root(parents: Mapping[str, str], node: str) -> list[str]:
    path = [node]
    while (parent := parents.get(path[-1])) is not None:
        if parent in path:
            raise DatasetError(f"hierarchy: {parent!r} is above itself; a tree has no loop")
        path.append(parent)
    return path
