"""One encoded image to pixels: uint8 RGB, as a viewer shows it on a white page.

docs/data.md says what is done to which image.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

Item = tuple[str, bytes | Path | None]
"""Name of an image, for messages, and its bytes or the file that holds them."""

RULES = "2"
"""Number of the rules by which pixels are made, part of the digest of every encoded image.

It is raised when an image comes out with other values than before.
"""
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA")
"""Formats that are read, by Pillow's names, whatever the file is called.

Pillow knows more, and starts other programs for some of them.
"""
_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF


# Of what it reads in spite of all, Pillow warns. Once for good: a filter that is set and taken back
# around each image would not be safe beside other threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class _Unreadable(Exception):
    """Why an image is not read, without its name."""


def decode(item: Item, size: int, *, exact: bool, centre: bool = False) -> NDArray[np.uint8]:
    """Decode one image and scale it to a square.

    Parameters
    ----------
    item : (str, bytes or Path or None)
    size : int
        Height and width of the result, in pixels; another image is stretched to it (Pillow's
        bilinear filter, which averages where pixels are dropped).
    exact : bool
        Refuse an image of another size instead.
    centre : bool
        Scale the largest square in the centre, and not the whole image.

    Returns
    -------
    ndarray, uint8, shape (size, size, 3)

    Raises
    ------
    DatasetError
        If it is no image that can be read, or of another size; the message begins with its name.
    """
    from PIL import Image

    name, encoded = item
    try:
        with _opened(encoded) as image:
            pixels = np.asarray(_as_shown(image))
    except _Unreadable as error:
        raise DatasetError(f"{name}: {error}") from error
    if pixels.shape == (size, size, 3):
        return pixels
    if exact:
        raise DatasetError(
            f"{name}: expected an image of {size} x {size} pixels, "
            f"got {pixels.shape[1]} x {pixels.shape[0]}"
        )
    if centre:
        pixels = _central_square(pixels)
    scaled = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(scaled)


def _central_square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut an image, (H, W, 3), to the largest square in its centre."""
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def longer_side(item: Item) -> int | None:
    """Longer side of an image as its first bytes state it, in pixels; None if they do not."""
    try:
        with _opened(item[1]) as image:
            return max(image.size)
    except _Unreadable:
        return None


def decode_all(
    items: Sequence[Item], size: int, *, exact: bool, centre: bool = False
) -> NDArray[np.uint8]:
    """Decode images, uint8 (B, 3, size, size); raises as `decode` does."""
    pixels = np.empty((len(items), 3, size, size), np.uint8)
    for row, item in zip(pixels, items, strict=True):
        row[:] = decode(item, size, exact=exact, centre=centre).transpose(2, 0, 1)
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


@contextmanager
def _opened(encoded: bytes | Path | None) -> Iterator[Image]:
    """Open an image of one of `FORMATS`; whatever is wrong with it is `_Unreadable`."""
    from PIL import Image, UnidentifiedImageError

    if encoded is None:
        raise _Unreadable("has no image bytes")
    try:
        content = encoded.read_bytes() if isinstance(encoded, Path) else encoded
    except (OSError, ValueError) as error:  # the name of a file may be none
        raise _Unreadable(f"cannot be read ({one_line(error)})") from error
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # what this Pillow was built with
    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            yield image
    except (_Unreadable, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise _Unreadable(f"not an image ({', '.join(FORMATS[:-1])} or {FORMATS[-1]})") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise _Unreadable(f"too large, more than {most:,} pixels; scale it down") from error
    # Pillow's decoders raise whatever their format's code raises: OSError, SyntaxError, ...
    except Exception as error:
        raise _Unreadable(f"corrupt image ({one_line(error)})") from error


def _as_shown(image: Image) -> Image:
    """Colour image as a viewer shows it on a white page: upright, and nothing of what is hidden."""
    from PIL import Image as Pillow

    image.load()
    turned = _turned(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = Pillow.fromarray(_grey(image))
    elif _sees_through(image):
        colour = _transparent_colour(image)
        if colour is not None:
            image.info["transparency"] = colour
        rgba = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, "white"), rgba)
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image if turned is None else image.transpose(turned)


def _turned(image: Image) -> Any:
    """How to turn an image so that it stands upright; None if it does, or says nothing clear."""
    from PIL.Image import Transpose

    try:
        orientation: Any = image.getexif().get(_ORIENTATION)
    except Exception:  # a note beside the pixels that cannot be read says nothing about them
        return None
    turns = (
        *(None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM),
        *(Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90),
    )
    return dict(enumerate(turns, start=1)).get(orientation)


def _sees_through(image: Image) -> bool:
    palette = image.palette.mode if image.mode == "P" and image.palette else ""
    layers = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or palette == "RGBA"
    return layers or "transparency" in image.info


def _transparent_colour(image: Image) -> tuple[int, ...] | None:
    """Cut the one transparent colour of an image to the 8 of 16 bits that Pillow keeps."""
    colour = image.info.get("transparency")
    if not isinstance(colour, tuple) or max(colour) <= 255:
        return None
    return tuple(level >> 8 for level in colour)


def _grey(image: Image) -> NDArray[np.uint8]:
    """Grey of up to 16 bits scaled to 8, uint8 (H, W); deeper grey has no white to scale by."""
    tags = getattr(image, "tag_v2", {})
    whole = set(tags.get(_SAMPLE_FORMAT, (1,))) == {1}
    if image.mode == "F" or not whole or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise _Unreadable(
            "grey of 32 bits, signed or of fractions has no known white; save it with 8 or 16 bits"
        )
    white = 2 ** int(tags.get(_BITS, (16,))[0]) - 1
    levels = np.asarray(image).astype(np.int64).clip(0, white)
    hidden = levels == image.info.get("transparency", -1)
    if tags.get(_PHOTOMETRIC) == 0:  # zero is white
        levels = white - levels
    levels[hidden] = white
    scaled: NDArray[np.uint8] = (levels * 255 // white).astype(np.uint8)
    return scaled
