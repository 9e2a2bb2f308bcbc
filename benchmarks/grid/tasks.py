"""A task: a data set under one protocol, seen through one backbone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import torch

from benchmarks.features.backbones import backbone
from benchmarks.features.base import Backbone, BackboneError, Kind, Resize
from benchmarks.features.extraction import extraction_digest
from benchmarks.features.texts import KINDS, Texts, read_texts
from benchmarks.grid.method_settings import GridError, MethodSpec
from benchmarks.grid.yardsticks.base import Yardstick
from datasets import load
from datasets.base import RetrievalDataset
from datasets.contents import LoadOptions
from datasets.image_source import MemoryImages
from datasets.progress import silent
from methods.base import Supervision

DEFAULT_BACKBONE = {"digits": "pixels", "synthetic": "pixels"}
"""Backbone by data set; natural images take `NATURAL_BACKBONE`."""
NATURAL_BACKBONE = "efficientnet_lite0"
NO_BACKBONE = "pixels"
"""Stands in where features are given: it has no weights to load, and is never run."""


@dataclass(frozen=True)
class TaskRequest:
    """What a user asks for; small, and the same on any machine that sees the same files.

    Attributes
    ----------
    dataset : str
        Name, name and protocol, or kind and path.
    options : LoadOptions
    backbone : str or None
        None chooses by the data set.
    input_size : int or None
        In pixels; None is what the backbone was trained at.
    resize : "stretch" or "crop"
        How a whole image becomes the backbone's input.
    texts : Path or None
        File of embeddings of texts, see `benchmarks.features.texts`.
    """

    dataset: str
    options: LoadOptions
    backbone: str | None = None
    input_size: int | None = None
    resize: Resize = "stretch"
    texts: Path | None = None


@dataclass(frozen=True)
class Task:
    """A data set under one protocol, seen through one backbone.

    It is sent to another process as the request that it was opened by, and opened anew there.

    Attributes
    ----------
    data : RetrievalDataset
    backbone : Backbone
    request : TaskRequest or None
        What it was opened by.
    texts : Texts or None
        Embeddings in the space of the features, where the user gave some.
    """

    data: RetrievalDataset
    backbone: Backbone
    request: TaskRequest | None = None
    texts: Texts | None = None

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[object, ...]]:
        """Travel as a request; the digest tells whether the other side found the same."""
        if self.request is None:
            raise TypeError("Task: one that was not opened by a request cannot be sent")
        return _opened, (self.request, self.digest)

    @property
    def label(self) -> str:
        """Backbone, input size and how images come to it; precomputed features have none."""
        return "features" if self.data.features is not None else self.backbone.label

    def in_dim(self, kind: Kind) -> int | None:
        """Width D of what a method is given; None where images would have to be decoded for it.

        Raises
        ------
        BackboneError
            If the backbone gives nothing of the kind.
        """
        if kind not in self._in_dims:
            self._in_dims[kind] = self._measured(kind)
        return self._in_dims[kind]

    @cached_property
    def _in_dims(self) -> dict[Kind, int | None]:
        return {}

    def _measured(self, kind: Kind) -> int | None:
        if self.data.features is not None:
            return self.data.features.shape[-1]
        side = self.backbone.input_size
        if side is None and isinstance(self.data.images, MemoryImages):
            side = self.data.images.read(torch.tensor([0])).shape[-1]
        if side is None:
            return None
        give = self.backbone.features if kind == "features" else self.backbone.tokens
        with torch.no_grad():
            return give(torch.zeros(1, 3, side, side)).shape[-1]

    def refuses(self, spec: MethodSpec, n_bits: int) -> str | None:
        """Say why a method cannot run here at a code length, None if it can."""
        if (missing := self.lacks(spec)) is not None:
            return missing
        try:
            in_dim = self.in_dim(spec.cls.consumes)
        except BackboneError as error:
            return f"{spec.name}: {error}"
        if in_dim is not None and (fault := self._other_width(spec, in_dim)) is not None:
            return fault
        fits = 8 * max(n_bits, 1)  # all parts of K divide it
        fault = spec.length_fault(in_dim or fits, n_bits)
        return fault and f"{spec.name} at {n_bits} bits: {fault}"

    def lacks(self, spec: MethodSpec) -> str | None:
        """Say what a method needs and this task cannot give; None if nothing is missing."""
        data, cls = self.data, spec.cls
        wanted = {"captions": data.captions, "hierarchy": data.hierarchy}
        if cls.supervision in wanted and wanted[cls.supervision] is None:
            return f"{spec.name} learns from {cls.supervision}, and {data.name} has none"
        if cls.supervision == "n_classes" and data.labels.n_classes < 2:
            return f"{spec.name} is told the number of classes, and {data.name} has none"
        if cls.supervision in KINDS and (missing := self._lacks_texts(spec)) is not None:
            return missing
        if issubclass(cls, Yardstick):
            missing = cls.lacks(data.protocol.n_train, spec.params)
            return missing and f"{spec.name} {missing}"
        if data.images is not None:
            return None
        if cls.consumes == "tokens":
            return f"{spec.name} needs tokens, and {data.name} has features only"
        if spec.is_trained and cls.n_views > 1:
            return f"{spec.name} needs augmented views, and {data.name} has features only"
        return None

    def texts_digest(self, supervision: Supervision) -> str | None:
        """SHA-256 of the texts that a method learns from, None where it learns from none."""
        if self.texts is None or supervision not in KINDS:
            return None
        return self.texts.digest(supervision)

    def _lacks_texts(self, spec: MethodSpec) -> str | None:
        kind = spec.learns_from
        if self.texts is None:
            return (
                f"{spec.name} learns from {kind}, and none are given; give --texts FILE with "
                f"their embeddings in an array {kind}, by the text encoder beside the backbone"
            )
        if kind not in self.texts.embeddings:
            return f"{spec.name} learns from {kind}, and {self.texts.path} has no such array"
        return None

    def _other_width(self, spec: MethodSpec, in_dim: int) -> str | None:
        """Say that texts lie in another space than the features."""
        if self.texts is None or spec.learns_from not in KINDS:
            return None
        width = self.texts.embeddings[spec.learns_from].shape[1]
        if width == in_dim:
            return None
        return (
            f"{spec.name} compares features with texts, and features have {in_dim} numbers where "
            f"{spec.learns_from} of {self.texts.path} have {width}; take both of one model"
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the data, its split, the weights and the code of their features."""
        told = [] if self.texts is None else [self.texts.digest(k) for k in self.texts.embeddings]
        parts = [self.data.digest, self.backbone.digest, self.label, extraction_digest(), *told]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def open_task(request: TaskRequest) -> Task:
    """Load the data set and the backbone.

    Raises
    ------
    DatasetError, BackboneError
        If one of them cannot be had.
    """
    data = load(request.dataset, request.options)
    sent = replace(request, options=replace(request.options, progress=silent))
    texts = None if request.texts is None else read_texts(request.texts)
    if data.features is not None:
        return Task(data, backbone(NO_BACKBONE, None), sent, texts)
    chosen = request.backbone or DEFAULT_BACKBONE.get(data.name, NATURAL_BACKBONE)
    return Task(data, backbone(chosen, request.input_size, request.resize), sent, texts)


@lru_cache(maxsize=2)
def _opened(request: TaskRequest, digest: str) -> Task:
    """Open a task that was sent, once in this process."""
    task = open_task(request)
    if task.digest != digest:
        raise GridError(
            f"{request.dataset}: this process finds other data or weights than the one that "
            "planned the grid; give both the same files and the same code"
        )
    return task
