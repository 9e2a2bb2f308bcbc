"""Colour and blur against kornia, bit by bit: stored features and codes depend on them."""

import pytest
import torch
from kornia import enhance as kornia_enhance
from kornia.color import rgb_to_grayscale
from kornia.filters import gaussian_blur2d

from datasets import enhance

SIZES = [(1, 3), (7, 8), (32, 33), (5, 128)]
COLOURS = (
    "adjust_brightness_accumulative",
    "adjust_contrast_with_mean_subtraction",
    "adjust_saturation_with_gray_subtraction",
)


def images(n, side):
    generator = torch.Generator().manual_seed(n)
    drawn = (
        torch.rand(n, 3, side, side + 2, generator=generator),
        torch.rand(n, generator=generator),
    )
    return drawn[0], 0.2 + 1.6 * drawn[1]


@pytest.mark.parametrize(("n", "side"), SIZES)
@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_those_of_kornia(name, n, side):
    given, factor = images(n, side)
    kept = given.clone()
    found = getattr(enhance, name)(given, factor)
    assert torch.equal(found, getattr(kornia_enhance, name)(given, factor))
    assert not torch.equal(found, given)
    assert torch.equal(given, kept)


@pytest.mark.parametrize(("n", "side"), SIZES)
def test_grey_is_that_of_kornia(n, side):
    given, _ = images(n, side)
    assert torch.equal(enhance.rgb_to_grayscale(given), rgb_to_grayscale(given))


@pytest.mark.parametrize(("n", "side"), SIZES)
@pytest.mark.parametrize("size", [(3, 3), (5, 3), (13, 13)])
def test_blurs_are_those_of_kornia(n, side, size):
    given, sigma = images(n, side)
    size = tuple(min(width, 2 * side - 1) for width in size)
    sigma = torch.stack([sigma, sigma.flip(0) / 2], 1)
    found = enhance.gaussian_blur2d(given, size, sigma)
    assert torch.equal(found, gaussian_blur2d(given, size, sigma))


def test_no_deviation_blurs_nothing():
    given, _ = images(2, 8)
    sigma = torch.tensor([[0.0, 0.0], [1e-30, 0.0]])
    assert torch.equal(enhance.gaussian_blur2d(given, (3, 3), sigma), given)
