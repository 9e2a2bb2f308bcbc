"""Hash new images, or their features, with a model that was trained before."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

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
from benchmarks.models.folder import Model, ModelError, load_model
from benchmarks.training.training_sets import IMAGES_PER_PASS
from datasets.files.images import Encoded, EncodedImages, FileItems
from datasets.image_source import ImageSource, MemoryImages
from datasets.progress import Progress, silent

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCK = 512
"""Images that are decoded and passed on at a time."""

_PNG_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16")

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
    ) -> Self:
        """Read a model.

        Parameters
        ----------
        place : str or Path
            Folder of a model, or the name of a repository of the Hugging Face hub.
        revision : str, optional
            Commit of that repository, 40 hexadecimal digits: what is loaded can then not change.
        device : "auto", "cpu", "cuda" or "cuda:i"
        backbone : str, optional
            The backbone as it is named here, where its weights are a file: ``timm:MODEL=FILE``.

        Raises
        ------
        ModelError
            If it cannot be had, or is not whole; see `benchmarks.models.folder.load_model`.
        """
        folder = Path(place)
        if not folder.is_dir():
            folder = _from_hub(str(place), revision)
        return cls(load_model(folder), device, backbone)

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
                self._method.project(part.to(self._device)).cpu().numpy()
                for part in self._inputs(items, progress)
            ]
        return np.concatenate(parts) if parts else np.empty((0, self.n_bits), np.float32)

    def features(self, items: Items, progress: Progress = silent) -> NDArray[np.float32]:
        """Return what the method takes of some items, float32 (N, ...); features come as given."""
        parts = [part.numpy() for part in self._inputs(items, progress)]
        return np.concatenate(parts) if parts else np.empty((0, self._method.in_dim), np.float32)

    def problems(self, images: Encoded) -> dict[int, str]:
        """Say what is wrong with which of some encoded images, by row; good ones are left out."""
        return EncodedImages(images, self._image_size).problems()

    def _inputs(self, items: Items, progress: Progress) -> Iterator[Tensor]:
        """Yield inputs of the method, float32 (B, ...), a block at a time."""
        if isinstance(items, Encoded):
            source = EncodedImages(items, self._image_size)
            yield from self._extracted([source], len(items), progress)
            return
        if isinstance(items, list | tuple):
            sources = (_decoded(part, self._image_size) for part in _in_blocks(items))
            yield from self._extracted(sources, len(items), progress)
            return
        array = torch.as_tensor(np.asarray(items))
        if array.dtype == torch.uint8 and array.ndim == 4 and array.shape[1] == 3:
            yield from self._extracted([MemoryImages(array)], len(array), progress)
            return
        ndim = 2 if self._method.consumes == "features" else 3
        if not array.is_floating_point() or array.ndim != ndim:
            raise ModelError(
                f"Hasher.encode: expected paths, images uint8 (N, 3, H, W) or "
                f"{self._method.consumes} float with {ndim} axes, got {array.dtype} of shape "
                f"{tuple(array.shape)}"
            )
        if array.shape[-1] != self._method.in_dim:
            raise ModelError(
                f"Hasher.encode: the model takes {self._method.consumes} of width "
                f"{self._method.in_dim}, got {array.shape[-1]}; give those of "
                f"{self.model.config.backbone}"
            )
        yield array.float()

    @property
    def _image_size(self) -> int:
        size = self.model.config.image_size
        if size is None:
            self.model.network()  # says why
            raise AssertionError
        return size

    def _extracted(
        self, sources: Iterable[ImageSource], n: int, progress: Progress
    ) -> Iterator[Tensor]:
        """Yield what the backbone gives of images, block by block."""
        if self._network is None:
            self._network = self.model.network(self._backbone).to(self._device)
        network, done = self._network, 0
        read = self._trained_blocks if self.model.weights else self._frozen_blocks
        for source in sources:
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


class _Bytes(Encoded):
    """Encoded images in memory."""

    kind = "memory"

    def __init__(self, images: Sequence[bytes]) -> None:
        self._images = list(images)
        self.fingerprints = [str(i) for i in range(len(self._images))]

    def __len__(self) -> int:
        return len(self._images)

    def items(self, start: int = 0) -> Iterator[tuple[str, bytes]]:
        """Yield images from row `start` on."""
        for row in range(start, len(self._images)):
            yield f"image {row}", self._images[row]

    def subset(self, rows: Tensor) -> _Bytes:
        """Keep some images."""
        return _Bytes([self._images[row] for row in rows.tolist()])


def _in_blocks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), BLOCK):
        yield items[start : start + BLOCK]


def _decoded(items: Sequence[str | Path | Image], size: int) -> EncodedImages:
    """Images of files or of Pillow, decoded as the benchmark does."""
    paths = [Path(item) for item in items if isinstance(item, str | Path)]
    if len(paths) == len(items):
        return EncodedImages(FileItems(Path("/"), [str(path.absolute()) for path in paths]), size)
    images = [item for item in items if not isinstance(item, str | Path) and hasattr(item, "save")]
    if len(images) < len(items):
        kinds = sorted({type(item).__name__ for item in items})
        raise ModelError(
            f"Hasher.encode: expected paths or Pillow images, got {' and '.join(kinds)}"
        )
    files = [io.BytesIO() for _ in images]
    for image, file in zip(images, files, strict=True):
        whole = image if image.mode in _PNG_MODES else image.convert("RGB")
        whole.save(file, "PNG", exif=image.getexif())  # which says how it is turned
    return EncodedImages(_Bytes([file.getvalue() for file in files]), size)


def _from_hub(name: str, revision: str | None) -> Path:
    """Fetch a model from the Hugging Face hub at one commit."""
    if name.count("/") != 1 or revision is None:
        raise ModelError(
            f"model {name}: no such folder; a repository of the hub is given as NAME/NAME with "
            "revision=COMMIT"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"model {name}: the hub does not give it at {revision} ({type(error).__name__})"
        ) from error
