"""What a frozen backbone is, and the one without a network: the pixels themselves."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datasets.digests import code_digest
from datasets.errors import DatasetError
from datasets.resample import Filter, centre_crop, resize

MAX_INPUT_SIZE = 4096

Kind = Literal["features", "tokens"]
"""What a backbone gives for an image: one vector, or one for each of its parts."""

Resize = Literal["stretch", "crop"]
"""How a whole image becomes the square that a network sees: all of it, stretched where it is not
square; or its centre, undistorted."""


class BackboneError(DatasetError):
    """A backbone that cannot be built; the message is one line meant for the user."""


class Backbone(ABC):
    """A frozen network from images to features.

    Attributes
    ----------
    name : str
        As given by the user.
    input_size : int or None
        Side of the square input in pixels; None takes images as they are.
    resize : "stretch" or "crop"
        How a whole image becomes that square.
    crop_share : float
        Of the short side, what ``crop`` keeps; 1 for the largest square.
    crop_filter : "bilinear" or "bicubic"
        How ``crop`` scales; ``stretch`` is bilinear.
    is_network : bool
        Whether it has weights, and can be exported.
    """

    is_network: bool = False

    resize: Resize = "stretch"
    crop_share: float = 1.0
    crop_filter: Filter = "bilinear"

    def __init__(self, name: str, input_size: int | None) -> None:
        if input_size is not None and not 1 <= input_size <= MAX_INPUT_SIZE:
            bound = "at least 1 pixel" if input_size < 1 else f"at most {MAX_INPUT_SIZE} pixels"
            raise BackboneError(
                f"backbone {name}: the input size must be {bound}, got {input_size}"
            )
        self.name = name
        self.input_size = input_size

    @property
    def label(self) -> str:
        """Name, input size and how images come to it, as tables and folders show it.

        Examples
        --------
        >>> pixels = Pixels("pixels", 16)
        >>> pixels.label
        'pixels@16'
        >>> pixels.resize = "crop"
        >>> pixels.label
        'pixels@16,crop'
        """
        return self.network_label + ("" if self.resize == "stretch" else f",{self.resize}")

    @property
    def network_label(self) -> str:
        """Name and input size alone: what augmented views depend on."""
        return self.name if self.input_size is None else f"{self.name}@{self.input_size}"

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 over weights and the code that computes with them, 64 hexadecimal digits."""

    @abstractmethod
    def to(self, device: torch.device) -> Backbone:
        """Move to a device; returns itself."""

    def square(self, images: Tensor) -> Tensor:
        """Bring whole images to the input of the network.

        Parameters
        ----------
        images : Tensor, uint8, shape (B, 3, H, W)

        Returns
        -------
        Tensor, float32 in [0, 1], shape (B, 3, S, S)
        """
        size = self.input_size or images.shape[-1]
        if self.resize == "stretch":
            return resize(images, size)
        return centre_crop(images, size, self.crop_share, self.crop_filter)

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Pooled features, images float32 in [0, 1], shape (B, 3, S, S) -> (B, D)."""

    @abstractmethod
    def tokens(self, images: Tensor) -> Tensor:
        """Features of the parts of each image, (B, 3, S, S) -> (B, T, D)."""

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and tokens, at the price of one of them where they have a network in common."""
        return self.features(images), self.tokens(images)

    def frozen(self) -> Backbone:
        """Give the same numbers, to rounding, by the fastest way; never to be trained."""
        return self

    def check_trainable(self) -> None:
        """Raise BackboneError if there are no weights to train."""
        raise BackboneError(
            f"backbone {self.name}: has no weights to train; choose a network with --backbone, "
            "or leave --finetune out"
        )

    def trainable(self) -> Backbone:
        """Return a copy whose weights can be trained.

        Raises
        ------
        BackboneError
            If there are none.
        """
        self.check_trainable()
        return self

    def parameters(self) -> Iterator[nn.Parameter]:
        """Weights, where there are any."""
        return iter(())


class Pixels(Backbone):
    """The pixels as they are, row by row: D = 3 S^2.

    Tokens are overlapping patches of 3/4 of the side, 1/8 of it apart: T = 9 where 8 divides S.
    They are that large because the mean of tokens should still tell images apart.
    """

    @cached_property
    def digest(self) -> str:
        """SHA-256 of this code; there are no weights."""
        return code_digest(inspect.getsource(sys.modules[__name__]))

    def to(self, device: torch.device) -> Backbone:
        """Return itself: there is nothing to move."""
        return self

    def features(self, images: Tensor) -> Tensor:
        """Flatten."""
        return images.flatten(1)

    def tokens(self, images: Tensor) -> Tensor:
        """Cut into patches; a border that fills none is left out."""
        size = images.shape[-1]
        return F.unfold(images, max(3 * size // 4, 1), stride=max(size // 8, 1)).mT
