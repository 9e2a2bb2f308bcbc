"""What a method trains on: inputs without labels, in the three ways that views can come.

==============  ====================================================================================
`ViewBank`      views of a frozen backbone that were computed before
`FreshViews`    new views at every step, through a frozen backbone
`EndToEnd`      new views at every step, through a backbone that is trained too
==============  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.features.base import Backbone, Kind
from benchmarks.features.extractor import autocast
from benchmarks.training.targets import Distances, Target, Value
from datasets.augment import Augmentation, augment, draws

IMAGES_PER_PASS = 256
"""Images that go through a backbone at a time where no gradient is kept."""


class _Inputs:
    """The part of `TrainingSet` that all of them share.

    Parameters
    ----------
    features : Tensor, float16 or float32, shape (N, ...), or None
        Unaugmented inputs of the training images; None where a subclass computes them.
    target : Target or None
        Where the method learns from more than images.
    device : torch.device
        Where everything is handed out.
    """

    features: Tensor
    seed: int = 0

    def __init__(
        self, features: Tensor | None, target: Target | None, device: torch.device
    ) -> None:
        if features is not None:
            self.features = features.to(device, torch.float32)
        self._target = None if target is None else target.to(device)

    def __len__(self) -> int:
        """Count the training images, N."""
        return len(self.features)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's input, (D,) or (T, D)."""
        return tuple(self.features.shape[1:])

    def mean(self) -> Tensor:
        """Mean of the unaugmented inputs over images and tokens, float32, shape (D,)."""
        return self.features.flatten(0, -2).mean(0)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Nothing: the backbone is frozen."""
        return iter(())

    def generator(self, seed: int) -> torch.Generator:
        """Make a generator on the CPU, where augmentations are drawn."""
        return torch.Generator().manual_seed(seed)

    def target_distances(self, rows: Tensor, others: Tensor) -> Tensor:
        """Distances in the target that the method declares, float32, shape (R, O)."""
        if not isinstance(self._target, Distances):
            raise TypeError(
                "TrainingSet.target_distances: the method declares no such supervision; "
                'set supervision = "captions" or "hierarchy" on the class'
            )
        return self._target.distances(rows, others)

    def target_value(self) -> Tensor:
        """Value that the method declares, see `TrainingSet.target_value`."""
        if not isinstance(self._target, Value):
            raise TypeError(
                "TrainingSet.target_value: the method declares no such supervision; "
                'set supervision = "n_classes", "nouns" or "class_names" on the class'
            )
        return self._target.value


class ViewBank(_Inputs):
    """A training set whose views were computed before: `TrainingSet` over cached features.

    Parameters
    ----------
    features : Tensor, float16 or float32, shape (N, ...)
        Unaugmented inputs of the training images.
    bank : Tensor, float16 or float32, shape (N, V, ...), or None
        Views to choose from; None where the method trains without views.
    device : torch.device, optional
        Where the views are drawn and handed out; that of the features where left out.
    target : Target, optional
        Where the method learns from more than images.
    """

    def __init__(
        self,
        features: Tensor,
        bank: Tensor | None,
        device: torch.device | None = None,
        target: Target | None = None,
    ) -> None:
        super().__init__(features, target, device or features.device)
        self._bank = None if bank is None else bank.to(self.features.device).contiguous()

    def generator(self, seed: int) -> torch.Generator:
        """Make a generator on the device."""
        return torch.Generator(self.features.device).manual_seed(seed)

    def draw(self, n: int, n_views: int, generator: torch.Generator) -> Tensor:
        """Choose V different views of each image at random, int64 (n, V)."""
        kept = n_views if self._bank is None else self._bank.shape[1]
        keys = torch.rand(n, kept, generator=generator, device=generator.device)
        return keys.argsort(1)[:, :n_views]

    def views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Hand out the chosen views, see `TrainingSet.views`."""
        index, choice = index.unsqueeze(-2), drawn.mT  # (..., 1, B), (..., V, B)
        if self._bank is None:
            return self.features[index.expand_as(choice)]
        rows = index * self._bank.shape[1] + choice  # of all views; faster than two indices
        views = self._bank.flatten(0, 1).index_select(0, rows.flatten())
        return views.float().view(*rows.shape, *self.shape)


