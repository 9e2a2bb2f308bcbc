"""One encoded image to pixels: any format and mode that Pillow reads becomes uint8 RGB."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

Item = tuple[str, bytes | Path | None]
"""Name of an image, for messages, and its bytes or the file that holds them."""


def decode(item: Item, size: int, *, exact: bool) -> NDArray[np.uint8]:
    """Decode one image and scale it to a square.

    Parameters
    ----------
    item : (str, bytes or Path or None)
    size : int
        Height and width of the result, in pixels; another image is stretched to it (Pillow's
        bilinear filter, which averages where pixels are dropped).
    exact : bool
        Refuse an image of another size instead.

    Returns
    -------
    ndarray, uint8, shape (size, size, 3)

    Raises
    ------
    DatasetError
        If it is no image, or of another size; the message begins with its name.
    """
    from PIL import Image, UnidentifiedImageError

    name, encoded = item
    if encoded is None:
        raise DatasetError(f"{name} has no image bytes")
    try:
        content = encoded.read_bytes() if isinstance(encoded, Path) else encoded
        with Image.open(io.BytesIO(content)) as image:
            pixels = _rgb(image)
    # Pillow's decoders raise whatever their format's code raises: OSError, SyntaxError, ...
    except Exception as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else ""
        raise DatasetError(f"{name}: corrupt image ({reason or one_line(error)})") from error
    if pixels.shape == (size, size, 3):
        return pixels
    if exact:
        raise DatasetError(
            f"{name}: expected an image of {size} x {size} pixels, "
            f"got {pixels.shape[1]} x {pixels.shape[0]}"
        )
    scaled = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(scaled)


def decode_all(items: Sequence[Item], size: int, *, exact: bool) -> NDArray[np.uint8]:
    """Decode images, uint8 (B, 3, size, size); raises as `decode` does."""
    pixels = np.empty((len(items), 3, size, size), np.uint8)
    for row, item in zip(pixels, items, strict=True):
        row[:] = decode(item, size, exact=exact).transpose(2, 0, 1)
    return pixels


def problems(items: Sequence[Item], size: int, *, exact: bool) -> list[str | None]:
    """Say of each image what is wrong with it, None where nothing is."""
    found: list[str | None] = []
    for item in items:
        try:
            decode(item, size, exact=exact)
            found.append(None)
        except DatasetError as error:
            found.append(one_line(error))
    return found


def _rgb(image: Image) -> NDArray[Any]:
    """Pixels as uint8 (H, W, 3), whatever the mode; 16 bits are scaled, not clipped."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))
