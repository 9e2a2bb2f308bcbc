import colorsys
import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from datasets import augment as module
from datasets.augment import AUGMENTATIONS, N_DRAWS, Augmentation, augment, draws, resize
from datasets.resample import crop

NAMES = list(AUGMENTATIONS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth_images(n, height, width, seed=0):
    """Random colours without hard edges, uint8 (n, 3, height, width)."""
    coarse = torch.randint(0, 256, (n, 3, 6, 6), generator=generator(seed), dtype=torch.uint8)
    return scale(coarse.float(), height, width).round().to(torch.uint8)


def scale(x, height, width):
    """Bilinear with antialiasing, of (C, H, W) or (N, C, H, W)."""
    batch = x if x.ndim == 4 else x[None]
    scaled = torch.nn.functional.interpolate(
        batch, (height, width), mode="bilinear", antialias=True
    )
    return scaled if x.ndim == 4 else scaled[0]


def to_tensor(pil):
    pixels = torch.from_numpy(np.array(pil))
    return pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels[None]


def blend(x, other, factor):
    """PIL's ImageEnhance: away from `other` for a factor above one."""
    return (factor * x + (1 - factor) * other).clamp(0, 1)


def luminance(x):
    return (0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2])[None]


def turn_hue(x, turns):
    pixels = x.permute(1, 2, 0).reshape(-1, 3).tolist()
    turned = []
    for r, g, b in pixels:
        h, s, v = colorsys.rgb_to_hsv(r, g, b)
        turned.append(colorsys.hsv_to_rgb((h + turns) % 1, s, v))
    return torch.tensor(turned).reshape(*x.shape[1:], 3).permute(2, 0, 1)


def blur(x, kernel, sigma):
    half = kernel // 2
    weights = torch.exp(-0.5 * (torch.arange(-half, half + 1.0) / sigma) ** 2)
    weights /= weights.sum()
    padded = torch.nn.functional.pad(x[None], (half,) * 4, mode="reflect")[0]
    rows = sum(w * padded[:, i : i + x.shape[1]] for i, w in enumerate(weights))
    return sum(w * rows[:, :, i : i + x.shape[2]] for i, w in enumerate(weights))


def only(**steps):
    """A recipe of the given steps alone."""
    return Augmentation(name="only", source="test", **steps)


