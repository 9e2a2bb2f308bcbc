"""Embeddings of texts, given by the user as arrays of one file: ``--texts FILE``.

===============  ===================================================================================
``nouns``        float (M, D): a bank of nouns at large
``class_names``  float (M, D): names of what may be in the images
===============  ===================================================================================

They lie in the space of the features, as those of CLIP do: text encoder and backbone are of one
model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.errors import DatasetError
from datasets.files.arrays import read_arrays

KINDS = ("nouns", "class_names")


@dataclass(frozen=True, eq=False)
class Texts:
    """What a file holds.

    Attributes
    ----------
    path : Path
    embeddings : Mapping[str, Tensor]
        By kind, one of `KINDS`: float32, shape (M, D).
    """

    path: Path
    embeddings: Mapping[str, Tensor]

    def digest(self, kind: str) -> str:
        """SHA-256 of the embeddings of a kind."""
        return hashlib.sha256(self.embeddings[kind].numpy().tobytes()).hexdigest()


def read_texts(path: Path) -> Texts:
    """Read the embeddings of a file.

    Raises
    ------
    DatasetError
        If it cannot be read, holds neither kind, or has one of another shape, type or value.
    """
    who = f"--texts {path}"
    arrays = read_arrays(who, path)
    found = {kind: arrays[kind] for kind in KINDS if kind in arrays}
    if not found:
        raise DatasetError(
            f"{who}: expected an array nouns or class_names, found "
            f"{', '.join(sorted(arrays)) or 'none'}"
        )
    for kind, array in found.items():
        if array.ndim != 2 or array.dtype.kind != "f" or 0 in array.shape:
            raise DatasetError(
                f"{who}: {kind} must be float (M, D), got {array.dtype} {array.shape}"
            )
        if not (np.isfinite(array).all(1) & array.any(1)).all():
            raise DatasetError(f"{who}: each row of {kind} must be finite and not all 0")
    return Texts(path, {k: torch.from_numpy(v.astype(np.float32)) for k, v in found.items()})
