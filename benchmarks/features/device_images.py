"""Copy images to a GPU, and features back from it, while it computes; keep images there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.image_source import ImageSource
from datasets.progress import Progress, silent

SHARE = 0.25
"""Share of a GPU's free memory that the images of a data set may take."""


class DeviceImages(ImageSource):
    """Images that stay on a device from the first time that they are read, if all fit.

    Parameters
    ----------
    images : ImageSource
        Where they come from.
    device : torch.device
        Where reads give them.
    """

    def __init__(self, images: ImageSource, device: torch.device) -> None:
        self.digest, self.size = images.digest, images.size
        self._images, self._device = images, device
        self._there = torch.zeros(len(images), dtype=torch.bool)
        self._kept: Tensor | None = None
        self._all_fit: bool | None = None
        self._written: torch.cuda.Event | None = None

    def __len__(self) -> int:
        return len(self._images)

    def read(self, rows: Tensor) -> Tensor:
        """Read some images, see `ImageSource.read`; they are on the device."""
        if self._all_fit is None:
            self._reserve(self._images.read(rows[:1]))
        if self._kept is None:
            return _to_device(self._images.read(rows), self._device)
        return self._read_kept(rows, self._kept)

    def subset(self, rows: Tensor) -> DeviceImages:
        """Keep some rows."""
        return DeviceImages(self._images.subset(rows), self._device)

    def prepare(self, folder: Path, progress: Progress) -> None:
        """Get ready to be read, see `ImageSource.prepare`."""
        self._images.prepare(folder, progress)

    def name(self, row: int) -> str:
        """Name of one image, for messages."""
        return self._images.name(row)

    def absent(self) -> Tensor:
        """Rows that have no image, int64 (n,)."""
        return self._images.absent()

    def problems(self, progress: Progress = silent) -> dict[int, str]:
        """Decode every image and say what is wrong with which row."""
        return self._images.problems(progress)

    def _reserve(self, one: Tensor) -> None:
        self._all_fit = one.numel() * len(self) <= SHARE * free_memory(self._device)
        if self._all_fit:
            shape = (len(self), *one.shape[1:])
            self._kept = torch.empty(shape, dtype=torch.uint8, device=self._device)

    def _read_kept(self, rows: Tensor, kept: Tensor) -> Tensor:
        stream = torch.cuda.current_stream(kept.device) if kept.is_cuda else None
        if stream is not None:  # another one may have written
            kept.record_stream(stream)
            if self._written is not None:
                stream.wait_event(self._written)
        new = rows[~self._there[rows]]
        if len(new):
            kept[new.to(kept.device)] = _to_device(self._images.read(new), kept.device)
            self._there[new] = True
            if stream is not None:
                self._written = stream.record_event()
        return kept[rows.to(kept.device)]


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that nothing uses, this process's reserve included."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def read_ahead(
    read: Callable[[Tensor], Tensor], parts: Sequence[Tensor], device: torch.device
) -> Iterator[Tensor]:
    """Read images onto a device part by part, each part while the one before is worked on.

    Parameters
    ----------
    read : callable
        From rows, int64 (B,), to their pixels; called on another thread.
    parts : sequence of Tensor
        The rows.
    device : torch.device

    Yields
    ------
    Tensor, uint8, shape (B, 3, H, W)
    """
    with ThreadPoolExecutor(1, "read ahead") as reader:
        ahead = reader.submit(_load, read, parts[0], device)
        for part in parts[1:]:
            ready, ahead = ahead.result(), reader.submit(_load, read, part, device)
            yield _arrived(ready)
        yield _arrived(ahead.result())


def to_host(found: Tensor) -> Callable[[], NDArray[np.float16]]:
    """Begin to copy features, float16, to the host; the function returned waits for them."""
    if not found.is_cuda:
        return found.numpy
    host = found.to("cpu", non_blocking=True)  # into pinned memory
    done = torch.cuda.current_stream(found.device).record_event()

    def take() -> NDArray[np.float16]:
        done.synchronize()
        values: NDArray[np.float16] = host.numpy()
        return values

    return take


_Loaded = tuple[Tensor, torch.cuda.Event | None]
"""Pixels on a device, and the moment from which they are there."""


def _load(read: Callable[[Tensor], Tensor], rows: Tensor, device: torch.device) -> _Loaded:
    if device.type != "cuda":
        return read(rows), None
    with torch.cuda.stream(_copy_stream(device)):
        return _to_device(read(rows), device), torch.cuda.current_stream(device).record_event()


def _arrived(loaded: _Loaded) -> Tensor:
    pixels, there = loaded
    if there is not None:
        stream = torch.cuda.current_stream(pixels.device)
        stream.wait_event(there)
        pixels.record_stream(stream)
    return pixels


def _to_device(pixels: Tensor, device: torch.device) -> Tensor:
    """Copy through pinned memory, which the host need not wait for."""
    if device.type != "cuda" or pixels.is_cuda:
        return pixels.to(device)
    return pixels.pin_memory().to(device, non_blocking=True)


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    """Its copies run beside the kernels of the stream that computes."""
    return torch.cuda.Stream(device)
