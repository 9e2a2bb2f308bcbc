"""From images to features, block by block: what a backbone sees of them, and how a pass runs."""

from __future__ import annotations

import inspect
import math
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import benchmarks.features.extractor
import datasets.augment
import datasets.resample
from benchmarks.features.device_images import read_ahead, to_host
from benchmarks.features.extractor import Extractor
from datasets.augment import Augmentation, augment, draws
from datasets.digests import code_digest
from datasets.image_source import ImageSource


@dataclass(frozen=True)
class Views:
    """What a backbone is to see of some images.

    Attributes
    ----------
    images : ImageSource
    rows : Tensor, int64, shape (N,)
        The images among them.
    shape : tuple of int
        Of the views of an image: ``()`` for one, ``(V,)`` for several.
    draw : callable
        From pixels, uint8 (B, 3, H, W), and the numbers of views, int64 (B,) on the CPU, to what
        the backbone sees, float32 (B, 3, S, S). View v of the i-th row has the number ``i V + v``.
    """

    images: ImageSource
    rows: Tensor
    shape: tuple[int, ...]
    draw: Callable[[Tensor, Tensor], Tensor]

    def __len__(self) -> int:
        """Count the images, N."""
        return len(self.rows)

    @property
    def per_image(self) -> int:
        """Views of an image, V."""
        return math.prod(self.shape)


def whole_images(images: ImageSource, square: Callable[[Tensor], Tensor]) -> Views:
    """Every image as a whole, brought to the input of a backbone by its `Backbone.square`."""

    def draw(pixels: Tensor, numbers: Tensor) -> Tensor:
        return square(pixels)

    return Views(images, torch.arange(len(images)), (), draw)


def augmented(
    images: ImageSource,
    rows: Tensor,
    recipe: Augmentation,
    n_views: int,
    seed: int,
    size: int | None,
) -> Views:
    """Augmented views of some images, int64 (N,), each a function of seed, place in `rows` and v.

    They are squares of `size` pixels; None keeps the size of the images.
    """
    uniforms = draws(len(rows) * n_views, torch.Generator().manual_seed(seed))

    def draw(pixels: Tensor, numbers: Tensor) -> Tensor:
        return augment(pixels, uniforms[numbers], recipe, size or pixels.shape[-1])

    return Views(images, rows, (n_views,), draw)


@cache
def extraction_digest() -> str:
    """SHA-256 of the code between images and their features, the backbone's aside."""
    before = (datasets.augment, datasets.resample)
    modules = (*before, benchmarks.features.extractor, sys.modules[__name__])
    return code_digest(*map(inspect.getsource, modules))


def extract_blocks(
    views: Views, extractor: Extractor, block: int, start: int
) -> Iterator[list[NDArray[np.float16]]]:
    """Extract views from image `start` on, `block` images at a time.

    Yields
    ------
    list of ndarray, float16, shape (block, *views.shape, ...)
        One for each of its kinds.
    """
    first = start
    computed: deque[list[Callable[[], NDArray[np.float16]]]] = deque()
    # A GPU is given the next block before the last one is taken from it and written to disk.
    in_flight = 1 if extractor.device.type == "cuda" else 0
    for pixels in read_ahead(views.images.read, views.rows[start:].split(block), extractor.device):
        found = _extract(views, extractor, first, pixels)
        computed.append([to_host(values.half()) for values in found])
        first += len(pixels)
        if len(computed) > in_flight:
            yield [take() for take in computed.popleft()]
    for takes in computed:
        yield [take() for take in takes]


def _extract(views: Views, extractor: Extractor, first: int, pixels: Tensor) -> list[Tensor]:
    """Each kind for the views of a block of images, float32, shape (B, *views.shape, ...)."""
    n, per_image = len(pixels), views.per_image
    numbers = torch.arange(first * per_image, (first + n) * per_image)
    owners = torch.arange(n, device=pixels.device).repeat_interleave(per_image)

    def in_batches(size: int) -> list[Tensor]:
        parts = zip(owners.split(size), numbers.split(size), strict=True)
        found = [extractor(views.draw(pixels[own], which)) for own, which in parts]
        return [torch.cat(batches) for batches in zip(*found, strict=True)]

    with torch.inference_mode():
        return [kind.unflatten(0, (n, *views.shape)) for kind in extractor.halving(in_batches)]