class FreshViews(_Inputs):
    """A training set that augments anew at every step: `TrainingSet` over images.

    Parameters
    ----------
    features : Tensor, shape (N, ...), or None
        Unaugmented inputs of the training images; None where a subclass computes them.
    images : Tensor, uint8, shape (N, 3, H, W)
        The training images.
    backbone : Backbone
        Its features of the views are what the method sees.
    kind : "features" or "tokens"
        What the method consumes.
    recipe : Augmentation
        How views are drawn.
    device : torch.device
        Where everything is kept.
    target : Target, optional
        Where the method learns from more than images.
    """

    def __init__(
        self,
        features: Tensor | None,
        images: Tensor,
        backbone: Backbone,
        kind: Kind,
        recipe: Augmentation,
        device: torch.device,
        target: Target | None = None,
    ) -> None:
        super().__init__(features, target, device)
        self._images = images.to(device)
        self._extract = getattr(backbone.to(device), kind)
        self._recipe = recipe
        self._size = backbone.input_size or images.shape[-1]

    def draw(self, n: int, n_views: int, generator: torch.Generator) -> Tensor:
        """Draw what `augment` needs for V views of each image, float32 (n, V, N_DRAWS)."""
        return draws(n * n_views, generator).view(n, n_views, -1)

    @torch.no_grad()
    def views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Make the views that were drawn, see `TrainingSet.views`."""
        return self._make(index, drawn)

    def _make(self, index: Tensor, drawn: Tensor) -> Tensor:
        uniforms = drawn.transpose(-2, -3)  # (..., V, B, N_DRAWS)
        shape = uniforms.shape[:-1]
        with torch.no_grad():
            rows = index.unsqueeze(-2).expand(shape).flatten()
            images = augment(self._images[rows], uniforms.flatten(0, -2), self._recipe, self._size)
        with autocast(images.device):
            features: Tensor = self._extract(images).float()
        return features.view(*shape, *features.shape[1:])


class EndToEnd(FreshViews):
    """A training set whose views carry gradients to a copy of the backbone.

    The copy's weights are trained beside the method's. Statistics of its normalisation layers stay
    those it comes with, and it computes in bfloat16 on CUDA. Unaugmented inputs are those of the
    weights at the moment when they are asked for, and are not kept: tokens of all images are large.

    Attributes
    ----------
    at_once : int or None
        Images whose activations are kept for the backward pass at a time. Those of a larger batch
        are computed again there, part by part: the same gradients for less memory and one more
        forward pass. None keeps all.

    Parameters
    ----------
    images : Tensor, uint8, shape (N, 3, H, W)
        The training images.
    backbone : Backbone
        Copied; itself it stays as it is.
    kind : "features" or "tokens"
        What the method consumes.
    recipe : Augmentation
        How views are drawn.
    device : torch.device
        Where everything is kept.
    target : Target, optional
        Where the method learns from more than images.
    whole : Tensor, uint8, shape (N, 3, H, W), optional
        The training images unaugmented, where they are kept in another way for that.

    Raises
    ------
    BackboneError
        If the backbone has no weights to train.
    """

    def __init__(
        self,
        images: Tensor,
        backbone: Backbone,
        kind: Kind,
        recipe: Augmentation,
        device: torch.device,
        target: Target | None = None,
        whole: Tensor | None = None,
    ) -> None:
        self._backbone = backbone.trainable().to(device)
        self._kind, self._device = kind, device
        self.at_once: int | None = None
        super().__init__(None, images, self._backbone, kind, recipe, device, target)
        self._whole = self._images if whole is None else whole.to(device)
        self._extract = self.extract_sparing

    def __len__(self) -> int:
        """Count the training images, N."""
        return len(self._images)

    @property
    def features(self) -> Tensor:  # type: ignore[override]  # an attribute elsewhere
        """Unaugmented inputs of the training images, float32, shape (N, ...)."""
        return self.extract(self._whole)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's input, (D,) or (T, D)."""
        return tuple(self.extract(self._whole[:1]).shape[1:])

    def mean(self) -> Tensor:
        """Mean of the unaugmented inputs over images and tokens, float32, shape (D,)."""
        parts = self._whole.split(IMAGES_PER_PASS)
        means = [self.extract(part).flatten(0, -2).mean(0) * len(part) for part in parts]
        return torch.stack(means).sum(0) / len(self)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Weights of the backbone."""
        return self._backbone.parameters()

    def views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Make the views that were drawn, with gradients, see `TrainingSet.views`."""
        return self._make(index, drawn)

    def extract_sparing(self, images: Tensor) -> Tensor:
        """Features of views with gradients, keeping the activations of `at_once` images.

        Parameters
        ----------
        images : Tensor, float32 in [0, 1], shape (N, 3, S, S)
        """
        extract = getattr(self._backbone, self._kind)
        if self.at_once is None or len(images) <= self.at_once:
            whole: Tensor = extract(images)
            return whole
        parts = [
            checkpoint(extract, part, use_reentrant=False, preserve_rng_state=False)
            for part in images.split(self.at_once)
        ]  # no random state to preserve: dropout is off
        return torch.cat(parts)

    @torch.no_grad()
    def extract(self, images: Tensor) -> Tensor:
        """Unaugmented inputs of images as the backbone sees them now, float32, shape (N, ...).

        Parameters
        ----------
        images : Tensor, uint8, shape (N, 3, H, W)
        """
        square, extract = self._backbone.square, getattr(self._backbone, self._kind)
        with autocast(self._device):
            parts = [
                extract(square(part.to(self._device))).float()
                for part in images.split(IMAGES_PER_PASS)
            ]
        return torch.cat(parts)
