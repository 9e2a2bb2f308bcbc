"""Separable blobs: 600 colour images of 8 x 8 pixels in 5 classes, made here, for tests.

An image shows a bright blob whose place and colour depend on its class, a second blob that does
not, and noise. Two captions tell of the first blob, one of its place and one of its colour, and a
tree joins the classes by the side they are on. Classes overlap, so better codes score better, and
everything sensible is well above chance, which is 0.2. All arithmetic is on integers, so the images
are the same on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from datasets.contents import Contents, LoadOptions
from datasets.image_source import MemoryImages
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_
from datasets.sources.class_tree import lcs_similarity, nested_tree

N_IMAGES = 600
SIZE = 8  # pixels
_KEY = 0x626C6F62
_UNIT = 16  # places are in sixteenths of a pixel
# Of each class: row and column of its blob in sixteenths of a pixel, red, green, blue in 0..255.
_CLASSES = np.array(
    [
        [24, 32, 210, 60, 60],
        [24, 96, 60, 190, 70],
        [104, 32, 60, 90, 210],
        [104, 96, 190, 170, 50],
        [64, 64, 180, 60, 180],
    ]
)
_NAMES = ("red", "green", "blue", "yellow", "violet")
_PLACES = ("top left", "top right", "bottom left", "bottom right", "middle")
_TREE: dict[str, object] = {
    "left": {"red": {}, "blue": {}},
    "right": {"green": {}, "yellow": {}},
    "middle": {"violet": {}},
}
_PLACE_JITTER = 28  # sixteenths of a pixel, either way
_COLOUR_JITTER = 80  # of 255, either way
_RADIUS = 52  # sixteenths of a pixel
_NOISE = 80  # of 255, either way, triangular


def load_synthetic(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Make the blobs.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["synthetic"]``.
    options : LoadOptions
        Not used: nothing is read.

    Returns
    -------
    Contents
        600 rows, 120 of each class.
    """
    classes = np.arange(N_IMAGES) % len(_CLASSES)
    images = torch.from_numpy(_render(classes))
    labels = Labels.one_each(torch.from_numpy(classes), len(_CLASSES))
    captions = [
        (f"a blob at the {_PLACES[c]} of the picture", f"something {_NAMES[c]} on grey")
        for c in classes
    ]
    return Contents(
        labels,
        MemoryImages(images),
        classes=_NAMES,
        hierarchy=lcs_similarity(nested_tree(_TREE), _NAMES),
        captions=captions,
    )


def _render(classes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Draw one image for each class number, uint8 (N, 3, H, W)."""
    n, n_noise = len(classes), 3 * SIZE * SIZE
    words = np.random.Philox(key=_KEY).random_raw(n * (10 + 2 * n_noise)).reshape(n, -1)
    draws = (words >> np.uint64(32)).astype(np.int64)  # uniform in 0 .. 2**32 - 1

    def within(columns: slice, bound: int) -> np.ndarray[Any, Any]:
        """Uniform integers in -bound..bound."""
        return draws[:, columns] * (2 * bound + 1) // 2**32 - bound

    own = _CLASSES[classes]
    centre = SIZE * _UNIT // 2
    canvas = np.full((n, 3, SIZE, SIZE), 60, np.int64)
    canvas += _blob(
        own[:, :2] + within(slice(0, 2), _PLACE_JITTER),
        own[:, 2:] + within(slice(2, 5), _COLOUR_JITTER),
    )
    canvas += _blob(centre + within(slice(5, 7), centre), 70 + within(slice(7, 10), 70))
    noise = within(slice(10, 10 + n_noise), _NOISE) + within(slice(10 + n_noise, None), _NOISE)
    canvas += noise.reshape(canvas.shape) // 2
    return canvas.clip(0, 255).astype(np.uint8)


def _blob(place: np.ndarray[Any, Any], colour: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Paraboloids of light, int64 (N, 3, H, W), from places (N, 2) and colours (N, 3)."""
    pixel = np.arange(SIZE) * _UNIT + _UNIT // 2
    d2 = (pixel[:, None] - place[:, 0, None, None]) ** 2 + (
        pixel[None, :] - place[:, 1, None, None]
    ) ** 2  # (N, H, W)
    height = (_RADIUS**2 - d2).clip(min=0)
    light: np.ndarray[Any, Any] = colour[:, :, None, None] * height[:, None] // _RADIUS**2
    return light
