"""Features and augmented views, computed once per (data set, backbone, size), kept on disk.

Everything is stored as float16 ``.npy`` and read back memory-mapped; see `datasets.files.disk` for
how an extraction that was interrupted goes on, and how two processes share one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from benchmarks.features.base import Backbone, BackboneError, Kind, Resize
from benchmarks.features.captions import embed, encoder_digest
from benchmarks.features.corrupted import CorruptedImages
from benchmarks.features.device_images import DeviceImages
from benchmarks.features.extraction import (
    Views,
    augmented,
    extract_blocks,
    extraction_digest,
    whole_images,
)
from benchmarks.features.extractor import Extractor, precision
from benchmarks.features.kmeans_patches import KMeansPatches
from benchmarks.features.onnx_backbone import Say, is_for, onnx_digest, quickest, unheard
from datasets.augment import AUGMENTATIONS
from datasets.base import RetrievalDataset
from datasets.errors import lookup
from datasets.features import Features
from datasets.files.disk import disk_array, disk_arrays, is_stored
from datasets.image_source import ImageSource
from datasets.progress import Progress, silent

BLOCK = 512
"""Images a block: the most that an interruption loses."""

_BOTH: tuple[Kind, Kind] = ("features", "tokens")
"""In the order of `Backbone.both`."""


class FeatureError(Exception):
    """Features that cannot be computed; the message is one line meant for the user."""


@dataclass
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
    say : callable
        Told, in a line, what computes a network and how exactly, see `onnx_backbone.quickest`.
    """

    root: Path
    device: torch.device
    progress: Progress = silent
    say: Say = unheard
    _on_device: dict[str, ImageSource] = field(default_factory=dict)

    def features(
        self,
        data: RetrievalDataset,
        backbone: Backbone,
        kind: Kind = "features",
        also: Kind | None = None,
    ) -> Cached[Tensor]:
        """Features of every image of a data set, unaugmented.

        Float16, shape (N, D), or (N, T, D) where `kind` asks for tokens. `also` is what will be
        asked for as well: one pass gives both.

        Raises
        ------
        FeatureError
            If a feature is not finite, with the rows.
        """
        self._keep_learnt(backbone)
        views = whole_images(self._source(data, kind, backbone.resize), backbone.square)
        key = [data.data_digest, backbone.resize]
        stem = partial(self._stem, backbone.label, key, backbone)
        return self._array(f"of {data.name}", stem, views, backbone, kind, also)

    def shifted(
        self, data: RetrievalDataset, backbone: Backbone, kind: Kind, corruption: str, severity: int
    ) -> Cached[Tensor]:
        """Features of the query images, made worse; as `features` gives them, shape (Q, ...)."""
        self._keep_learnt(backbone)
        assert data.images is not None, "open_task refuses data without images"
        images = data.images if backbone.resize == "stretch" else data.images.undistorted()
        worse = CorruptedImages(images, data.query, corruption, severity)
        views = whole_images(worse, backbone.square)
        stem = partial(self._stem, backbone.label, [worse.digest, backbone.resize], backbone)
        what = f"of the queries of {data.name}, {corruption} {severity}"
        return self._array(what, stem, views, backbone, kind, None)

    def bank(
        self,
        data: RetrievalDataset,
        backbone: Backbone,
        augmentation: str,
        n_views: int,
        kind: Kind = "features",
        also: Kind | None = None,
        rows: Tensor | None = None,
    ) -> Cached[Tensor]:
        """Features of augmented views of every training image, or of the images in `rows`.

        Float16, shape (N, V, D), or (N, V, T, D) where `kind` asks for tokens. `also` is as in
        `features`.

        The augmentation of a view is drawn for its image and view number alone, so it does not
        depend on the block size or the device. Views are cut out of the images as they are kept,
        whatever `Backbone.resize` is: both ways share a bank.

        Raises
        ------
        FeatureError
            If the data set has no images, or a feature is not finite.
        """
        self._keep_learnt(backbone)
        images = self._source(data, "augmented views")
        recipe = lookup("augmentation", augmentation, AUGMENTATIONS)
        which, rows = ("the training", data.train) if rows is None else ("some", rows)
        rows_digest = hashlib.sha256(rows.numpy().tobytes()).hexdigest()
        views_key = [data.data_digest, repr(recipe), n_views, rows_digest]
        seed = int(_digest(views_key)[:15], 16)
        views = augmented(images, rows, recipe, n_views, seed, backbone.input_size)
        what = f"of {n_views} views of {which} images of {data.name}"
        stem = partial(self._stem, backbone.network_label, views_key, backbone)
        return self._array(what, stem, views, backbone, kind, also)

    def captions(self, captions: Sequence[Sequence[str]], encoder: str) -> Cached[Tensor]:
        """Embeddings of the captions of images, float32, shape (N, E), see `captions.embed`.

        Raises
        ------
        TextError
            If they cannot be embedded.
        """
        key = [[list(sentences) for sentences in captions], encoder_digest(encoder)]
        what = f"embeddings of {len(captions)} captions by {encoder}"
        stem = self.root / "captions" / _digest(key)[:24]

        def blocks(start: int) -> Iterator[np.ndarray]:
            yield embed(captions, encoder).numpy()

        stored = disk_array(stem, what, len(captions), blocks, self.progress, mode="c")
        return Cached(torch.from_numpy(stored.array), stored.seconds)

    def images(self, data: RetrievalDataset, resize: Resize = "stretch") -> ImageSource:
        """Images of a data set, ready to be read; on CUDA they stay there if they fit.

        With ``crop`` none of them was stretched.

        Raises
        ------
        FeatureError
            If the data set has none.
        """
        images = self._source(data, "new views", resize)
        images.prepare(self.root / "pixels", self.progress)
        return images

    def _keep_learnt(self, backbone: Backbone) -> None:
        if isinstance(backbone, KMeansPatches):
            backbone.keep(self.root / "networks", self.progress)

    def _source(self, data: RetrievalDataset, what: str, resize: Resize = "stretch") -> ImageSource:
        """Images of a data set, not ready yet."""
        if data.images is None:
            raise FeatureError(
                f"{data.name}: {what} need images, and this data set has features only; "
                "choose a method that trains on plain features"
            )
        images = data.images if resize == "stretch" else data.images.undistorted()
        if self.device.type != "cuda":
            return images
        kept = DeviceImages(images, self.device)
        return self._on_device.setdefault(kept.digest, kept)

    def _array(
        self,
        what: str,
        stem: Callable[[Kind], Path],
        views: Views,
        backbone: Backbone,
        kind: Kind,
        also: Kind | None,
    ) -> Cached[Tensor]:
        """Read an array from the cache, or compute it, alone or beside the other kind."""
        if also is not None and not any(is_stored(stem(each)) for each in (kind, also)):
            stems = {each: stem(each) for each in _BOTH}
            with suppress(BackboneError, FeatureError):  # what is asked for may be had all the same
                return self._pass(what, stems, views, backbone)[kind]
        return self._pass(what, {kind: stem(kind)}, views, backbone)[kind]

    def _stem(
        self, label: str, views_key: Sequence[object], backbone: Backbone, kind: Kind
    ) -> Path:
        """Where an array lies: its key holds all that its numbers depend on."""
        key = [kind, *views_key, backbone.digest, backbone.input_size, extraction_digest()]
        key.append(precision(self.device))
        key += [onnx_digest()] if is_for(backbone, self.device) else []
        folder = label.replace("/", "_").replace(":", "_")
        return self.root / folder / _digest(key)[:24]

    def _pass(
        self, what: str, stems: dict[Kind, Path], views: Views, backbone: Backbone
    ) -> dict[Kind, Cached[Tensor]]:
        """Prepare the images and extract what is missing of these arrays, block by block."""
        kinds = list(stems)

        def blocks(start: int) -> Iterator[list[np.ndarray]]:
            network = quickest(backbone, self.device, self.root / "networks", self.say)
            extractor = Extractor(network, kinds, self.device)
            block = BLOCK // views.per_image or 1
            for values in extract_blocks(views, extractor, block, start):
                for name, rows in zip(kinds, values, strict=True):
                    _check_finite(f"{name} {what}", rows, start)
                start += len(values[0])
                yield values

        paths, name = list(stems.values()), f"{' and '.join(kinds)} {what}"
        if not all(map(is_stored, paths)):
            views.images.prepare(self.root / "pixels", self.progress)
        # Copy-on-write, because torch wants memory that it may write to.
        stored = disk_arrays(paths, name, len(views), blocks, self.progress, mode="c")
        found = [Cached(torch.from_numpy(each.array), each.seconds) for each in stored]
        return dict(zip(kinds, found, strict=True))


A = TypeVar("A", Tensor, Features)


@dataclass(frozen=True)
class Cached(Generic[A]):
    """An array from the cache.

    Attributes
    ----------
    array : Tensor, float16 or float32, or Features
        Memory-mapped.
    seconds : float
        What its computation took, whenever that was.
    """

    array: A
    seconds: float


def _digest(key: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def _check_finite(what: str, values: np.ndarray, first_row: int) -> None:
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    if not finite.all():
        rows = first_row + np.flatnonzero(~finite)
        raise FeatureError(
            f"{what}: features must be finite in float16, and those of {len(rows)} rows are not, "
            f"first row {rows[0]}; check the image and the weights"
        )
