"""A file of ann-benchmarks, ``ann:FILE.hdf5``.

It holds ``train``, ``test`` and optionally ``neighbors``, and its attribute ``distance``. Files
that bear a name of ann-benchmarks must be its files, by their sizes and digests, see
`ANN_BENCHMARKS` and `SHA256`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, need, one_line
from datasets.files.hub import file_sha256
from datasets.own.vector_files import check_matrix, contents_of

if TYPE_CHECKING:
    import h5py

_DISTANCES = {"euclidean": "l2", "angular": "cosine", "dot": "ip", "ip": "ip", "cosine": "cosine"}
_MOST_PACKED = 1032
"""Bytes that one stored byte can stand for: deflate packs no closer."""
ANN_BENCHMARKS = {
    "sift-128-euclidean": (1_000_000, 10_000, 128, "euclidean"),
    "gist-960-euclidean": (1_000_000, 1_000, 960, "euclidean"),
    "fashion-mnist-784-euclidean": (60_000, 10_000, 784, "euclidean"),
    "glove-100-angular": (1_183_514, 10_000, 100, "angular"),
    "deep-image-96-angular": (9_990_000, 10_000, 96, "angular"),
}
"""Database, queries, width and distance of SIFT1M, GIST1M, Fashion-MNIST, GloVe and Deep, as the
README of github.com/erikbern/ann-benchmarks states them."""
SHA256 = {
    "sift-128-euclidean": "dd6f0a6ed6b7ebb8934680f861a33ed01ff33991eaee4fd60914d854a0ca5984",
    "gist-960-euclidean": "8e95831936bfdbfa0a56086942e2cf98cd703517c67f985914183eb4cdbf026a",
    "glove-100-angular": "544af1d5e84e112cd4749571dcfd8ca109818a572f850af75a3a09e093a953c4",
    "deep-image-96-angular": "a0a44dfe80c58e63860862eeea2d34e62cff958dc3aec14fd65263d1d3c751f8",
}
"""Of files that ann-benchmarks.com serves, as the folders ``nearest_neighbors`` of
github.com/tensorflow/datasets give them, and that of GIST1M ``sklbench/datasets/loaders.py`` of
github.com/IntelPython/scikit-learn_bench."""


def load_ann(path: Path, options: LoadOptions) -> Contents:
    """Read a file of ann-benchmarks; needs the extra ``ann``, h5py.

    Raises
    ------
    DatasetError
        If it cannot be read or lacks a part.
    """
    who = f"ann:{path}"
    need(DatasetError, who, "h5py")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            absent = [name for name in ("train", "test") if name not in file]
            if absent:
                there = ", ".join(sorted(file)) or "nothing"
                raise DatasetError(f"{who}: looked for train and test, found {there}")
            names = {"train": "base", "test": "query", "neighbors": "groundtruth"}
            arrays = {
                kind: [_array(path, who, file, name)]
                for name, kind in names.items()
                if name in file
            }
            told = file.attrs.get("distance", "euclidean")
    # What h5py raises for a damaged file differs with the part that is damaged.
    except (OSError, LookupError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        raise DatasetError(f"{who}: cannot be read ({one_line(error)}); fetch it again") from error
    told = told.decode() if isinstance(told, bytes) else str(told)
    if told not in _DISTANCES:
        raise DatasetError(f"{who}: distance must be one of {', '.join(_DISTANCES)}, got {told!r}")
    contents = contents_of(who, arrays, _DISTANCES[told])
    if path.stem not in ANN_BENCHMARKS:
        return contents
    sizes = len(arrays["base"][0]), len(arrays["query"][0]), arrays["base"][0].shape[1]
    note = _checked(who, path, (*sizes, told))
    return replace(contents, notes=(*contents.notes, note))


def _checked(who: str, path: Path, found: tuple[int, int, int, str]) -> str:
    """Say that a file of ann-benchmarks is the one of its name; refuse another."""
    known, digest = ANN_BENCHMARKS[path.stem], SHA256.get(path.stem)
    way_out = "fetch it again, or give it another name"
    if found != known:
        raise DatasetError(
            f"{who}: ann-benchmarks states {_sizes(*known)}, found {_sizes(*found)}; {way_out}"
        )
    if digest is None:
        return f"{who}: has the sizes that ann-benchmarks states; no digest of it is known to check"
    if (own := file_sha256(path)) != digest:
        raise DatasetError(
            f"{who}: the file of ann-benchmarks has SHA-256 {digest}, this one {own}; {way_out}"
        )
    return f"{who}: is the file of ann-benchmarks, by its SHA-256"


def _sizes(base: int, query: int, width: int, distance: str) -> str:
    return f"{base:,} and {query:,} vectors of {width}, {distance}"


def _array(path: Path, who: str, file: h5py.File, name: str) -> NDArray[Any]:
    """Read an array that the file itself holds: a stranger's may point to any other file.

    It is mapped into memory, or read where it is stored in pieces.
    """
    import h5py

    found = file[name] if type(file.get(name, getlink=True)) is h5py.HardLink else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise DatasetError(f"{who}: {name} must be an array in this file; write it into the file")
    check_matrix(who, name, found)
    stored = found.id.get_storage_size()
    if found.nbytes > _MOST_PACKED * stored:
        raise DatasetError(
            f"{who}: truncated, {name} tells of {found.nbytes:,} bytes and {stored:,} are there; "
            "fetch it again"
        )
    offset = None if found.chunks else found.id.get_offset()
    if offset is None:
        values: NDArray[Any] = found[()]
        return values
    return np.memmap(path, found.dtype, "c", offset, found.shape)
