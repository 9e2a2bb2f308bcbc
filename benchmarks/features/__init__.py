"""Frozen backbones and the cache of what they give: features and augmented views of images.

>>> import torch
>>> pixels = backbone("pixels", 8)
>>> pixels.label, pixels.features(torch.rand(2, 3, 8, 8)).shape
('pixels@8', torch.Size([2, 192]))
"""

from benchmarks.features.backbones import backbone
from benchmarks.features.cache import FeatureCache

__all__ = ["FeatureCache", "backbone"]
