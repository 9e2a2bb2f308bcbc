"""Colour and blur of images, as kornia computes them to the last bit, without kornia.

Names and order of operations are kornia's (Apache License 2.0, https://github.com/kornia/kornia),
cut down to what the augmentations take: batches of float images in [0, 1], a number for each image.
The tests compare the two, for whatever is stored depends on these bits. Importing kornia takes
seconds in every process, and 30 MB.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue, ITU-R BT.601."""


def adjust_brightness_accumulative(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply images, float32 (B, 3, H, W), by a factor each, (B,), within [0, 1]."""
    return (images * _each(factor)).clamp(0, 1)


def adjust_contrast_with_mean_subtraction(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance of images, float32 (B, 3, H, W), from their mean grey by (B,)."""
    factor = _each(factor)
    mean = rgb_to_grayscale(images).mean((-2, -1), True)
    return (images * factor + mean * (1 - factor)).clamp(0, 1)


def adjust_saturation_with_gray_subtraction(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance of each pixel, float32 (B, 3, H, W), from its grey by (B,)."""
    factor = _each(factor)
    return ((1 - factor) * rgb_to_grayscale(images) + factor * images).clamp(0, 1)


def rgb_to_grayscale(images: Tensor) -> Tensor:
    """Luminance of images, (B, 3, H, W) -> (B, 1, H, W)."""
    red, green, blue = images.unbind(-3)
    grey = red * LUMINANCE[0]
    grey = torch.addcmul(grey, green, torch.full_like(green[:1, :1, :1], LUMINANCE[1]))
    grey = torch.addcmul(grey, blue, torch.full_like(blue[:1, :1, :1], LUMINANCE[2]))
    return grey.unsqueeze(-3)


def gaussian_blur2d(images: Tensor, size: tuple[int, int], sigma: Tensor) -> Tensor:
    """Blur images along each axis; the border is mirrored.

    Parameters
    ----------
    images : Tensor, float32, shape (B, 3, H, W)
    size : tuple of int
        Height and width of the kernel in pixels, odd.
    sigma : Tensor, float32, shape (B, 2)
        Standard deviation along height and width, in pixels.
    """
    along_height, along_width = (
        _gaussian(n, of[:, None]) for n, of in zip(size, sigma.unbind(1), strict=True)
    )
    return _filter(_filter(images, along_width[:, None]), along_height[..., None])


def _each(factor: Tensor) -> Tensor:
    """Let a number an image, (B,), meet images, (B, 1, 1, 1)."""
    return factor[:, None, None, None]


def _gaussian(n: int, sigma: Tensor) -> Tensor:
    """Weights of n pixels, (B, n), whose sum is 1; of sigma 0, all of it in the middle."""
    away = torch.arange(n, device=sigma.device, dtype=sigma.dtype) - float(n // 2)
    width = 2 * sigma.pow(2.0)
    weights = torch.exp(-away.pow(2.0) / width.where(width != 0, 1e-30))
    return weights / weights.sum(-1, keepdim=True)


def _filter(images: Tensor, kernels: Tensor) -> Tensor:
    """Filter images, (B, C, H, W), by a kernel each, (B, h, w)."""
    (b, c), (h, w) = images.shape[:2], kernels.shape[1:]
    padded = F.pad(images, (w // 2, w // 2, h // 2, h // 2), mode="reflect")
    weights = kernels[:, None].expand(-1, c, -1, -1).reshape(-1, 1, h, w)
    filtered = F.conv2d(padded.flatten(0, 1)[None], weights, groups=b * c)
    return filtered.view(b, c, *filtered.shape[-2:])
