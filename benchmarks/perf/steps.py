"""One training step as the field writes it and as the trainer takes it, for `perf.training`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.features.base import Backbone, Kind
from benchmarks.grid.method_settings import MethodSpec, method_spec
from benchmarks.machine.torchvision_stub import import_beside_torchvision
from benchmarks.training.trainer import Matmul, Trainer, train_together
from benchmarks.training.training_sets import FreshViews, ViewBank
from datasets.augment import AUGMENTATIONS
from methods.base import HashMethod, TrainingSet

N_TRAIN, N_IMAGES = 5_000, 60_000
SIDE = 32
MORE = 8
"""Times as many steps are timed where no step goes through a backbone: they are that short, and a
training has a beginning and an end too."""
ONE = ("cibhash", 32)
"""The cell that stands for one."""


@dataclass(frozen=True)
class Setting:
    """What is measured on."""

    network: Backbone
    device: torch.device
    steps: int
    seeds: int
    workers: int

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object]) -> float:
        """Time some work."""
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start


# ---------------------------------------------------------------------------------- the field


class PillowViews(torch.utils.data.Dataset[list[Tensor]]):
    """Images that Pillow transforms one by one, in the process of a DataLoader worker."""

    def __init__(self, images: NDArray[np.uint8], transforms: list[Callable[..., Tensor]]) -> None:
        self._images, self._transforms = images, transforms

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> list[Tensor]:
        from PIL import Image

        image = Image.fromarray(self._images[row])
        return [transform(image) for transform in self._transforms]


def _pillow(size: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """CIBHash's augmentation and the test transform, as torchvision does them."""
    t: Any = import_beside_torchvision("torchvision").transforms
    blur = t.GaussianBlur(3, sigma=(0.1, 2.0))
    augment = t.Compose(
        [
            t.RandomResizedCrop(size, scale=(0.5, 1.0)),
            t.RandomHorizontalFlip(),
            t.RandomApply([t.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.7),
            t.RandomGrayscale(0.2),
            t.RandomApply([blur], 0.5),
            t.ToTensor(),
        ]
    )
    return augment, t.Compose([t.Resize((size, size)), t.ToTensor()])


def _loader(at: Setting, n: int, batch: int, views: int) -> Iterator[list[Tensor]]:
    augment, plain = _pillow(at.network.input_size or SIDE)
    images = np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    data = PillowViews(images, [augment] * views if views else [plain])
    return iter(
        torch.utils.data.DataLoader(
            data, batch, num_workers=at.workers, pin_memory=at.device.type == "cuda"
        )
    )


def field_step(at: Setting, spec: MethodSpec) -> float:
    """Seconds of a step whose views come from a loader and go through the backbone."""
    batch, warm = spec.recipe.batch_size, max(1, 2 * at.workers)
    loader = _loader(at, batch * (warm + at.steps), batch, 2)
    extract = getattr(at.network, _kind(spec))
    method = _method(at, spec, extract(torch.zeros(1, 3, *_size(at), device=at.device)))

    class Loaded(ViewBank):
        """Its views are those of the next batch of the loader."""

        def draw(self, n: int, n_views: int, generator: torch.Generator) -> Tensor:
            return torch.zeros(n, n_views, device=at.device)

        def views(self, index: Tensor, drawn: Tensor) -> Tensor:
            pair = next(loader)
            with torch.no_grad():
                found: Tensor = extract(torch.cat(pair).to(at.device))
            return found.view(1, 2, batch, *found.shape[1:])

    features = _features(at, spec, batch * max(warm, at.steps))
    first, data = (Loaded(features[: batch * n], None, at.device) for n in (warm, at.steps))
    _train(spec, [method], first)  # what was prefetched
    seconds = at.seconds(lambda: _train(spec, [method], data)) / at.steps
    next(loader, None)  # ends the workers
    return seconds


def field_image(at: Setting) -> float:
    """Seconds of an image that is loaded and goes through the backbone for its code."""
    batch, warm = 64, max(1, 2 * at.workers)
    loader = _loader(at, batch * (warm + at.steps), batch, 0)

    def some(n: int) -> None:
        for _ in range(n):
            with torch.no_grad():
                at.network.features(next(loader)[0].to(at.device))

    some(warm)
    seconds = at.seconds(lambda: some(at.steps)) / (at.steps * batch)
    next(loader, None)  # ends the workers
    return seconds


# --------------------------------------------------------------------------------------- ours


def our_step(
    at: Setting,
    spec: MethodSpec,
    *,
    fresh: bool = False,
    stack: int = 1,
    matmul: Matmul = "highest",
) -> float:
    """Seconds of a step of one method, or of a stack of them."""
    batch = spec.recipe.batch_size
    n = batch * at.steps * (1 if fresh else MORE)
    features = _features(at, spec, n)
    if fresh:
        images = torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8)
        recipe = AUGMENTATIONS[spec.recipe.augmentation]
        network, kind = at.network.frozen(), _kind(spec)
        data: TrainingSet = FreshViews(features, images, network, kind, recipe, at.device)
    else:
        bank = features[:, None].half().repeat_interleave(spec.recipe.bank_size, 1)
        data = ViewBank(features, bank, at.device)
    methods = [_method(at, spec, features) for _ in range(stack)]
    _train(spec, methods, data, matmul)  # libraries and caches warm up
    return at.seconds(lambda: _train(spec, methods, data, matmul)) / (len(data) // batch)


def encoding(at: Setting, spec: MethodSpec) -> float:
    """Seconds of the codes of all images from their features."""
    some = N_IMAGES // 20
    features = _features(at, spec, some).half()
    method = _method(at, spec, features)
    method.encode(features)
    return at.seconds(lambda: method.encode(features)) * N_IMAGES / some


def _train(
    spec: MethodSpec, methods: list[HashMethod], data: TrainingSet, matmul: Matmul = "highest"
) -> None:
    """Run one epoch."""
    recipe = replace(spec.recipe, epochs=1, epochs_at={})
    for method in methods:
        method.prepare(data)
    trainers = [Trainer(recipe, seed, matmul=matmul) for seed in range(len(methods))]
    train_together(trainers, methods, data)
    for method in methods:
        method.finish()


def _method(at: Setting, spec: MethodSpec, features: Tensor) -> HashMethod:
    assert spec.cls is not None, "no yardstick is timed"
    return spec.cls(features.shape[-1], ONE[1], **spec.params).to(at.device)


def _features(at: Setting, spec: MethodSpec, n: int) -> Tensor:
    """Random features of the shape that the backbone gives."""
    extract = getattr(at.network, _kind(spec))
    with torch.no_grad():
        one = extract(torch.zeros(1, 3, *_size(at), device=at.device))
    return torch.rand(n, *one.shape[1:], device=at.device)


def _kind(spec: MethodSpec) -> Kind:
    return "features" if spec.cls is None else spec.cls.consumes


def kinds(methods: Sequence[str]) -> tuple[Kind, ...]:
    """Tell what these methods consume."""
    return tuple(sorted({_kind(method_spec(name)) for name in methods}))


def _size(at: Setting) -> tuple[int, int]:
    side = at.network.input_size or SIDE
    return side, side
