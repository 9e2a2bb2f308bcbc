"""Vectors as nearest-neighbour search keeps them: ``vectors:FOLDER`` and ``ann:FILE.hdf5``.

``vectors:FOLDER`` holds files of `datasets.files.vectors`, told apart by their names:

=============  ====================================================================================
base           ``*base*``, ``*database*``: the vectors that are searched
query          ``*query*``, ``*test*``
learn          ``*learn*``, ``*train*``; optional, else methods learn from the base
ground truth   ``*groundtruth*``, ``*neighbors*``: rows of the base, nearest first; optional
=============  ====================================================================================

``ann:FILE.hdf5`` holds ``train``, ``test`` and optionally ``neighbors`` and ``distances``, and its
attribute ``distance``, as ann-benchmarks has them.

What is relevant to a query are its nearest neighbours, for there are no labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
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
_DISTANCES = {"euclidean": "l2", "angular": "cosine", "dot": "ip", "ip": "ip", "cosine": "cosine"}
_MOST_PACKED = 1032
"""Bytes that one stored byte can stand for: deflate packs no closer."""
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
    files: dict[str, list[Path]] = {kind: [] for kind in _WORDS}
    for file in sorted(path.iterdir()):
        if file.suffix in SUFFIXES:
            kinds = [k for k, words in _WORDS.items() if any(w in file.stem.lower() for w in words)]
            if kinds:
                files[kinds[0]].append(file)
    for kind, found in files.items():
        if len(found) > 1:
            names = " and ".join(file.name for file in found)
            raise DatasetError(f"{who}: {names} may both be the {kind}; leave one in the folder")
    missing = [kind for kind in ("base", "query") if not files[kind]]
    if missing:
        raise DatasetError(
            f"{who}: no file of {' and '.join(missing)} vectors; looked for names with "
            f"{', '.join(word for kind in missing for word in _WORDS[kind])} ending in "
            f"{', '.join(SUFFIXES)}"
        )
    arrays = {kind: read_vectors(found[0]) for kind, found in files.items() if found}
    return _contents(who, arrays, "l2")


def load_ann(path: Path, options: LoadOptions) -> Contents:
    """Read a file of ann-benchmarks; needs the extra ``ann``, h5py.

    Raises
    ------
    DatasetError
        If it cannot be read or lacks a part.
    """
    who = f"ann:{path}"
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(f"{who}: needs h5py; pip install 'hashbench[ann]'") from error
    try:
        with h5py.File(path, "r") as file:
            absent = [name for name in ("train", "test") if name not in file]
            if absent:
                there = ", ".join(sorted(file)) or "nothing"
                raise DatasetError(f"{who}: looked for train and test, found {there}")
            names = {"train": "base", "test": "query", "neighbors": "groundtruth"}
            arrays = {kind: _array(who, file, name) for name, kind in names.items() if name in file}
            told = file.attrs.get("distance", "euclidean")
    # What h5py raises for a damaged file differs with the part that is damaged.
    except (OSError, LookupError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        raise DatasetError(f"{who}: cannot be read ({one_line(error)}); fetch it again") from error
    told = told.decode() if isinstance(told, bytes) else str(told)
    if told not in _DISTANCES:
        raise DatasetError(f"{who}: distance must be one of {', '.join(_DISTANCES)}, got {told!r}")
    return _contents(who, arrays, _DISTANCES[told])


def _array(who: str, file: h5py.File, name: str) -> NDArray[Any]:
    """Read an array that the file itself holds: a stranger's may point to any other file."""
    import h5py

    found = file[name] if type(file.get(name, getlink=True)) is h5py.HardLink else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise DatasetError(f"{who}: {name} must be an array in this file; write it into the file")
    _check_matrix(who, name, found)
    stored = found.id.get_storage_size()
    if found.nbytes > _MOST_PACKED * stored:
        raise DatasetError(
            f"{who}: truncated, {name} tells of {found.nbytes:,} bytes and {stored:,} are there; "
            "fetch it again"
        )
    values: NDArray[Any] = found[()]
    return values


def _contents(who: str, arrays: Mapping[str, NDArray[Any]], distance: str) -> Contents:
    """Put base, learning vectors and queries into one list of rows, in this order."""
    kinds = [kind for kind in ("base", "learn", "query") if kind in arrays]
    for kind in kinds:
        _check(who, kind, arrays[kind], arrays["base"])
    starts = np.cumsum([0, *(len(arrays[kind]) for kind in kinds)])
    rows = {
        kind: torch.arange(start, end)
        for kind, start, end in zip(kinds, starts[:-1], starts[1:], strict=True)
    }
    learnt = rows.get("learn")
    if learnt is None:  # spread over the whole base
        step = max(1, -(-len(rows["base"]) // MOST_LEARNT))
        learnt = rows["base"][::step]
    n = int(starts[-1])
    stacked = np.concatenate([np.asarray(arrays[kind], np.float32) for kind in kinds])
    empty = torch.empty(0, dtype=torch.int64)
    base, width = arrays["base"].shape
    return Contents(
        labels=Labels.from_pairs(empty, empty, n, 1),
        features=torch.from_numpy(stacked),
        parts={"train": learnt, "test": rows["query"], "database": rows["base"]},
        neighbours=_neighbours(who, arrays),
        distance=distance,
        notes=(f"{who}: {base:,} vectors of {width} numbers, {len(rows['query']):,} queries",),
    )


def _check(who: str, kind: str, x: NDArray[Any], base: NDArray[Any]) -> None:
    _check_matrix(who, kind, x)
    if x.shape[1] != base.shape[1]:
        raise DatasetError(
            f"{who}: base and {kind} must have equal width, got {base.shape[1]} and {x.shape[1]}"
        )


def _check_matrix(who: str, kind: str, x: NDArray[Any] | h5py.Dataset) -> None:
    if x.ndim != 2 or x.dtype.kind not in "fiu" or 0 in x.shape:
        raise DatasetError(f"{who}: {kind} must be vectors (N, D), got {x.dtype} {x.shape}")


def _neighbours(who: str, arrays: Mapping[str, NDArray[Any]]) -> Tensor | None:
    given = arrays.get("groundtruth")
    if given is None:
        return None
    if given.ndim != 2 or given.dtype.kind not in "iu" or len(given) != len(arrays["query"]):
        raise DatasetError(
            f"{who}: neighbours must be rows of the base, a row for each of "
            f"{len(arrays['query']):,} queries, got {given.dtype} {given.shape}"
        )
    return torch.from_numpy(np.ascontiguousarray(given, dtype=np.int64))
