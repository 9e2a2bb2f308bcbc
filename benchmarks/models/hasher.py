"""Hash new images, or their features, with a model that was trained before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from platformdirs import user_cache_path
from torch import Tensor

from benchmarks.evaluation.packing import PackedBits
from benchmarks.features.base import Backbone
from benchmarks.features.extraction import extract_blocks, whole_images
from benchmarks.features.extractor import Extractor, autocast
from benchmarks.features.onnx_backbone import quickest, unheard
from benchmarks.machine.environment import choose_device
from benchmarks.models.config import ModelError
from benchmarks.models.folder import OURS, Model, load_model
from benchmarks.models.given_images import given_images
from benchmarks.models.places import find_model
from benchmarks.training.training_sets import IMAGES_PER_PASS
from datasets.files.images import Encoded, EncodedImages
from datasets.image_source import ImageSource, MemoryImages
from datasets.progress import Progress, silent

BLOCK = 512
"""Images that are decoded and passed on at a time."""
ROWS = 8192
"""Features that are looked at or scored at a time."""
_MOST = 800
"""Side of decoded images, in pixels; a block of larger ones would take a gigabyte."""

Items = Any
"""Images, paths of images, or features; see `Hasher.encode`."""


class Hasher:
    """A trained method with its backbone.

    Attributes
    ----------
    n_bits : int
        Code length K.
    bit_order : "big"
        The first bit of a code is the highest of its first byte, as `numpy.packbits` has it; see
        `to_faiss`.

    Examples
    --------
    >>> hasher = Hasher.load("my-model")  # doctest: +SKIP
    >>> hasher.encode(["a.jpg", "b.jpg"]).shape  # doctest: +SKIP
    (2, 8)
    """

    bit_order = "big"

    def __init__(self, model: Model, device: str = "auto", backbone: str | None = None) -> None:
        self.model = model
        self._backbone = backbone
        self.n_bits = model.config.bits
        self._device = choose_device(device)
        self._method = model.method.to(self._device)
        self._network: Backbone | None = None
        self._extractor: Extractor | None = None

    @classmethod
    def load(
        cls,
        place: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        backbone: str | None = None,
        method: str | None = None,
    ) -> Self:
        """Read a model.

        Parameters
        ----------
        place : str or Path
            Folder of a model, or a repository of the Hugging Face hub, ``NAME/NAME`` or
            ``NAME/NAME@COMMIT``.
        revision : str, optional
            Commit of that repository, 40 hexadecimal digits: what is loaded can then not change.
        device : "auto", "cpu", "cuda" or "cuda:i"
        backbone : str, optional
            The backbone as it is named here, where its weights are a file: ``timm:MODEL=FILE``.
        method : str, optional
            Class of a method from outside, ``FILE.py:CLASS`` say; its code is run.

        Raises
        ------
        ModelError
            If it cannot be had, or is not whole; see `benchmarks.models.folder.load_model`.
        """
        model = load_model(find_model(place, revision), [method] if method else OURS)
        return cls(model, device, backbone)

    def encode(self, items: Items, progress: Progress = silent) -> NDArray[np.uint8]:
        """Hash images or features.

        Parameters
        ----------
        items : paths, images or features
            Paths of image files; Pillow images; `Encoded` ones; uint8 (N, 3, H, W); or the features
            or tokens that the method takes, float (N, ...).
        progress : callable
            Told after each block.

        Returns
        -------
        ndarray, uint8, shape (N, ceil(K / 8))
            Packed codes; for an image of the benchmark, the bits that it gave.

        Raises
        ------
        ModelError
            If the items are none of these, or do not fit the model.
        datasets.errors.DatasetError
            If an image cannot be decoded; the file is named.
        """
        parts = [
            PackedBits.of(self._method.encode(part)).rows for part in self._inputs(items, progress)
        ]
        empty = np.empty((0, -(-self.n_bits // 8)), np.uint8)
        return np.concatenate(parts) if parts else empty

    def scores(self, items: Items, progress: Progress = silent) -> NDArray[np.float32]:
        """Real values before the threshold, float32 (N, K); a bit is set where a score is > 0.

        Parameters and errors are those of `encode`.
        """
        with torch.no_grad():
            parts = [
                self._method.project(some.to(self._device, torch.float32)).cpu().numpy()
                for part in self._inputs(items, progress)
                for some in part.split(ROWS)
            ]
        return np.concatenate(parts) if parts else np.empty((0, self.n_bits), np.float32)

    def features(self, items: Items, progress: Progress = silent) -> NDArray[np.float32]:
        """Return what the method takes of some items, float32 (N, ...); features come as given."""
        parts = [part.float().numpy() for part in self._inputs(items, progress)]
        return np.concatenate(parts) if parts else np.empty((0, self._method.in_dim), np.float32)

    def problems(self, images: Encoded) -> dict[int, str]:
        """Say what is wrong with which of some encoded images, by row; good ones are left out."""
        return EncodedImages(images, self._image_size).problems()

    def _inputs(self, items: Items, progress: Progress) -> Iterator[Tensor]:
        """Yield inputs of the method, float (B, ...): of images a block at a time."""
        if isinstance(items, Encoded):
            source = EncodedImages(items, self._image_size)
            yield from self._extracted([source], len(items), progress)
            return
        if isinstance(items, list | tuple):
            sources = (
                given_images(items[i : i + BLOCK], i, self._image_size)
                for i in range(0, len(items), BLOCK)
            )
            yield from self._extracted(sources, len(items), progress)
            return
        array = _array(items)
        if array.dtype == torch.uint8 and array.ndim == 4 and array.shape[1] == 3:
            yield from self._extracted([MemoryImages(array)], len(array), progress)
            return
        self._require_features(array)
        yield array

    def _require_features(self, array: Tensor) -> None:
        """Raise ModelError unless an array holds what the method takes."""
        kind = self._method.consumes
        ndim = 2 if kind == "features" else 3
        if not array.is_floating_point() or array.ndim != ndim:
            raise ModelError(
                f"Hasher.encode: expected a list of paths, images uint8 (N, 3, H, W) or {kind} "
                f"float with {ndim} axes, got {array.dtype} of shape {tuple(array.shape)}"
            )
        if array.shape[-1] != self._method.in_dim:
            raise ModelError(
                f"Hasher.encode: the model takes {kind} of width {self._method.in_dim}, got "
                f"{array.shape[-1]}; give those of {self.model.config.backbone}"
            )
        for i, part in enumerate(array.split(ROWS)):
            bad = ~part.float().flatten(1).isfinite().all(1)
            if bad.any():
                row = i * ROWS + int(bad.nonzero()[0, 0])
                raise ModelError(
                    f"Hasher.encode: {kind} must be finite, row {row} is not; leave it out"
                )

    @property
    def _image_size(self) -> int:
        size = self.model.config.image_size
        if size is None:
            self.model.network()  # says why
            raise AssertionError
        if not 1 <= size <= _MOST:
            raise ModelError(
                f"model {self.model.config.method}: images are decoded to 1..{_MOST} pixels, its "
                f"config says {size}; export the model again"
            )
        return size

    def _extracted(
        self, sources: Iterable[ImageSource], n: int, progress: Progress
    ) -> Iterator[Tensor]:
        """Yield what the backbone gives of images, block by block."""
        if self._network is None:
            self._network = self.model.network(self._backbone).to(self._device)
        network, done = self._network, 0
        read = self._trained_blocks if self.model.weights else self._frozen_blocks
        for source in filter(len, sources):
            seen = source if network.resize == "stretch" else source.undistorted()
            for block in read(network, seen):
                done += len(block)
                progress("images hashed", done, n)
                yield block

    def _frozen_blocks(self, network: Backbone, images: ImageSource) -> Iterator[Tensor]:
        """Yield features as the benchmark keeps them: of the quickest way, in float16."""
        if self._extractor is None:
            folder = user_cache_path("hashbench") / "networks"
            quick = quickest(network, self._device, folder, unheard)
            self._extractor = Extractor(quick, (self._method.consumes,), self._device)
        views = whole_images(images, network.square)
        for (block,) in extract_blocks(views, self._extractor, BLOCK, 0):
            yield torch.from_numpy(block).float()

    @torch.no_grad()
    def _trained_blocks(self, network: Backbone, images: ImageSource) -> Iterator[Tensor]:
        """Yield features of a backbone that was trained too, which are never stored."""
        extract = getattr(network, self._method.consumes)
        for rows in torch.arange(len(images)).split(IMAGES_PER_PASS):
            with autocast(self._device):
                yield extract(network.square(images.read(rows).to(self._device))).float().cpu()


def to_faiss(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give packed codes, uint8 (N, B), the bit order of faiss: the first bit is the lowest.

    Examples
    --------
    >>> to_faiss(np.array([[0b10000000]], np.uint8))
    array([[1]], dtype=uint8)
    """
    return np.packbits(np.unpackbits(codes, axis=1), axis=1, bitorder="little")


def _array(items: Any) -> Tensor:
    if isinstance(items, Tensor):
        return items.detach().cpu()
    try:
        return torch.as_tensor(np.asarray(items))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            "Hasher.encode: expected a list of paths or of images, or an array of numbers, got "
            f"{type(items).__name__}"
        ) from error
