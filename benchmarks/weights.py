"""Files of weights, read without running code from them, and fitted to a model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from datasets.base import DatasetError, one_line


class BackboneError(DatasetError):
    """A backbone that cannot be built; the message is one line meant for the user."""


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
    """Load by key, or else by position where the keys differ but every shape agrees."""
    own = model.state_dict()
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
