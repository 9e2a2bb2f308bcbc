"""Augmentation recipes as data, and one function that applies them, image by image.

A view is a function of its image and of `N_DRAWS` uniform numbers, so that it does not depend on
which batch the image is in. The numbers are drawn on the CPU; the pixels are computed wherever
the images are, and nothing is read back from there.

The order is crop, flip, colour, grey, blur, as in the papers' code; flipping commutes with what
follows it, so its place among them does not matter.

Departures from the papers' code, which works on 8-bit PIL images at 224 pixels:

- Values stay float32 between the steps; PIL rounds to 1/255 after each.
- WCH's code resizes to 224 before it crops. We crop the original image and interpolate once, so
  corners of crops lie on original pixels; a non-square image is cropped whole, not in its centre.
- Sizes of blurs are in pixels of the output, whatever its size: as the papers' code would do if
  its input size were changed. Below 224 pixels the same blur takes away more of the picture.
- PIL approximates a Gaussian blur by three box blurs. We use the Gaussian.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets import enhance
from datasets.enhance import gaussian_blur2d, rgb_to_grayscale
from datasets.resample import crop
from datasets.resample import resize as resize

_TRIES = 10  # crops tried before the whole image is taken, as torchvision does
# Columns of the uniform numbers of a view.
_AREA = slice(0, _TRIES)
_ASPECT = slice(_TRIES, 2 * _TRIES)
_TOP, _LEFT, _FLIP, _JITTER, _BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(
    2 * _TRIES, 2 * _TRIES + 8
)
_ORDER, _GREY, _BLUR, _SIGMA = range(2 * _TRIES + 8, 2 * _TRIES + 12)
N_DRAWS = 2 * _TRIES + 12  # uniform numbers a view takes, whatever the recipe

_ORDERS = torch.tensor(list(itertools.permutations(range(4))))  # (24, 4)
_CHUNK_PIXELS = 32 * 128 * 128  # of one colour: on a CPU, steps work on what its cache can hold


@dataclass(frozen=True)
class Augmentation:
    """One recipe; probabilities in [0, 1], lengths in pixels of the output.

    Parameters
    ----------
    name : str
        Key of `AUGMENTATIONS`.
    source : str
        Where the numbers come from.
    crop_area : tuple of float, or None
        Smallest and largest area of the crop, as a share of the image; None keeps all of it.
    crop_aspect : tuple of float
        Smallest and largest width / height of the crop; its logarithm is uniform.
    flip : float
        Probability of mirroring left and right.
    jitter : float
        Probability of changing the colours, all four in random order.
    brightness, contrast, saturation : float
        Each factor is uniform in [1 - x, 1 + x].
    hue : float
        The shift is uniform in [-x, x] turns of the colour circle.
    grey : float
        Probability of dropping the colours.
    blur : float
        Probability of a Gaussian blur.
    blur_sigma : tuple of float
        Smallest and largest standard deviation of the blur, in pixels.
    blur_kernel : int
        Width of its kernel, odd, in pixels; the border is mirrored.
    """

    name: str
    source: str
    crop_area: tuple[float, float] | None = None
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    jitter: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    blur_kernel: int = 3


AUGMENTATIONS: dict[str, Augmentation] = {
    "cibhash": Augmentation(
        name="cibhash",
        source="CIBHash (IJCAI 2021), github.com/zexuanqiu/CIBHash",
        crop_area=(0.5, 1.0),
        flip=0.5,
        jitter=0.7,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        grey=0.2,
        blur=0.5,
        blur_sigma=(0.1, 2.0),
        blur_kernel=3,
    ),
    "wch": Augmentation(
        name="wch",
        source="WCH (ACCV 2022), github.com/RosieYuu/WCH",
        crop_area=(0.2, 1.0),
        flip=0.5,
        jitter=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        grey=0.2,
        blur=0.5,
        blur_sigma=(0.1, 2.0),  # PIL's radius is the standard deviation
        blur_kernel=13,  # three of the largest standard deviations to either side
    ),
    "none": Augmentation(name="none", source="the test transform"),
}


def draws(n: int, generator: torch.Generator) -> Tensor:
    """Draw the uniform numbers of n views, one row after the other.

    Parameters
    ----------
    n : int
        Number of views.
    generator : torch.Generator
        A generator of the CPU; it moves on by ``n * N_DRAWS`` numbers, however n is divided into
        calls.

    Returns
    -------
    Tensor, float32, shape (n, N_DRAWS)
        Uniform in [0, 1).

    Examples
    --------
    >>> draws(2, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 32])
    """
    return torch.rand(n, N_DRAWS, generator=generator)


def augment(images: Tensor, uniforms: Tensor, recipe: Augmentation, size: int) -> Tensor:
    """Make one view of each image.

    The crop is resampled as `resize` does, so an enlarged crop is bilinear and a reduced one is
    averaged over the pixels that fall into one.

    Parameters
    ----------
    images : Tensor, uint8, shape (B, 3, H, W)
        Images on any device.
    uniforms : Tensor, float32, shape (B, N_DRAWS)
        Row i, from `draws` and on the CPU, decides about view i; nothing else does.
    recipe : Augmentation
        One of `AUGMENTATIONS`.
    size : int
        Height and width of the views, in pixels.

    Returns
    -------
    Tensor, float32, shape (B, 3, size, size)
        Views in [0, 1], on the device of the images.

    Raises
    ------
    ValueError
        If `uniforms` has another shape or is on another device.

    Examples
    --------
    >>> images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    >>> uniforms = draws(4, torch.Generator().manual_seed(0))
    >>> augment(images, uniforms, AUGMENTATIONS["cibhash"], 16).shape
    torch.Size([4, 3, 16, 16])
    """
    if uniforms.shape != (len(images), N_DRAWS) or uniforms.device.type != "cpu":
        raise ValueError(
            f"augment: expected uniforms ({len(images)}, {N_DRAWS}) on the CPU, got "
            f"{tuple(uniforms.shape)} on {uniforms.device}; draw them with draws()"
        )
    views = torch.empty(len(images), 3, size, size, device=images.device)
    in_cache = images.device.type == "cpu"
    chunk = max(1, _CHUNK_PIXELS // size**2 if in_cache else len(images))
    for start in range(0, len(images), chunk):
        rows = slice(start, start + chunk)
        views[rows] = _augment(images[rows], uniforms[rows], recipe, size)
    return views


def _augment(images: Tensor, uniforms: Tensor, recipe: Augmentation, size: int) -> Tensor:
    """Apply a recipe to a batch in one piece."""
    if recipe.crop_area is None and recipe.flip == 0:
        views = resize(images, size)
    else:
        boxes = _boxes(uniforms, recipe, *images.shape[-2:])
        views = crop(images, *boxes, uniforms[:, _FLIP] < recipe.flip, size)
    if recipe.jitter > 0:
        _jitter(views, uniforms, recipe)
    if recipe.grey > 0:
        _change(views, uniforms[:, _GREY] < recipe.grey, _to_grey)
    if recipe.blur > 0:
        low, high = recipe.blur_sigma
        sigma = low + (high - low) * uniforms[:, _SIGMA]
        _change(views, uniforms[:, _BLUR] < recipe.blur, _gaussian(recipe.blur_kernel), sigma)
    return views.clamp_(0, 1)


def _change(
    views: Tensor,
    chosen: Tensor,
    step: Callable[..., Tensor],
    *parameters: Tensor,
) -> None:
    """Overwrite the chosen views by ``step(views, *parameters)``.

    What is chosen is known on the CPU, so a GPU is never waited for.
    """
    rows = chosen.nonzero()[:, 0]
    if len(rows) == 0:
        return
    given = [p[rows].to(views.device, non_blocking=True) for p in parameters]
    rows = rows.to(views.device, non_blocking=True)
    views.index_copy_(0, rows, step(views.index_select(0, rows), *given))


def _boxes(
    uniforms: Tensor, recipe: Augmentation, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width of each crop in pixels, int64 (B,): torchvision's rule.

    Up to ten times an area and an aspect are drawn, and the first box that fits is taken. If none
    does, it is the largest centred box of an allowed aspect.
    """
    n = len(uniforms)
    if recipe.crop_area is None:
        zero = torch.zeros(n, dtype=torch.int64)
        return zero, zero, zero + height, zero + width
    (small, large), (narrow, wide) = recipe.crop_area, recipe.crop_aspect
    u = uniforms.double()
    area = height * width * (small + (large - small) * u[:, _AREA])  # (B, 10)
    log_aspect = math.log(narrow) + (math.log(wide) - math.log(narrow)) * u[:, _ASPECT]
    w = (area * log_aspect.exp()).sqrt().round().long()
    h = (area / log_aspect.exp()).sqrt().round().long()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    last_w = min(width, round(height * wide))
    last_h = min(height, round(width / narrow))
    found = fits.any(dim=1)
    w = torch.where(found, w.gather(1, first)[:, 0], last_w)
    h = torch.where(found, h.gather(1, first)[:, 0], last_h)
    top = torch.where(found, (u[:, _TOP] * (height - h + 1)).long(), (height - last_h) // 2)
    left = torch.where(found, (u[:, _LEFT] * (width - w + 1)).long(), (width - last_w) // 2)
    return top, left, h, w


# Colour and blur ---------------------------------------------------------------------------------


def _jitter(views: Tensor, uniforms: Tensor, recipe: Augmentation) -> None:
    """Change the colours of the chosen views in place, each in an order of its own."""

    def factor(strength: float, column: int) -> Tensor:
        return 1 - strength + 2 * strength * uniforms[:, column]

    turn = recipe.hue * (2 * uniforms[:, _HUE] - 1)
    # kornia has several functions of each kind; ours are after the ones that do as PIL does.
    steps = (
        (enhance.adjust_brightness_accumulative, factor(recipe.brightness, _BRIGHTNESS)),
        (enhance.adjust_contrast_with_mean_subtraction, factor(recipe.contrast, _CONTRAST)),
        (enhance.adjust_saturation_with_gray_subtraction, factor(recipe.saturation, _SATURATION)),
        (_turn_hue, turn),
    )
    chosen = uniforms[:, _JITTER] < recipe.jitter
    order = _ORDERS[(uniforms[:, _ORDER] * len(_ORDERS)).long().clamp(max=len(_ORDERS) - 1)]
    for position in range(4):
        for i, (step, value) in enumerate(steps):
            _change(views, chosen & (order[:, position] == i), step, value)


def _turn_hue(views: Tensor, turn: Tensor) -> Tensor:
    """Turn the colour circle of each view, (B, 3, S, S), by so many turns, (B,).

    In hue, saturation and value the turn is a sum of hues. A channel is then the value less the
    chroma times a wave of the hue, 1 within a sixth of a turn of the opposite colour and 0 from
    two sixths on. kornia's two conversions give the same to 1e-6 in five times the time.
    """
    value = views.amax(1)
    chroma = value - views.amin(1)
    red, green, blue = views.unbind(1)
    in_green = torch.sub(blue, red).add_(chroma, alpha=2)
    in_blue = torch.sub(red, green).add_(chroma, alpha=4)
    sixths = torch.where(green == value, in_green, in_blue)
    sixths = torch.where(red == value, green - blue, sixths)  # of a turn, times the chroma
    sixths.div_(chroma.clamp(min=1e-30)).add_(6 * turn[:, None, None])
    turned = torch.empty_like(views)
    for channel, opposite in enumerate((3, 5, 1)):  # cyan, magenta, yellow
        away = sixths - opposite
        away.sub_(away.div(6).round_(), alpha=6).abs_()
        torch.addcmul(value, (2 - away).clamp_(0, 1), chroma, value=-1, out=turned[:, channel])
    return turned


def _to_grey(views: Tensor) -> Tensor:
    """Luminance of ITU-R 601, as PIL, in all three channels."""
    grey: Tensor = rgb_to_grayscale(views)
    return grey.expand_as(views)


def _gaussian(kernel: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a blur of this kernel width; the mirrored border narrows it on tiny images."""

    def blur(views: Tensor, sigma: Tensor) -> Tensor:
        # A mirrored border is at most one pixel short of the image.
        width = min(kernel, 2 * views.shape[-1] - 1)
        blurred: Tensor = gaussian_blur2d(views, (width, width), sigma[:, None].expand(-1, 2))
        return blurred

    return blur
