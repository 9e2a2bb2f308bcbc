"""Import timm beside a torchvision whose compiled operators do not load.

timm imports torchvision, and a torchvision wheel built for CUDA fails to import beside a CPU build
of torch: it describes operators that it could not load. Declaring the two that it insists on lets
its Python part import; nothing here calls them.
"""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def import_timm() -> ModuleType:
    """Import and return timm.

    Raises
    ------
    ImportError
        If timm is not installed.
    """
    try:
        import torchvision  # noqa: F401  # imported first, to see whether it can be
    except RuntimeError:  # "operator torchvision::nms does not exist"
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            library.define(schema)
        _KEEP.append(library)
    import timm

    module: ModuleType = timm
    return module


_KEEP: list[torch.library.Library] = []  # a library that is collected takes its schemas with it
