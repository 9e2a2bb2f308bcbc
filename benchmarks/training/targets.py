"""Targets: what a method is told beside the images; no label leaves a target.

Captions and a tree of classes give distances between training images. The number of classes, and
embeddings of texts, are one value for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from datasets.base import RetrievalDataset
from datasets.labels import Labels
from datasets.sources.class_tree import set_similarity
from methods.base import Supervision


@runtime_checkable
class Distances(Protocol):
    """Distances between training images."""

    def to(self, device: torch.device) -> Self:
        """Move to a device; returns itself."""
        ...

    def distances(self, rows: Tensor, others: Tensor) -> Tensor:
        """Distances in [0, 2] between training images, float32, shape (R, O).

        Symmetric; an image is at distance 0 from itself, whatever is known of it.
        """
        ...


class CaptionTarget:
    """Cosine distances of sentence embeddings.

    Parameters
    ----------
    embeddings : Tensor, float32, shape (N, E)
        One an image.
    """

    def __init__(self, embeddings: Tensor) -> None:
        self._x = F.normalize(embeddings, dim=1)

    def to(self, device: torch.device) -> Self:
        """Move to a device; returns itself."""
        self._x = self._x.to(device)
        return self

    def distances(self, rows: Tensor, others: Tensor) -> Tensor:
        """One minus the cosine, in [0, 2]."""
        cosine = self._x[rows] @ self._x[others].T
        return (1 - cosine).clamp_min(0).masked_fill(rows[:, None] == others, 0)


class HierarchyTarget:
    """Distances of classes in a tree; of several labels the two that are nearest count.

    Parameters
    ----------
    labels : Labels, shape (N, C)
        Kept here, and never handed out.
    similarity : Tensor, float, shape (C, C)
        Of classes, in [0, 1].
    """

    def __init__(self, labels: Labels, similarity: Tensor) -> None:
        # Images with the same labels are at the same distances from all others.
        packed, self._set = labels.packed().unique(dim=0, return_inverse=True)
        sets = np.unpackbits(packed.numpy(), axis=1, count=labels.n_classes).view(np.bool_)
        best = set_similarity(sets, sets, similarity.numpy())
        self._distance = 1 - torch.from_numpy(best).float()  # (S, S)

    def to(self, device: torch.device) -> Self:
        """Move to a device; returns itself."""
        self._set, self._distance = self._set.to(device), self._distance.to(device)
        return self

    def distances(self, rows: Tensor, others: Tensor) -> Tensor:
        """One minus the similarity of the classes, in [0, 1]; without a label 1 from all others."""
        distance = self._distance[self._set[rows][:, None], self._set[others]]
        return distance.masked_fill(rows[:, None] == others, 0)


class Value:
    """What is declared of all images together.

    Parameters
    ----------
    value : Tensor
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def to(self, device: torch.device) -> Self:
        """Move to a device; returns itself."""
        self.value = self.value.to(device)
        return self


Target = Distances | Value

Embed = Callable[[Sequence[Sequence[str]]], Tensor]
"""Captions of N images to their embeddings, float32 (N, E)."""


def target_of(
    data: RetrievalDataset,
    supervision: Supervision,
    embed: Embed,
    texts: Mapping[str, Tensor] = MappingProxyType({}),
) -> Target | None:
    """Build the target of the training images of a data set that has one.

    Parameters
    ----------
    data : RetrievalDataset
    supervision : Supervision
        What the method declares.
    embed : callable
        What embeds captions, see `benchmarks.features.captions.embed`.
    texts : Mapping[str, Tensor]
        Embeddings of texts by what declares them.
    """
    if supervision == "captions":
        assert data.captions is not None, "checked when the grid was built"
        return CaptionTarget(embed([data.captions[i] for i in data.train.tolist()]))
    if supervision == "hierarchy":
        assert data.hierarchy is not None, "checked when the grid was built"
        return HierarchyTarget(data.labels[data.train], data.hierarchy)
    if supervision == "n_classes":
        return Value(torch.tensor(data.labels.n_classes))
    if supervision in ("nouns", "class_names"):
        return Value(texts[supervision])
    return None
