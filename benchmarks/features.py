"""Features and augmented views, computed once per (data set, backbone, size), kept on disk.

Everything is stored as float16 ``.npy`` and read back memory-mapped. An extraction writes blocks
into ``<key>.partial.npy`` and notes in ``<key>.json`` how far it came, so an interrupted
one goes on where it stopped; the finished file is renamed into place. A file lock makes a second
process wait for the first instead of computing the same again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from filelock import FileLock
from numpy.lib.format import open_memmap
from torch import Tensor

import datasets.augment
import datasets.resample
from benchmarks.backbones import Backbone
from datasets.augment import AUGMENTATIONS, augment, draws, resize
from datasets.base import ImageSource, RetrievalDataset, lookup

BLOCK = 512
"""Images a block: the most that an interruption loses."""

Kind = Literal["features", "tokens"]
"""What a backbone gives for an image: one vector, or one for each of its parts."""

Progress = Callable[[str, int, int], None]
"""Told what is extracted, how many rows are done, and how many there are."""


class FeatureError(Exception):
    """Features that cannot be computed; the message is one line meant for the user."""


@dataclass(frozen=True)
class FeatureCache:
    """Features of data sets on disk.

    Parameters
    ----------
    root : Path
        Folder of the cache.
    device : torch.device
        Where the backbone runs.
    progress : callable
        Told after each block.
    """

    root: Path
    device: torch.device
    progress: Progress = lambda what, done, total: None

    def features(
        self, data: RetrievalDataset, backbone: Backbone, kind: Kind = "features"
    ) -> Cached:
        """Features of every image of a data set, unaugmented.

        Float16, shape (N, D), or (N, T, D) where `kind` asks for tokens.

        Raises
        ------
        FeatureError
            If a feature is not finite, with the rows.
        """
        if data.features is not None and kind == "features":
            return Cached(data.features, 0.0)
        images = _images(data, kind)
        size, extract = backbone.input_size, getattr(backbone, kind)

        def block(rows: Tensor) -> Tensor:
            pixels = images.read(rows).to(self.device)
            found: Tensor = extract(resize(pixels, size or pixels.shape[-1]))
            return found

        key = [kind, data.data_digest, backbone.digest, size, source_of_pixels()]
        return self._array(f"{kind} of {data.name}", key, len(images), block, BLOCK, backbone)

    def bank(
        self,
        data: RetrievalDataset,
        backbone: Backbone,
        augmentation: str,
        n_views: int,
        kind: Kind = "features",
    ) -> Cached:
        """Features of augmented views of every training image.

        Float16, shape (N, V, D), or (N, V, T, D) where `kind` asks for tokens.

        The augmentation of a view is drawn for its image and view number alone, so it does not
        depend on the block size or the device.

        Raises
        ------
        FeatureError
            If the data set has no images, or a feature is not finite.
        """
        images = _images(data, "augmented views")
        recipe = lookup("augmentation", augmentation, AUGMENTATIONS)
        size, extract = backbone.input_size, getattr(backbone, kind)
        rows_digest = hashlib.sha256(data.train.numpy().tobytes()).hexdigest()
        views_key = [data.data_digest, repr(recipe), n_views, rows_digest]
        key = [kind, *views_key, backbone.digest, size, source_of_pixels()]
        seed = int(_digest(views_key)[:15], 16)
        uniforms = draws(len(data.train) * n_views, torch.Generator().manual_seed(seed))
        uniforms = uniforms.view(len(data.train), n_views, -1)

        def block(rows: Tensor) -> Tensor:
            pixels = images.read(data.train[rows]).to(self.device)
            views = [
                extract(augment(pixels, u, recipe, size or pixels.shape[-1]))
                for u in uniforms[rows].unbind(1)
            ]
            return torch.stack(views, 1)  # (B, V, ...)

        what = f"{kind} of {n_views} views of the training images of {data.name}"
        return self._array(what, key, len(data.train), block, BLOCK // n_views or 1, backbone)

    def _array(
        self,
        what: str,
        key: Sequence[object],
        n: int,
        block: Callable[[Tensor], Tensor],
        block_size: int,
        backbone: Backbone,
    ) -> Cached:
        """Read an array from the cache, or compute it block by block."""
        stem = self.root / backbone.label.replace("/", "_").replace(":", "_") / _digest(key)[:24]
        final, note = stem.with_suffix(".npy"), stem.with_suffix(".json")
        if not final.is_file():
            final.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(stem.with_suffix(".lock")):
                if not final.is_file():
                    backbone.to(self.device)
                    self._extract(what, final, note, n, block, block_size)
        # Copy-on-write, because torch wants memory that it may write to.
        array = torch.from_numpy(np.load(final, mmap_mode="c", allow_pickle=False))
        return Cached(array, _Note.read(note).seconds)

    @torch.inference_mode()
    def _extract(
        self,
        what: str,
        final: Path,
        note: Path,
        n: int,
        block: Callable[[Tensor], Tensor],
        block_size: int,
    ) -> None:
        partial = final.with_suffix(".partial.npy")
        so_far = _Note.read(note) if _rows(partial) == n else _Note()
        array = np.load(partial, mmap_mode="r+", allow_pickle=False) if so_far.done else None
        if array is None:
            note.unlink(missing_ok=True)  # it may speak of an earlier array
        self.progress(what, so_far.done, n)
        while so_far.done < n:
            start = time.perf_counter()
            rows = torch.arange(so_far.done, min(so_far.done + block_size, n))
            values = block(rows).to(torch.float16).cpu().numpy()
            _check_finite(what, values, so_far.done)
            if array is None:
                array = open_memmap(partial, "w+", np.float16, (n, *values.shape[1:]))
            array[so_far.done : so_far.done + len(rows)] = values
            array.flush()
            spent = time.perf_counter() - start
            so_far = _Note(what, so_far.done + len(rows), so_far.seconds + spent)
            so_far.write(note)
            self.progress(what, so_far.done, n)
        del array
        partial.replace(final)


@dataclass(frozen=True)
class Cached:
    """An array from the cache.

    Attributes
    ----------
    array : Tensor, float16
        Memory-mapped.
    seconds : float
        What its computation took, whenever that was.
    """

    array: Tensor
    seconds: float


@dataclass(frozen=True)
class _Note:
    """What stands beside an array: what it is, rows finished, seconds spent."""

    what: str = ""
    done: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path) -> _Note:
        try:
            note = json.loads(path.read_text())
            return cls(str(note["what"]), int(note["done"]), float(note["seconds"]))
        except (OSError, ValueError, TypeError, KeyError):  # absent or damaged: nothing is known
            return cls()

    def write(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)


def _images(data: RetrievalDataset, what: str) -> ImageSource:
    if data.images is None:
        raise FeatureError(
            f"{data.name}: {what} need images, and this data set has features only; "
            "choose a method that trains on plain features"
        )
    return data.images


@cache
def source_of_pixels() -> str:
    """SHA-256 of the code between an image and a backbone's input: other code, other features."""
    source = inspect.getsource(datasets.augment) + inspect.getsource(datasets.resample)
    return hashlib.sha256(source.encode()).hexdigest()


def _digest(key: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def _rows(partial: Path) -> int:
    """Rows that an unfinished array has room for; 0 where there is none that can be read."""
    try:
        return len(np.load(partial, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError):
        return 0


def _check_finite(what: str, values: np.ndarray, first_row: int) -> None:
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    if not finite.all():
        rows = first_row + np.flatnonzero(~finite)
        raise FeatureError(
            f"{what}: features must be finite in float16, and those of {len(rows)} rows are not, "
            f"first row {rows[0]}; check the image and the weights"
        )
