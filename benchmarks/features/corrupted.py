"""Images made worse in the manner of ImageNet-C: noise, blur, weather and digital artefacts.

Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019: one corruption of each of their four families, at severities 1, 3 and 5.
Fog is a plasma fractal and JPEG is the codec's own arithmetic, both as kornia computes them.

Departures. Blur is a Gaussian one, whose width follows the side of images above 32 pixels, so that
they lose as much as small ones. Every image draws its own noise and fog from a seed made of its
row, so that neither the batch nor the order matters.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.digests import code_digest
from datasets.image_source import ImageSource
from datasets.progress import Progress

SEVERITIES = (1, 3, 5)
_NOISE = {1: 0.08, 3: 0.18, 5: 0.38}  # deviation of images in [0, 1]
_BLUR = {1: 0.4, 3: 0.7, 5: 1.0}  # deviation in pixels of images of 32 or fewer
_FOG = {1: (0.2, 3.0), 3: (0.75, 2.5), 5: (1.5, 1.75)}  # strength, and how it fades at small scales
_JPEG = {1: 25.0, 3: 15.0, 5: 7.0}  # quality of 100


def corrupt(images: Tensor, rows: Tensor, kind: str, severity: int) -> Tensor:
    """Make images worse.

    Parameters
    ----------
    images : Tensor, uint8, shape (B, 3, H, W)
    rows : Tensor, int64, shape (B,)
        What each is called; the same row is made worse in the same way.
    kind : str
        One of `KINDS`.
    severity : int
        One of `SEVERITIES`.

    Returns
    -------
    Tensor, uint8, shape (B, 3, H, W)
    """
    number = 10 * list(KINDS).index(kind) + severity
    seeds = (rows * 100 + number).tolist()
    worse = KINDS[kind](images.float() / 255, severity, seeds)
    return (worse.clamp(0, 1) * 255).round().byte()


def _noise(images: Tensor, severity: int, seeds: list[int]) -> Tensor:
    drawn = [torch.randn(images.shape[1:], generator=_generator(seed)) for seed in seeds]
    return images + _NOISE[severity] * torch.stack(drawn)


def _blur(images: Tensor, severity: int, seeds: list[int]) -> Tensor:
    from kornia.filters import gaussian_blur2d

    side = min(images.shape[-2:])
    sigma = _BLUR[severity] * max(1.0, side / 32)
    size = min(2 * int(4 * sigma + 0.5) + 1, 2 * side - 1)
    worse: Tensor = gaussian_blur2d(images, size, (sigma, sigma))
    return worse


def _fog(images: Tensor, severity: int, seeds: list[int]) -> Tensor:
    """Lay a plasma fractal over the images, and keep the brightest pixel as bright as it was."""
    strength, fading = _FOG[severity]
    top = images.amax((1, 2, 3), keepdim=True)
    plasma = torch.stack([_plasma(images.shape[-2:], 1 / fading, seed) for seed in seeds])
    return (images + strength * plasma) * top / (top + strength)


def _plasma(size: torch.Size, roughness: float, seed: int) -> Tensor:
    """Draw a fractal, float32 in [0, 1], shape (1, H, W)."""
    from kornia.contrib import diamond_square

    generator = _generator(seed)

    def rand(*shape: Any, **how: Any) -> Tensor:
        drawn: Tensor = torch.rand(*shape, generator=generator, **how)
        return drawn

    shape = (1, 1, *size)
    drawn: Tensor = diamond_square(shape, roughness, random_fn=rand, normalize_range=(0.0, 1.0))
    return drawn[0]


def _jpeg(images: Tensor, severity: int, seeds: list[int]) -> Tensor:
    from kornia.enhance import jpeg_codec_differentiable

    quality = torch.full((len(images),), _JPEG[severity])
    worse: Tensor = jpeg_codec_differentiable(images, quality)
    return worse


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


KINDS: dict[str, Callable[[Tensor, int, list[int]], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "weather": _fog,
    "digital": _jpeg,
}


@cache
def corruption_digest() -> str:
    """SHA-256 over this code and the version of what it computes with."""
    import kornia

    code = code_digest(inspect.getsource(sys.modules[__name__]))
    return hashlib.sha256(f"{code} {kornia.__version__}".encode()).hexdigest()


class CorruptedImages(ImageSource):
    """Some images of a source, made worse as they are read.

    Parameters
    ----------
    images : ImageSource
    rows : Tensor, int64, shape (N,)
        Which of them.
    kind, severity : str, int
        As `corrupt` takes them.
    """

    def __init__(self, images: ImageSource, rows: Tensor, kind: str, severity: int) -> None:
        self._images, self._rows = images, rows
        self._kind, self._severity = kind, severity
        self.size = images.size
        which = hashlib.sha256(rows.numpy().tobytes()).hexdigest()
        text = f"{images.digest} {which} {kind} {severity} {corruption_digest()}"
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, rows: Tensor) -> Tensor:
        """Read some images and make them worse, see `ImageSource.read`."""
        own = self._rows[rows]
        return corrupt(self._images.read(own), own, self._kind, self._severity)

    def subset(self, rows: Tensor) -> CorruptedImages:
        """Keep some rows."""
        return CorruptedImages(self._images, self._rows[rows], self._kind, self._severity)

    def prepare(self, folder: Path, progress: Progress) -> None:
        """Get ready to be read, see `ImageSource.prepare`."""
        self._images.prepare(folder, progress)

    def name(self, row: int) -> str:
        """Name of one image, for messages."""
        return self._images.name(int(self._rows[row]))
