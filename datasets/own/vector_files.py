"""A folder of vectors as nearest-neighbour search keeps them, ``vectors:FOLDER``.

It holds files of `datasets.files.vectors`, told apart by their names:

=============  ====================================================================================
base           ``*base*``, ``*database*``: the vectors that are searched
query          ``*query*``, ``*test*``
learn          ``*learn*``, ``*train*``; optional, else methods learn from the base; the base itself
               where no file is called so
ground truth   ``*groundtruth*``, ``*neighbors*``: rows of the base, nearest first; optional
=============  ====================================================================================

Of several files called ``NAME-00-of-10.parquet`` and so on, the rows follow each other. Neighbours
in parquet files are named by the column ``id`` of the base, where it has one.

What is relevant to a query are its nearest neighbours, for there are no labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.features import Features
from datasets.files.parquet_vectors import in_order, read_ids
from datasets.files.vectors import SUFFIXES, read_vectors
from datasets.labels import Labels

if TYPE_CHECKING:
    import h5py

_WORDS = {
    "groundtruth": ("groundtruth", "ground_truth", "neighbors", "neighbours", "gnd", "_gt"),
    "query": ("query", "queries", "test"),
    "learn": ("learn", "train"),
    "base": ("base",),
}
"""What names a file of each kind, looked for in this order."""
_PART = re.compile(r"-\d+-of-\d+(?=\.)")
"""What tells the parts of one file apart."""
Arrays = list[NDArray[Any]]
MOST_LEARNT = 100_000
"""Rows of the base that methods learn from, where there are none for it."""


def load_vectors(path: Path, options: LoadOptions) -> Contents:
    """Read a folder of files of vectors.

    Raises
    ------
    DatasetError
        If it holds no base or queries, or they do not belong together.
    """
    who = f"vectors:{path}"
    if not path.is_dir():
        raise DatasetError(f"{who}: no such folder; for a single file of several arrays take ann:")
    files = _by_kind(path)
    for kind, found in files.items():
        if len({_PART.sub("", file.name) for file in found}) > 1:
            names = " and ".join(file.name for file in found)
            raise DatasetError(f"{who}: {names} may both be the {kind}; leave one in the folder")
    if not files["base"]:
        files["base"], files["learn"] = files["learn"], []
    missing = [kind for kind in ("base", "query") if not files[kind]]
    if missing:
        raise DatasetError(
            f"{who}: no file of {' and '.join(missing)} vectors; looked for names with "
            f"{', '.join(word for kind in missing for word in _WORDS[kind])} ending in "
            f"{', '.join(SUFFIXES)}"
        )
    arrays = {
        kind: [read_vectors(file, options.cache, options.progress) for file in found]
        for kind, found in files.items()
        if found
    }
    ids = [read_ids(file) for file in files["base"] if file.suffix == ".parquet"]
    named = [own for own in ids if own is not None]
    if named and "groundtruth" in arrays:
        arrays["groundtruth"] = [in_order(named, np.concatenate(arrays["groundtruth"]), who)]
    return contents_of(who, arrays, "l2")


def _by_kind(folder: Path) -> dict[str, list[Path]]:
    """Tell the files of vectors of a folder apart."""
    files: dict[str, list[Path]] = {kind: [] for kind in _WORDS}
    for file in sorted(folder.iterdir()):
        if file.suffix in SUFFIXES:
            kinds = [k for k, words in _WORDS.items() if any(w in file.stem.lower() for w in words)]
            if kinds:
                files[kinds[0]].append(file)
    return files


def contents_of(who: str, arrays: Mapping[str, Arrays], distance: str) -> Contents:
    """Put base, learning vectors and queries into one list of rows, in this order."""
    kinds = [kind for kind in ("base", "learn", "query") if kind in arrays]
    width = arrays["base"][0].shape[-1]
    for kind in kinds:
        for array in arrays[kind]:
            _check(who, kind, array, width)
    sizes = [sum(map(len, arrays[kind])) for kind in kinds]
    starts = np.cumsum([0, *sizes])
    rows = {
        kind: torch.arange(start, end)
        for kind, start, end in zip(kinds, starts[:-1], starts[1:], strict=True)
    }
    learnt = rows.get("learn")
    if learnt is None:  # spread over the whole base
        step = max(1, -(-len(rows["base"]) // MOST_LEARNT))
        learnt = rows["base"][::step]
    n = int(starts[-1])
    empty = torch.empty(0, dtype=torch.int64)
    return Contents(
        labels=Labels.from_pairs(empty, empty, n, 1),
        features=Features(*(array for kind in kinds for array in arrays[kind])),
        parts={"train": learnt, "test": rows["query"], "database": rows["base"]},
        neighbours=_neighbours(who, arrays, len(rows["query"])),
        distance=distance,
        notes=(f"{who}: {sizes[0]:,} vectors of {width} numbers, {len(rows['query']):,} queries",),
    )


def _check(who: str, kind: str, x: NDArray[Any], width: int) -> None:
    check_matrix(who, kind, x)
    if x.shape[1] != width:
        raise DatasetError(
            f"{who}: base and {kind} must have equal width, got {width} and {x.shape[1]}"
        )


def check_matrix(who: str, kind: str, x: NDArray[Any] | h5py.Dataset) -> None:
    """Refuse what holds no rows of numbers."""
    if x.ndim != 2 or x.dtype.kind not in "fiu" or 0 in x.shape:
        raise DatasetError(f"{who}: {kind} must be vectors (N, D), got {x.dtype} {x.shape}")


def _neighbours(who: str, arrays: Mapping[str, Arrays], n_query: int) -> Tensor | None:
    if "groundtruth" not in arrays:
        return None
    given = np.concatenate(arrays["groundtruth"])
    if given.ndim != 2 or given.dtype.kind not in "iu" or len(given) != n_query:
        raise DatasetError(
            f"{who}: neighbours must be rows of the base, a row for each of "
            f"{n_query:,} queries, got {given.dtype} {given.shape}"
        )
    return torch.from_numpy(np.ascontiguousarray(given, dtype=np.int64))
