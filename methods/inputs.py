"""What a method learns from: a training set, a batch of it, or a matrix of inputs; no labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """One training step's inputs.

    Attributes
    ----------
    views : Tensor, float32, shape (V, B, ...)
        Augmented views of B training images.
    index : Tensor, int64, shape (B,)
        Rows of the training set.
    progress : Tensor, float32, scalar
        Share of the training done, in [0, 1].
    noise : Tensor or None
        What `HashMethod.noise` drew for these images.
    """

    views: Tensor
    index: Tensor
    progress: Tensor
    noise: Tensor | None = None


class TrainingSet(Protocol):
    """The inputs of the training images, and the target that a method declares; no labels.

    It has no randomness of its own, so that several trainings may share it: `draw` gives the random
    numbers and `views` is a function of them.
    """

    seed: int
    """Of what closed forms draw in common, such as anchors: that of the run, for all methods."""

    @property
    def features(self) -> Tensor:
        """Unaugmented inputs of the kind that the method consumes, float32, shape (N, ...).

        Tokens of all images are large: ask for `shape` and `mean` where they will do.
        """
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's input, (D,) or (T, D)."""
        ...

    def __len__(self) -> int:
        """Count the training images, N."""
        ...

    def mean(self) -> Tensor:
        """Mean of the unaugmented inputs over images and tokens, float32, shape (D,)."""
        ...

    def generator(self, seed: int) -> torch.Generator:
        """Make the generator that `draw` takes, on the device where it draws."""
        ...

    def draw(self, n: int, n_views: int, generator: torch.Generator) -> Tensor:
        """Draw what decides about V views of n images, shape (n, V, ...)."""
        ...

    def views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Augmented inputs of some rows, as was drawn for each.

        Parameters
        ----------
        index : Tensor, int64, shape (..., B)
            Rows; leading axes, of several trainings, pass through.
        drawn : Tensor, shape (..., B, V, ...)

        Returns
        -------
        Tensor, float32, shape (..., V, B, ...)
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """List what is trained beside the method: weights of the backbone, none if frozen."""
        ...

    def target_distances(self, rows: Tensor, others: Tensor) -> Tensor:
        """Distances of images in captions or a hierarchy, float32, shape (R, O).

        They are symmetric.

        Raises
        ------
        TypeError
            If `HashMethod.supervision` declares neither.
        """
        ...

    def target_value(self) -> Tensor:
        """Give what is declared of the images as a whole.

        The number of classes, int64, scalar; or embeddings of M nouns or names of classes, in the
        space of the inputs, float32, shape (M, D).

        Raises
        ------
        TypeError
            If `HashMethod.supervision` declares nothing of the kind.
        """
        ...


@runtime_checkable
class Array(Protocol):
    """A tensor, a NumPy array, or what turns into one."""

    def __array__(self, *arguments: Any, **settings: Any) -> Any:
        """Give the array."""
        ...


class Matrix:
    """A training set of inputs alone, as a notebook has them: `TrainingSet` with one view an image.

    Parameters
    ----------
    features : Tensor, float32, shape (N, ...)
        Inputs, which are their own only view.
    """

    seed = 0

    def __init__(self, features: Tensor) -> None:
        self.features = features

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's input."""
        return tuple(self.features.shape[1:])

    def __len__(self) -> int:
        """Count the training images, N."""
        return len(self.features)

    def mean(self) -> Tensor:
        """Mean of the inputs over images and tokens, float32, shape (D,)."""
        return self.features.flatten(0, -2).mean(0)

    def generator(self, seed: int) -> torch.Generator:
        """Make a generator on the device of the inputs."""
        return torch.Generator(self.features.device).manual_seed(seed)

    def draw(self, n: int, n_views: int, generator: torch.Generator) -> Tensor:
        """Draw nothing, (n, V): an image has one view."""
        return torch.empty(n, n_views, device=self.features.device)

    def views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Hand out the inputs, see `TrainingSet.views`."""
        return self.features[index.unsqueeze(-2).expand_as(drawn.mT)]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Nothing: there is no backbone."""
        return iter(())

    def target_distances(self, rows: Tensor, others: Tensor) -> Tensor:
        """Raise TypeError: there is no target."""
        raise TypeError("Matrix.target_distances: inputs alone have no target; give a ViewBank")

    def target_value(self) -> Tensor:
        """Raise TypeError: there is no target."""
        raise TypeError("Matrix.target_value: inputs alone have no target; give a ViewBank")