def by_hand(image, u, recipe, size):
    """One view, step by step as the papers' code takes them, with nothing of kornia in it."""
    u = [float(x) for x in u.double()]
    height, width = image.shape[-2:]
    box = None
    for i in range(10):
        area = height * width * (recipe.crop_area[0] + u[i] * (1 - recipe.crop_area[0]))
        aspect = math.exp(math.log(3 / 4) + u[10 + i] * (math.log(4 / 3) - math.log(3 / 4)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if box is None and 0 < w <= width and 0 < h <= height:
            box = (int(u[20] * (height - h + 1)), int(u[21] * (width - w + 1)), h, w)
    if box is None:
        assert height == width
        box = (0, 0, height, width)
    top, left, h, w = box
    x = scale(image[:, top : top + h, left : left + w] / 255, size, size)
    if u[22] < recipe.flip:
        x = x.flip(-1)
    if u[23] < recipe.jitter:
        b, c, s = (
            1 + strength * (2 * v - 1)
            for strength, v in zip(
                (recipe.brightness, recipe.contrast, recipe.saturation), u[24:27], strict=True
            )
        )
        steps = [
            lambda x: blend(x, torch.zeros(()), b),
            lambda x: blend(x, luminance(x).mean(), c),
            lambda x: blend(x, luminance(x), s),
            lambda x: turn_hue(x, recipe.hue * (2 * u[27] - 1)),
        ]
        orders = [(i, j, k, 6 - i - j - k) for i in range(4) for j in range(4) for k in range(4)]
        orders = sorted(o for o in orders if sorted(o) == [0, 1, 2, 3])
        for i in orders[int(u[28] * 24)]:
            x = steps[i](x)
    if u[29] < recipe.grey:
        x = luminance(x).expand(3, size, size)
    if u[30] < recipe.blur:
        low, high = recipe.blur_sigma
        x = blur(x, min(recipe.blur_kernel, 2 * size - 1), low + u[31] * (high - low))
    return x


@pytest.mark.parametrize("shape", [(32, 32, 48), (60, 60, 24), (40, 56, 32), (8, 8, 8)])
@pytest.mark.parametrize("name", ["cibhash", "wch"])
def test_views_are_those_of_the_papers_steps_one_by_one(name, shape):
    height, width, size = shape
    images, u = smooth_images(40, height, width), draws(40, generator())
    recipe = AUGMENTATIONS[name]
    views = augment(images, u, recipe, size)
    assert views.dtype == torch.float32
    assert views.shape == (40, 3, size, size)
    assert views.min() >= 0
    assert views.max() <= 1
    for image, row, view in zip(images, u, views, strict=True):
        assert torch.allclose(view, by_hand(image, row, recipe, size), atol=2e-4)


def test_draws_do_not_depend_on_how_they_are_divided_into_calls():
    one, two = generator(), generator()
    whole = draws(7, one)
    pieces = torch.cat([draws(n, two) for n in (2, 1, 4)])
    assert whole.shape == (7, N_DRAWS)
    assert torch.equal(whole, pieces)
    assert torch.equal(draws(1, one), draws(1, two))
    assert not torch.equal(whole[0], whole[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_view_does_not_depend_on_its_batch(name, monkeypatch):
    images, u = smooth_images(23, 32, 32), draws(23, generator())
    whole = augment(images, u, AUGMENTATIONS[name], 24)
    pairs = zip(images.split(5), u.split(5), strict=True)
    pieces = [augment(i, v, AUGMENTATIONS[name], 24) for i, v in pairs]
    assert torch.allclose(whole, torch.cat(pieces), atol=1e-6)
    order = torch.randperm(23, generator=generator())
    shuffled = augment(images[order], u[order], AUGMENTATIONS[name], 24)
    assert torch.allclose(whole[order], shuffled, atol=1e-6)
    monkeypatch.setattr(module, "_CHUNK_PIXELS", 3 * 24 * 24)
    assert torch.allclose(whole, augment(images, u, AUGMENTATIONS[name], 24), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_changed_and_equal_inputs_give_equal_views(name):
    images, u = smooth_images(9, 16, 16), draws(9, generator())
    kept = images.clone(), u.clone()
    first = augment(images, u, AUGMENTATIONS[name], 16)
    assert torch.equal(images, kept[0])
    assert torch.equal(u, kept[1])
    assert torch.equal(first, augment(images, u, AUGMENTATIONS[name], 16))


def test_the_recipe_none_is_the_test_transform():
    images, u = smooth_images(4, 20, 30), draws(4, generator())
    for size in (8, 20, 64):
        assert torch.equal(augment(images, u, AUGMENTATIONS["none"], size), resize(images, size))


@pytest.mark.parametrize("size", [8, 16, 64, 7])
def test_resize_and_a_crop_of_everything_are_pils_bilinear_filter(size):
    images = smooth_images(3, 16, 24)
    whole = [torch.full((3,), v) for v in (0, 0, 16, 24)]
    cropped = crop(images, *whole, torch.zeros(3, dtype=torch.bool), size)
    resized = resize(images, size)
    assert torch.allclose(cropped, resized, atol=1e-6)
    for image, result in zip(images, resized, strict=True):
        pil = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.BILINEAR)
        assert (to_tensor(pil).float() / 255 - result).abs().max() < 1.01 / 255


def test_resize_leaves_an_image_of_that_size_as_it_is():
    images = torch.randint(0, 256, (5, 3, 9, 9), generator=generator(), dtype=torch.uint8)
    assert torch.equal(resize(images, 9), images / 255)


def test_a_flip_mirrors_left_and_right():
    images, u = smooth_images(30, 12, 12), draws(30, generator())
    views = augment(images, u, only(flip=0.5), 12)
    flipped = (views - (images / 255).flip(-1)).abs().amax((1, 2, 3)) < 1e-6
    kept = (views - images / 255).abs().amax((1, 2, 3)) < 1e-6
    assert (flipped ^ kept).all()
    assert 5 < flipped.sum() < 25


@pytest.mark.parametrize(
    ("step", "column", "pil"),
    [
        ("brightness", 24, ImageEnhance.Brightness),
        ("contrast", 25, ImageEnhance.Contrast),
        ("saturation", 26, ImageEnhance.Color),
    ],
)
def test_colour_changes_are_pils(step, column, pil):
    images, u = smooth_images(6, 16, 16), draws(6, generator())
    views = augment(images, u, only(jitter=1.0, **{step: 0.4}), 16)
    for image, row, view in zip(images, u, views, strict=True):
        changed = pil(Image.fromarray(image.permute(1, 2, 0).numpy()))
        expected = to_tensor(changed.enhance(0.6 + 0.8 * row[column].item()))
        assert (expected.float() / 255 - view).abs().max() < 2.01 / 255


def test_hue_turns_the_colour_circle():
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)[None, :, None, None].expand(2, 3, 4, 4)
    u = torch.zeros(2, N_DRAWS)
    u[:, 27] = torch.tensor([1.0, 0.0])
    third = augment(red, u, only(jitter=1.0, hue=1 / 3), 4)
    assert torch.allclose(third[:, :, 0, 0], torch.eye(3)[[1, 2]], atol=1e-5)


def test_grey_is_pils_luminance_in_three_channels():
    images, u = smooth_images(4, 8, 8), draws(4, generator())
    views = augment(images, u, only(grey=1.0), 8)
    assert torch.equal(views[:, 0], views[:, 1])
    for image, view in zip(images, views, strict=True):
        grey = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
        expected = to_tensor(grey) / 255
        assert (expected - view).abs().max() < 1.01 / 255


def test_blur_keeps_a_flat_image_and_is_wider_for_a_larger_sigma():
    point = torch.zeros(2, 3, 33, 33, dtype=torch.uint8)
    point[:, :, 16, 16] = 255
    u = torch.zeros(2, N_DRAWS)
    u[1, 31] = 1 - 2**-24
    recipe = only(blur=1.0, blur_kernel=13)
    views = augment(point, u, recipe, 33)
    assert torch.allclose(views.sum((2, 3)), torch.ones(2, 3), atol=1e-5)
    place = torch.arange(33.0) - 16
    spread = (views[:, 0].sum(1) * place**2).sum(1).sqrt()  # standard deviation, in pixels
    assert spread[0] < 0.01
    assert abs(spread[1] - 2) < 0.05
    flat = torch.full((2, 3, 33, 33), 100, dtype=torch.uint8)
    assert torch.allclose(augment(flat, u, recipe, 33), torch.tensor(100 / 255), atol=1e-6)


def test_a_blur_wider_than_the_image_is_narrowed():
    images = smooth_images(2, 3, 3)
    views = augment(images, torch.zeros(2, N_DRAWS), only(blur=1.0, blur_kernel=13), 3)
    assert torch.allclose(views, images / 255, atol=1e-6)


def test_a_crop_that_never_fits_is_the_largest_centred_one():
    recipe = only(crop_area=(1.0, 1.0))
    images = smooth_images(5, 10, 40)
    u = draws(5, generator())
    u[:, 10:20] = 0.9  # a fifth too wide to fit ... of an image four times too wide already
    top, left, height, width = module._boxes(u, recipe, 10, 40)
    assert (top.tolist(), height.tolist()) == ([0] * 5, [10] * 5)
    assert (left.tolist(), width.tolist()) == ([13] * 5, [13] * 5)
    assert augment(images, u, recipe, 8).shape == (5, 3, 8, 8)


@pytest.mark.parametrize("shape", [(32, 32), (30, 50), (200, 20)])
def test_boxes_lie_inside_and_cover_the_stated_area(shape):
    height, width = shape
    recipe = AUGMENTATIONS["wch"]
    top, left, h, w = module._boxes(draws(2000, generator()), recipe, height, width)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()
    if height == width:
        share = h * w / (height * width)
        assert 0.18 < share.min() < 0.22
        assert share.max() > 0.97


def test_shares_of_views_are_the_recipes():
    u = draws(4000, generator())
    images = smooth_images(1, 8, 8).expand(4000, 3, 8, 8)
    views = augment(images, u, dataclasses.replace(AUGMENTATIONS["wch"], blur=0.0), 8)
    grey = (views[:, 0] - views[:, 1]).abs().amax((1, 2)) < 1e-6
    assert abs(grey.float().mean() - 0.2) < 0.03
    changed = augment(images, u, only(jitter=0.8, brightness=0.4), 8)
    kept = (changed - images / 255).abs().amax((1, 2, 3)) < 1e-6
    assert abs(kept.float().mean() - 0.2) < 0.03


@pytest.mark.parametrize("shape", [(3, N_DRAWS), (4, N_DRAWS - 1)])
def test_wrong_uniforms_are_refused(shape):
    with pytest.raises(ValueError, match=r"augment: expected uniforms \(4, 32\) on the CPU"):
        augment(smooth_images(4, 8, 8), torch.rand(shape), AUGMENTATIONS["none"], 8)


def test_recipes_carry_their_names_and_sources():
    assert NAMES == ["cibhash", "wch", "none"]
    for name, recipe in AUGMENTATIONS.items():
        assert recipe.name == name
        assert recipe.source


def test_no_images_give_no_views():
    none = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    views = augment(none, draws(0, generator()), AUGMENTATIONS["cibhash"], 16)
    assert views.shape == (0, 3, 16, 16)


def test_importing_the_data_sets_is_quick():
    heavy = "{'kornia', 'sklearn', 'pyarrow', 'huggingface_hub', 'PIL'} & set(sys.modules)"
    script = f"import sys, datasets, datasets.augment; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], check=True)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_the_same_views(name):
    images, u = smooth_images(50, 32, 32), draws(50, generator())
    on_gpu = augment(images.cuda(), u, AUGMENTATIONS[name], 64)
    assert on_gpu.is_cuda
    assert torch.allclose(on_gpu.cpu(), augment(images, u, AUGMENTATIONS[name], 64), atol=1e-4)
