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

from benchmarks.backbones import Backbone
from benchmarks.features import Kind
from benchmarks.targets import Target
from datasets.augment import Augmentation, augment, draws, resize

_IMAGES = 256
"""Images a pass through a backbone, where no gradient is kept."""


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

    def target_distances(self, rows: Tensor, others: Tensor) -> Tensor:
        """Distances in the target that the method declares, float32, shape (R, O)."""
        if self._target is None:
            raise TypeError(
                "TrainingSet.target_distances: the method declares no supervision; "
                'set supervision = "captions" or "hierarchy" on the class'
            )
        return self._target.distances(rows, others)


class ViewBank(_Inputs):
    """A training set whose views were computed before: `TrainingSet` over cached features.

    Parameters
    ----------
    features : Tensor, float16 or float32, shape (N, ...)
        Unaugmented inputs of the training images.
    bank : Tensor, float16, shape (N, V, ...), or None
        Views to choose from; None where the method trains without views.
    seed : int
        Of the draws.
    device : torch.device
        Where the views are handed out.
    target : Target, optional
        Where the method learns from more than images.
    """

    def __init__(
        self,
        features: Tensor,
        bank: Tensor | None,
        seed: int,
        device: torch.device,
        target: Target | None = None,
    ) -> None:
        super().__init__(features, target, device)
        self._bank = None if bank is None else bank.to(device)
        self.generator = torch.Generator(device).manual_seed(seed)

    def views(self, index: Tensor, n_views: int) -> Tensor:
        """Choose `n_views` different views of each row at random, float32, (V, B, ...)."""
        if self._bank is None:
            plain = self.features[index]
            return plain.expand(n_views, *plain.shape)
        keys = torch.rand(
            len(index), self._bank.shape[1], generator=self.generator, device=index.device
        )
        choice = keys.argsort(1)[:, :n_views].T  # (V, B), without replacement
        return self._bank[index.expand(n_views, -1), choice].float()


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
    seed : int
        Of the draws.
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
        seed: int,
        device: torch.device,
        target: Target | None = None,
    ) -> None:
        super().__init__(features, target, device)
        self._images = images.to(device)
        self._extract = getattr(backbone.to(device), kind)
        self._recipe = recipe
        self._size = backbone.input_size or images.shape[-1]
        self.generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def views(self, index: Tensor, n_views: int) -> Tensor:
        """Draw `n_views` new views of each row, float32, (V, B, ...)."""
        return self._draw(index, n_views)

    def _draw(self, index: Tensor, n_views: int) -> Tensor:
        uniforms = draws(n_views * len(index), self.generator)
        return self._make(index, uniforms.view(n_views, len(index), -1))

    def _make(self, index: Tensor, uniforms: Tensor) -> Tensor:
        """Features of the views that were drawn; uniforms (V, B, N_DRAWS)."""
        n_views = len(uniforms)
        with torch.no_grad():
            images = self._images[index.repeat(n_views)]
            images = augment(images, uniforms.flatten(0, 1), self._recipe, self._size)
        features: Tensor = self._extract(images)
        return features.view(n_views, len(index), *features.shape[1:])


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
    seed : int
        Of the draws.
    device : torch.device
        Where everything is kept.
    target : Target, optional
        Where the method learns from more than images.

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
        seed: int,
        device: torch.device,
        target: Target | None = None,
    ) -> None:
        self._backbone = backbone.trainable().to(device)
        self._kind, self._device = kind, device
        self.at_once: int | None = None
        super().__init__(None, images, self._backbone, kind, recipe, seed, device, target)
        self._extract = self.extract_sparing

    def __len__(self) -> int:
        """Count the training images, N."""
        return len(self._images)

    @property
    def features(self) -> Tensor:  # type: ignore[override]  # an attribute elsewhere
        """Unaugmented inputs of the training images, float32, shape (N, ...)."""
        return self.extract(self._images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's input, (D,) or (T, D)."""
        return tuple(self.extract(self._images[:1]).shape[1:])

    def mean(self) -> Tensor:
        """Mean of the unaugmented inputs over images and tokens, float32, shape (D,)."""
        parts = self._images.split(_IMAGES)
        means = [self.extract(part).flatten(0, -2).mean(0) * len(part) for part in parts]
        return torch.stack(means).sum(0) / len(self)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Weights of the backbone."""
        return self._backbone.parameters()

    def views(self, index: Tensor, n_views: int) -> Tensor:
        """Draw `n_views` new views of each row with gradients, float32, (V, B, ...)."""
        with self._autocast():
            return self._draw(index, n_views).float()

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
        size = self._backbone.input_size or images.shape[-1]
        extract = getattr(self._backbone, self._kind)
        with self._autocast():
            parts = [
                extract(resize(part.to(self._device), size)).float()
                for part in images.split(_IMAGES)
            ]
        return torch.cat(parts)

    def _autocast(self) -> torch.autocast:
        on_cuda = self._device.type == "cuda"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=on_cuda)
