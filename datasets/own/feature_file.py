"""Features and labels in one file: ``features:PATH``, ``.npz`` or ``.safetensors``.

A ``.npy``, a ``.parquet`` or another file of `datasets.files.vectors` holds features alone; they
need not lie in memory.

=============  ====================================================================================
``features``   float (N, D)
``labels``     optional: class numbers (N,), -1 where a row has none, names (N,), or 0/1 (N, C);
               without them nearest neighbours are what is relevant
``split``      optional, (N,): 0 or "train", 1 or "query", 2 or "database", or other names of
               `datasets.own.parts`. Where no row is of the database, the training rows are
=============  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.features import Features
from datasets.files.arrays import read_arrays
from datasets.files.vectors import SUFFIXES, read_vectors
from datasets.labels import Labels
from datasets.own.labels import from_matrix, from_values
from datasets.own.parts import kind_of, split_by_name

Array = NDArray[Any]
SPLIT = ("train", "query", "database")
"""Names of the values of `split`, in the order of their numbers."""


def load_features(path: Path, options: LoadOptions) -> Contents:
    """Read precomputed features.

    Parameters
    ----------
    path : Path
        The file.
    options : LoadOptions

    Returns
    -------
    Contents
        Without images, so that no backbone is run.

    Raises
    ------
    DatasetError
        If the file cannot be read, lacks an array, or one has another shape or type.
    """
    who = f"features:{path}"
    arrays = _read(who, path, options)
    if "features" not in arrays:
        raise DatasetError(
            f"{who}: expected an array features, and labels where there are any, found "
            f"{', '.join(sorted(arrays)) or 'none'}"
        )
    features, labels = arrays["features"], arrays.get("labels")
    alone = path.suffix in SUFFIXES  # in their own types
    if (
        features.ndim != 2
        or features.dtype.kind not in "fiu"[: 3 if alone else 1]
        or 0 in features.shape
    ):
        raise DatasetError(
            f"{who}: features must be float (N, D), got {features.dtype} {features.shape}"
        )
    for name in ("labels", "split"):
        if name in arrays and arrays[name].shape[:1] != features.shape[:1]:
            raise DatasetError(
                f"{who}: {name} must have a row for each of {len(features):,} features, got "
                f"shape {arrays[name].shape}"
            )
    none = torch.empty(0, dtype=torch.int64)
    matrix, classes = Labels.from_pairs(none, none, len(features), 1), tuple[str, ...]()
    if labels is not None:
        matrix, classes = _labels(who, labels)
    parts, notes = _parts(who, arrays["split"]) if "split" in arrays else ({}, ())
    return Contents(
        labels=matrix,
        features=Features(features if alone else features.astype(np.float32)),
        parts=parts,
        classes=classes,
        distance="l2" if labels is None else None,
        notes=(f"{who}: {len(features):,} features of {features.shape[1]} numbers", *notes),
    )


def _labels(who: str, labels: Array) -> tuple[Labels, tuple[str, ...]]:
    if labels.ndim == 1 and labels.dtype.kind in "iuU":
        return from_values(who, labels, np.arange(len(labels)), len(labels))
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and labels.shape[1]:
        return from_matrix(who, labels), ()
    raise DatasetError(
        f"{who}: labels must be class numbers (N,) or 0/1 (N, C), got {labels.dtype} {labels.shape}"
    )


def _parts(who: str, split: Array) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Rows of each part, and what the user should know of them."""
    if split.ndim != 1 or split.dtype.kind not in "iuU":
        raise DatasetError(
            f"{who}: split must be the number or name of a part for each row, got {split.dtype} "
            f"{split.shape}"
        )
    values = np.unique(split).tolist()
    names = dict(enumerate(SPLIT)) if split.dtype.kind != "U" else {v: v for v in values}
    odd = [v for v in values if v not in names or kind_of(names[v]) is None]
    if odd:
        raise DatasetError(
            f"{who}: split must be 0, 1, 2 or {', '.join(map(repr, SPLIT))} of each row, got "
            f"{odd[0]!r}"
        )
    read = split_by_name(who, "rows", [names[value] for value in values])
    rows: dict[str, list[Tensor]] = {}
    for value in values:
        if names[value] in read.of:
            part = read.of[names[value]] or "train"  # all of one part: refused, it is no split
            rows.setdefault(part, []).append(torch.from_numpy(np.flatnonzero(split == value)))
    return {part: torch.cat(own).sort().values for part, own in rows.items()}, read.notes


def _read(who: str, path: Path, options: LoadOptions) -> Mapping[str, Array]:
    if path.suffix in SUFFIXES and (path.is_file() or not path.exists()):
        return {"features": read_vectors(path, options.cache, options.progress)}
    return read_arrays(who, path, f", or one of vectors alone: {' '.join(SUFFIXES)}")
