"""A task: a data set under one protocol, seen through one backbone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.evaluation.tracks import STEPS
from benchmarks.features.backbones import backbone
from benchmarks.features.base import Backbone, BackboneError, Kind, Resize
from benchmarks.features.corrupted import corruption_digest
from benchmarks.features.extraction import extraction_digest
from benchmarks.features.kmeans_patches import KMeansPatches
from benchmarks.features.texts import KINDS, Texts, read_texts
from benchmarks.grid.method_settings import GridError, MethodSpec
from benchmarks.grid.yardsticks.base import Yardstick
from benchmarks.training.embedding_views import EMBEDDING
from datasets import load
from datasets.base import RetrievalDataset
from datasets.contents import LoadOptions
from datasets.errors import DatasetError, need
from datasets.image_source import MemoryImages
from datasets.own.kinds import without_own
from datasets.progress import silent
from methods.base import Supervision
from results.store.run_key import Table

DEFAULT_BACKBONE = {"digits": "pixels", "synthetic": "pixels"}
"""Backbone by data set; natural images take `NATURAL_BACKBONE`."""
NATURAL_BACKBONE = "efficientnet_lite0"
MOST_VECTORS = 2_000_000
"""Items of a database that yardsticks without codes rank; each pair is sorted, as float64."""
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
    shift : bool
        Whether to ask with queries that were made worse, too.
    distractors : str or None
        Name of the data set whose images the database is to grow by, as `dataset`.
    texts : Path or None
        File of embeddings of texts, see `benchmarks.features.texts`.
    """

    dataset: str
    options: LoadOptions
    backbone: str | None = None
    input_size: int | None = None
    resize: Resize = "stretch"
    shift: bool = False
    distractors: str | None = None
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
    shift : bool
        Whether to ask with queries that were made worse, too.
    distractors : RetrievalDataset or None
        Data set whose rows the database is to grow by, see `benchmarks.evaluation.tracks`.
    texts : Texts or None
        Embeddings in the space of the features, where the user gave some.

    Raises
    ------
    DatasetError
        If the data cannot be measured so.
    """

    data: RetrievalDataset
    backbone: Backbone
    request: TaskRequest | None = None
    shift: bool = False
    distractors: RetrievalDataset | None = None
    texts: Texts | None = None

    def __post_init__(self) -> None:
        self._check_tracks()
        if isinstance(self.backbone, KMeansPatches) and self.data.images is not None:
            learnt = self.backbone.learnt_from(self.data.images, self.data.train)
            object.__setattr__(self, "backbone", learnt)

    def _check_tracks(self) -> None:
        data, others = self.data, self.distractors
        flags = [flag for flag, on in (("--shift", self.shift), ("--distractors", others)) if on]
        if flags and data.protocol.neighbours:
            raise DatasetError(
                f"{flags[0]}: goes by labels, and to {data.protocol.label} neighbours are relevant"
            )
        if self.shift and data.images is None:
            raise DatasetError(f"--shift: makes images worse, and {data.name} has features only")
        if self.shift:
            need(DatasetError, "--shift", "kornia")
        if others is None:
            return
        widths = [None if d.features is None else d.features.shape[1] for d in (data, others)]
        if widths[0] != widths[1]:
            given = ["images" if width is None else f"{width} features" for width in widths]
            raise DatasetError(
                f"--distractors: {others.name} has {given[1]}, and {data.name} has {given[0]}; "
                "name data of the same kind"
            )
        if data.data_digest == others.data_digest:
            raise DatasetError(f"--distractors: {others.name} is the data set itself; name another")
        if len(others.labels) < STEPS[-1] - 1:
            raise DatasetError(
                f"--distractors: {others.name} has {len(others.labels)} rows, and growth takes "
                f"{STEPS[-1] - 1} at least"
            )

    @property
    def tracks(self) -> dict[str, Any]:
        """What is measured beside queries and database, as JSON data; empty for nothing."""
        found: dict[str, Any] = {}
        if self.shift:
            found["shift"] = corruption_digest()
        if self.distractors is not None:
            name, digest = self.distractors.protocol.label, self.distractors.data_digest
            found["distractors"] = {"name": name, "digest": digest}
        return found

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[object, ...]]:
        """Travel as a request; the digest tells whether the other side found the same."""
        if self.request is None:
            raise TypeError("Task: one that was not opened by a request cannot be sent")
        return _opened, (self.request, self.digest)

    @property
    def label(self) -> str:
        """Backbone, input size and how images come to it; precomputed features have none."""
        return "features" if self.data.features is not None else self.backbone.label

    @property
    def table(self) -> Table:
        """The table that its cells stand in."""
        return Table(self.data.name, self.data.protocol.name, self.label)

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
        if isinstance(self.backbone, KMeansPatches):
            return self.backbone.width(kind)
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
        stand_in = 8 * max(n_bits, 1)  # for a width not known yet: every rule accepts 8 K
        fault = spec.length_fault(in_dim or stand_in, n_bits)
        return fault and f"{spec.name} at {n_bits} bits: {fault}"

    def lacks(self, spec: MethodSpec) -> str | None:
        """Say what a method needs and this task cannot give; None if nothing is missing."""
        data, cls = self.data, spec.cls
        wanted = {"captions": data.captions, "hierarchy": data.hierarchy}
        if cls.supervision in wanted and wanted[cls.supervision] is None:
            return f"{spec.name} learns from {cls.supervision}, and {data.name} has none"
        if not spec.has_codes and data.protocol.n_database > MOST_VECTORS:
            return (
                f"{spec.name} keeps a vector of each of {data.protocol.n_database:,} items in "
                f"memory, of at most {MOST_VECTORS:,}"
            )
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
        if spec.is_trained and cls.n_views > 1 and not spec.sees_noise:
            return (
                f"{spec.name} needs augmented views, and {data.name} has features only; --set "
                f"{spec.name}.augmentation={EMBEDDING} makes views of features"
            )
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
    others = request.distractors and load(request.distractors, without_own(request.options))
    texts = None if request.texts is None else read_texts(request.texts)
    more = request.shift, others or None, texts
    if data.features is not None:
        return Task(data, backbone(NO_BACKBONE, None), sent, *more)
    chosen = request.backbone or DEFAULT_BACKBONE.get(data.name, NATURAL_BACKBONE)
    return Task(data, backbone(chosen, request.input_size, request.resize), sent, *more)


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
