"""Images by row number, wherever they lie: in memory, on disk, or still encoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from torch import Tensor

from datasets.digests import first_equal_rows, tensor_digest
from datasets.errors import DatasetError
from datasets.progress import Progress, silent


class ImageSource(ABC):
    """Images by row number, wherever they lie: in memory, on disk, or still encoded."""

    digest: str  # 64 hexadecimal digits; identifies the images, and costs no decoding
    size: int  # height and width of an image, in pixels

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def read(self, rows: Tensor) -> Tensor:
        """Read some images.

        Parameters
        ----------
        rows : Tensor, int64, shape (B,)
            Row numbers, in any order.

        Returns
        -------
        Tensor, uint8, shape (B, 3, H, W)
            The images in the order of `rows`.

        Raises
        ------
        DatasetError
            If an image cannot be decoded; the message names its file and row.
        """

    @abstractmethod
    def subset(self, rows: Tensor) -> ImageSource:
        """Keep some rows, int64 (n,), ascending."""

    def undistorted(self) -> ImageSource:
        """Return the same images without any that was stretched to a square."""
        return self

    def prepare(self, folder: Path, progress: Progress) -> None:  # noqa: B027 - nothing to do
        """Get ready to be read, keeping in `folder` what takes long to make."""

    def name(self, row: int) -> str:
        """Name of one image, for messages."""
        return f"row {row}"

    def absent(self) -> Tensor:
        """Rows that have no image, int64 (n,); found without decoding."""
        return torch.empty(0, dtype=torch.int64)

    def originals(self) -> Tensor:
        """Row of the first image that is the same, byte by byte, of every row; int64 (N,)."""
        return torch.arange(len(self))

    def problems(self, progress: Progress = silent) -> dict[int, str]:
        """Decode every image and say what is wrong with which row."""
        return {}


class MemoryImages(ImageSource):
    """Images held in one tensor.

    Parameters
    ----------
    images : Tensor, uint8, shape (N, 3, H, W)
        All images; kept, not copied.

    Examples
    --------
    >>> source = MemoryImages(torch.zeros(5, 3, 8, 8, dtype=torch.uint8))
    >>> len(source), source.read(torch.tensor([4, 0])).shape
    (5, torch.Size([2, 3, 8, 8]))
    """

    def __init__(self, images: Tensor) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise DatasetError(
                f"MemoryImages: expected uint8 (N, 3, H, W), got {images.dtype} "
                f"{tuple(images.shape)}; scale to 0..255 and repeat a grey channel three times"
            )
        self._images = images
        self.size = images.shape[-1]
        self.digest = tensor_digest(images)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, rows: Tensor) -> Tensor:
        """Read some images, see `ImageSource.read`."""
        return self._images.index_select(0, rows)

    def originals(self) -> Tensor:
        """Row of the first image of the same pixels, int64 (N,)."""
        return first_equal_rows(self._images)

    def subset(self, rows: Tensor) -> MemoryImages:
        """Keep some rows."""
        return MemoryImages(self.read(rows))
