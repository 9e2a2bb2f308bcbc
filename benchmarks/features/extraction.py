"""From images to features, block by block: what a pass over images sees, and how it runs."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.features.device_images import read_ahead, to_host
from benchmarks.features.extractor import Extractor
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
        computed.append([to_host(found) for found in _extract(views, extractor, first, pixels)])
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
