"""A timm network as a frozen backbone, and weights from files, which are read as data alone."""

from __future__ import annotations

import copy
import difflib
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.features import base, fold_batch_norm
from benchmarks.features.base import Backbone, BackboneError
from benchmarks.features.fold_batch_norm import folded
from benchmarks.machine.torchvision_stub import import_timm
from datasets.digests import code_digest
from datasets.errors import one_line


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

    is_network = True

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
        self.crop_share = min(config.crop_pct, 1.0)  # above 1, timm pads the image
        self.crop_filter = "bilinear" if config.interpolation == "bilinear" else "bicubic"
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
        """SHA-256 over names, shapes and bytes of the weights, what is done to inputs and the code.

        The code is that of inputs, pooling, tokens and folding.
        """
        modules = (base, fold_batch_norm, sys.modules[__name__])
        code = code_digest(*map(inspect.getsource, modules))
        inputs = f"{self.mean} {self.std} {self.crop_share} {self.crop_filter}"
        sha = hashlib.sha256(f"{code} {self._model_name} {inputs}".encode())
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


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors`` or a torch file, never running code from it.

    Raises
    ------
    BackboneError
        If the file is absent or is not a dictionary of tensors.
    """
    if not path.is_file():
        raise BackboneError(f"backbone weights: no file {path}; give a .safetensors or .pth file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise what they like on a damaged file
        raise BackboneError(
            f"backbone weights: {path} cannot be read: {one_line(error)}"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BackboneError(
            f"backbone weights: {path} must hold a dictionary of tensors; save model.state_dict()"
        )
    return state


def load_in_order(name: str, model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load by key, or else by position where the keys differ but every shape agrees.

    Weights of another input size, such as position embeddings, are resampled as timm does it.
    """
    own = model.state_dict()
    if state.keys() == own.keys() and any(state[key].shape != own[key].shape for key in own):
        resample = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        if resample is not None:
            state = resample(state, model)
    if state.keys() != own.keys():
        shapes = [tuple(v.shape) for v in own.values()], [tuple(v.shape) for v in state.values()]
        if shapes[0] != shapes[1]:
            raise BackboneError(
                f"backbone {name}: the weights do not fit the model: "
                f"{len(state)} entries for its {len(own)}, or other shapes; "
                "give weights of the same architecture"
            )
        state = dict(zip(own, state.values(), strict=True))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # the same keys, other shapes
        raise BackboneError(
            f"backbone {name}: the weights do not fit the model: {one_line(error)}"
        ) from error
