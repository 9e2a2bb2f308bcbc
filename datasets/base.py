"""The data set as the rest of the benchmark sees it: images, labels, three lists of rows.

A `RetrievalDataset` is checked once, when it is built; whoever receives one may trust it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from datasets.digests import tensor_digest
from datasets.errors import DatasetError
from datasets.features import Features
from datasets.image_source import ImageSource
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_


@dataclass(frozen=True, eq=False)
class RetrievalDataset:
    """Inputs, labels and the rows that train, ask and answer; checked on construction.

    Parameters
    ----------
    name : str
        The data set alone: ``"cifar10"``.
    protocol : Protocol_
        The rule that split it; its sizes must be the sizes found here.
    images : ImageSource or None
        The images, where there are any.
    features : Features or None, shape (N, D)
        Precomputed features, where the user brings them. A tensor is taken too.
    labels : Labels, shape (N, C)
        Two items are relevant to each other if they share a label. A matrix, bool (N, C), is taken
        too.
    train, query, database : Tensor, int64, shapes (n_train,), (Q,), (M,)
        Row numbers. No query is in the database or among the training rows.
    hierarchy : Tensor or None, float, shape (C, C)
        Similarity of classes in [0, 1].
    captions : sequence of sequences of str, or None
        Sentences about each image, at least one of them; N images.
    neighbours : Tensor or None, int64, shape (Q, k)
        Nearest places in ``database`` of each query, nearest first, where the source gives them.
    classes : tuple of str
        Names of the C classes; empty where they have none.
    notes : tuple of str
        What the user should know of how the data set was read.

    Raises
    ------
    DatasetError
        If any of this does not hold.
    """

    name: str
    protocol: Protocol_
    images: ImageSource | None
    features: Features | None
    labels: Labels
    train: Tensor
    query: Tensor
    database: Tensor
    hierarchy: Tensor | None = None
    captions: Sequence[Sequence[str]] | None = None
    neighbours: Tensor | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_inputs()
        for part, size in (
            ("train", self.protocol.n_train),
            ("query", self.protocol.n_query),
            ("database", self.protocol.n_database),
        ):
            self._check_rows(part, getattr(self, part), size)
        for part in ("database", "train"):
            both = torch.isin(self.query, getattr(self, part))
            if both.any():
                self._refuse(
                    f"query and {part} must be disjoint, {int(both.sum())} rows are in both, "
                    f"the first is row {int(self.query[both][0])}"
                )
        if not 1 <= self.protocol.cutoff <= self.protocol.n_database:
            self._refuse(
                f"cutoff must be in 1..{self.protocol.n_database} (the database), "
                f"got {self.protocol.cutoff}"
            )
        self._check_hierarchy()
        self._check_captions()
        self._check_neighbours()
        if self.classes and len(self.classes) != self.labels.n_classes:
            self._refuse(
                f"classes must be {self.labels.n_classes} names, one a column of the labels, or "
                f"none, got {len(self.classes)}"
            )

    def _refuse(self, message: str) -> None:
        raise DatasetError(f"{self.name}/{self.protocol.name}: {message}")

    def _check_inputs(self) -> None:
        try:
            object.__setattr__(self, "labels", Labels.of(self.labels))
        except ValueError as error:
            self._refuse(str(error))
        if self.features is not None:
            try:
                object.__setattr__(self, "features", Features.of(self.features))
            except ValueError as error:
                self._refuse(str(error))
        labels, features = self.labels, self.features
        if self.images is None and features is None:
            self._refuse("neither images nor features are given; give one of them")
        if self.images is not None and len(self.images) != len(labels):
            self._refuse(f"{len(labels)} label rows for {len(self.images)} images")
        if features is None:
            return
        if len(features.shape) != 2 or features.shape[1] < 1:
            self._refuse(f"features must be of shape (N, D), got {tuple(features.shape)}")
        if len(features) != len(labels):
            self._refuse(f"{len(labels)} label rows for {len(features)} feature rows")
        bad = features.not_finite()
        if len(bad):
            self._refuse(
                f"features must be finite, {len(bad)} rows are not, the first is row {int(bad[0])}"
            )

    def _check_rows(self, part: str, rows: Tensor, size: int) -> None:
        if rows.dtype != torch.int64 or rows.ndim != 1:
            self._refuse(f"{part} rows must be int64 (n,), got {rows.dtype} {tuple(rows.shape)}")
        if len(rows) == 0:
            self._refuse(f"{part} is empty; every part needs at least one row")
        if len(rows) != size:
            self._refuse(f"the protocol has {size} {part} rows, got {len(rows)}")
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= len(self.labels):
            self._refuse(f"{part} rows must be in 0..{len(self.labels) - 1}, found {low}..{high}")
        values, counts = rows.unique(return_counts=True)
        if len(values) != len(rows):
            self._refuse(f"{part} lists row {int(values[counts > 1][0])} more than once")

    def _check_hierarchy(self) -> None:
        if self.hierarchy is None:
            return
        n_classes = self.labels.n_classes
        if not self.hierarchy.is_floating_point() or self.hierarchy.shape != (n_classes, n_classes):
            self._refuse(
                f"hierarchy must be float ({n_classes}, {n_classes}), got "
                f"{self.hierarchy.dtype} {tuple(self.hierarchy.shape)}"
            )
        if not bool(((self.hierarchy >= 0) & (self.hierarchy <= 1)).all()):
            self._refuse("hierarchy must be in [0, 1], it holds other values")

    def _check_captions(self) -> None:
        if self.captions is None:
            return
        if len(self.captions) != len(self.labels):
            self._refuse(f"{len(self.labels)} label rows for captions of {len(self.captions)}")
        for row, sentences in enumerate(self.captions):
            if isinstance(sentences, str) or not any(sentences):
                self._refuse(
                    f"captions of row {row} must be one sentence or more, got {sentences!r}"
                )

    def _check_neighbours(self) -> None:
        k, size = self.protocol.neighbours, self.protocol.n_database
        if k > size:
            self._refuse(f"neighbours must be in 1..{size} (the database), got {k}")
        if self.neighbours is None:
            return
        n, width = self.neighbours.shape
        if n != self.protocol.n_query:
            self._refuse(f"neighbours of {n} queries are given, the protocol has another number")
        if k > width:
            self._refuse(
                f"the source gives {width} neighbours of each query, the protocol takes {k}; give "
                f"a smaller k, as in --relevance knn:{width}"
            )
        odd = ((self.neighbours < 0) | (self.neighbours >= size)).nonzero()
        if len(odd):
            row, place = odd[0].tolist()
            self._refuse(
                f"neighbours must be in 0..{size - 1} (the database), query {row} has "
                f"{int(self.neighbours[row, place])}"
            )
        ordered = self.neighbours.sort(1).values
        twice = (ordered[:, 1:] == ordered[:, :-1]).nonzero()
        if len(twice):
            row, place = twice[0].tolist()
            self._refuse(
                f"neighbours must be different rows, query {row} has {int(ordered[row, place])} "
                "twice"
            )

    @cached_property
    def data_digest(self) -> str:
        """What identifies the inputs alone: the key of the feature cache, 64 hex digits."""
        text = f"images {self.images.digest}" if self.images is not None else ""
        if self.features is not None:
            text += f"features {tensor_digest(self.features)}"
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def digest(self) -> str:
        """What identifies protocol, rows, labels and inputs together, 64 hex digits."""
        rest: list[Tensor | Labels] = [self.train, self.query, self.database, self.labels]
        rest += [more for more in (self.hierarchy, self.neighbours) if more is not None]
        text = f"{self.protocol.digest} {tensor_digest(*rest)} {self.data_digest}"
        if self.captions is not None:
            text += json.dumps([list(sentences) for sentences in self.captions])
        return hashlib.sha256(text.encode()).hexdigest()
