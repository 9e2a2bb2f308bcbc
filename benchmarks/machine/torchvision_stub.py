"""Import libraries beside a torchvision whose compiled operators do not load.

timm and transformers import torchvision, and a torchvision wheel built for CUDA fails to import
beside a CPU build of torch: it describes operators that it could not load. Declaring the two that
it insists on lets its Python part import; nothing here calls them.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def import_timm() -> ModuleType:
    """Import and return timm.

    Raises
    ------
    ImportError
        If timm is not installed.
    """
    return import_beside_torchvision("timm")


@cache
def import_beside_torchvision(library: str) -> ModuleType:
    """Import and return a library that imports torchvision itself, where there is one.

    Raises
    ------
    ImportError
        If the library is not installed.

    Examples
    --------
    >>> import_beside_torchvision("timm").is_model("vgg16")
    True
    """
    try:
        with suppress(ImportError):  # without torchvision there is nothing to mend
            import_module("torchvision")
    except RuntimeError:  # "operator torchvision::nms does not exist"
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        declared = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            declared.define(schema)
        _KEEP.append(declared)
    return import_module(library)


_KEEP: list[torch.library.Library] = []  # a library that is collected takes its schemas with it
