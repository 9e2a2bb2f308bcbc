"""Scaling and cropping: one linear map along each axis, the same for the test and the training.

Enlarging is bilinear, unless another filter is asked for. Reducing averages over the old pixels
that fall into a new one (a triangle filter, as PIL's bilinear filter), so that nothing is skipped.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Filter = Literal["bilinear", "bicubic"]
"""How new pixels are made of old ones, as PIL's filters of these names do."""


def resize(images: Tensor, size: int) -> Tensor:
    """Scale to a square: bilinear, averaging where pixels are dropped (the test transform).

    Parameters
    ----------
    images : Tensor, uint8, shape (B, 3, H, W)
        Images on any device.
    size : int
        Height and width of the result, in pixels; a non-square image is stretched.

    Returns
    -------
    Tensor, float32, shape (B, 3, size, size)
        In [0, 1].

    Examples
    --------
    >>> resize(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8), 16).max()
    tensor(1.)
    """
    scaled = images.float() / 255
    if scaled.shape[-2:] == (size, size):
        return scaled
    scaled = torch.nn.functional.interpolate(
        scaled, (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return scaled.clamp_(0, 1)


def centre_crop(images: Tensor, size: int, share: float = 1.0, by: Filter = "bilinear") -> Tensor:
    """Scale the short side, and cut a square out of the centre: nothing is distorted.

    Sides and places are rounded as torchvision's ``Resize`` and ``CenterCrop`` round them, which
    timm uses with ``floor(size / share)`` pixels for the short side.

    Parameters
    ----------
    images : Tensor, uint8, shape (B, 3, H, W)
        Images on any device.
    size : int
        Height and width of the result, in pixels.
    share : float
        Of the scaled short side, what is kept, in (0, 1].
    by : "bilinear" or "bicubic"

    Returns
    -------
    Tensor, float32, shape (B, 3, size, size)
        In [0, 1].

    Examples
    --------
    >>> images = torch.zeros(1, 3, 8, 12, dtype=torch.uint8)
    >>> images[..., 2:10] = 255
    >>> centre_crop(images, 8).min()
    tensor(1.)
    """
    height, width = images.shape[-2:]
    short, least = math.floor(size / share), min(height, width)
    sides = short * height // least, short * width // least
    scaled = images.float() / 255
    if sides != (height, width):
        scaled = torch.nn.functional.interpolate(
            scaled, sides, mode=by, align_corners=False, antialias=True
        )
    top, left = (round((side - size) / 2) for side in sides)
    return scaled[..., top : top + size, left : left + size].clamp(0, 1)


def crop(
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    flip: Tensor,
    size: int,
) -> Tensor:
    """Cut a box of its own out of each image, mirror it or not, and scale it to a square.

    Parameters
    ----------
    images : Tensor, uint8, shape (B, 3, H, W)
        Images on any device.
    top, left, height, width : Tensor, int64, shape (B,)
        Boxes inside the images, in pixels.
    flip : Tensor, bool, shape (B,)
        Which boxes to mirror left and right.
    size : int
        Height and width of the result, in pixels.

    Returns
    -------
    Tensor, float32, shape (B, 3, size, size)
        In [0, 1], on the device of the images; of a whole image, what `resize` returns.
    """
    down = _weights(top, height, images.shape[-2], size, torch.zeros_like(flip), images.device)
    across = _weights(left, width, images.shape[-1], size, flip, images.device)
    scaled = images.float() / 255
    return down[:, None] @ scaled @ across[:, None].mT


def _weights(
    start: Tensor, length: Tensor, n: int, size: int, flip: Tensor, device: torch.device
) -> Tensor:
    """Weights with which n old pixels make up `size` new ones, float32 (B, size, n).

    A triangle around the place of the new pixel, one old pixel wide to either side, or one new
    pixel where that is more; cut off at the edges of the crop.
    """
    first, length, mirrored = (
        v.to(device, non_blocking=True)[:, None, None] for v in (start, length, flip)
    )  # (B, 1, 1)
    new = torch.arange(size, device=device)[None, :, None]
    old = torch.arange(n, device=device)[None, None, :]
    step = length / size  # old pixels a new pixel covers
    place = first + (torch.where(mirrored, size - 1 - new, new) + 0.5) * step
    weight = (1 - (old + 0.5 - place).abs() / step.clamp(min=1)).clamp(min=0)
    weight = weight * ((old >= first) & (old < first + length))
    return weight / weight.sum(dim=2, keepdim=True)
