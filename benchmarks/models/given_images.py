"""Images that a caller holds, as paths or as images of Pillow, decoded as the benchmark does."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from benchmarks.models.config import ModelError
from datasets.errors import one_line
from datasets.files.images import Encoded, EncodedImages, FileItems

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16")
_OPTIONS: dict[str, dict[str, Any]] = {"PNG": {"compress_level": 0}, "TIFF": {}}


def given_images(items: Sequence[str | Path | Image], first: int, size: int) -> EncodedImages:
    """Take paths or images of Pillow; `first` is the number of the first one, for messages.

    Raises
    ------
    ModelError
        If they are something else, or Pillow cannot read one that it holds.
    """
    paths = [Path(item) for item in items if isinstance(item, str | Path)]
    if len(paths) == len(items):
        return EncodedImages(FileItems(Path("/"), [str(path.absolute()) for path in paths]), size)
    images = [item for item in items if not isinstance(item, str | Path) and hasattr(item, "save")]
    if len(images) < len(items):
        kinds = sorted({type(item).__name__ for item in items})
        raise ModelError(
            f"Hasher.encode: expected paths or Pillow images, got {' and '.join(kinds)}"
        )
    named = [(f"image {row}", _file(image, row)) for row, image in enumerate(images, first)]
    return EncodedImages(_Bytes(named), size)


class _Bytes(Encoded):
    """Encoded images in memory, with their names."""

    kind = "memory"

    def __init__(self, named: Sequence[tuple[str, bytes]]) -> None:
        self._named = named
        self.fingerprints = [name for name, _ in named]

    def __len__(self) -> int:
        return len(self._named)

    def items(self, start: int = 0) -> Iterator[tuple[str, bytes]]:
        """Yield images from row `start` on."""
        yield from self._named[start:]

    def subset(self, rows: Tensor) -> _Bytes:
        """Keep some images."""
        return _Bytes([self._named[row] for row in rows.tolist()])


def _file(image: Image, row: int) -> bytes:
    """Write an image of Pillow as a file that holds the same, notes on how it is turned too."""
    file = io.BytesIO()
    form = "PNG" if image.mode in _PNG_MODES else "TIFF"
    try:
        image.save(file, form, exif=image.getexif(), **_OPTIONS[form])
    except Exception as error:  # Pillow's decoders raise whatever their format's code raises
        raise ModelError(
            f"Hasher.encode: image {row} of mode {image.mode} cannot be read ({one_line(error)}); "
            "convert it to RGB, or leave it out"
        ) from error
    return file.getvalue()
