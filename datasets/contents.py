"""What a source holds before it is split, and how the user wants it to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from datasets.errors import DatasetError, check_class_names, printable
from datasets.features import Features
from datasets.image_source import ImageSource
from datasets.labels import Labels
from datasets.progress import Progress, silent


@dataclass(frozen=True)
class LoadOptions:
    """How the user wants data sets to be loaded.

    Attributes
    ----------
    data_root : Path or None
        Folder of data that is already here, a folder for each data set; None downloads what is
        needed. Embedded data sets do not look at it.
    allow_missing : bool
        Go on with the rows that are there, under a protocol of another name.
    cache : Path or None
        Folder that keeps what took long to find out.
    progress : callable
        Told of what takes long while a data set is loaded.
    n_query, n_train, cutoff : int or None
        Of the protocol that the user's own data are split by; None chooses by their number.
    unseen : float or None
        Share of the classes of the user's own data that is left out of training; None leaves out
        none.
    image_column, label_column : str or None
        Of the user's own parquet files; None guesses.
    """

    data_root: Path | None = None
    allow_missing: bool = False
    cache: Path | None = None
    progress: Progress = silent
    n_query: int | None = None
    n_train: int | None = None
    cutoff: int | None = None
    unseen: float | None = None
    image_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True, eq=False)
class Contents:
    """What a source holds, before a protocol splits it and before rows that are missing are left.

    Attributes
    ----------
    labels : Labels, shape (N, C)
        A matrix, bool (N, C), is taken too.
    images : ImageSource or None
        N images, some of which may be absent.
    features : Features or None, shape (N, D)
        Precomputed features, where the user brings them.
    parts : mapping from str to Tensor
        Row numbers of the parts that the source comes in: ``{"train": ..., "test": ...}``.
    classes : tuple of str
        Names of the C classes, made `printable`; empty where they have none.
    published : mapping from str to tuple of int
        Of each part, items of each class in the complete copy; ``"all"`` for the whole.
    hierarchy : Tensor or None, float32, shape (C, C)
        Similarity of classes in [0, 1].
    captions : sequence of sequences of str, or None
        Sentences about each of the N images.
    neighbours : Tensor or None, int64, shape (Q, k)
        Of each row of the part ``"test"``, the nearest rows of the part ``"database"``, by their
        places in it, nearest first.
    distance : str or None
        By which they are nearest; neighbours are what is relevant unless the user says otherwise.
    notes : tuple of str
        What the user should know of how the source was read, made `printable`.

    Raises
    ------
    DatasetError
        If labels are neither, or the name of a class holds a NUL or is longer than any file's.
    """

    labels: Labels
    images: ImageSource | None = None
    features: Features | None = None
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    published: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    hierarchy: Tensor | None = None
    captions: Sequence[Sequence[str]] | None = None
    neighbours: Tensor | None = None
    distance: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "labels", Labels.of(self.labels))
        except ValueError as error:
            raise DatasetError(f"data set: {error}") from error
        check_class_names("data set", self.classes)
        object.__setattr__(self, "classes", tuple(map(printable, self.classes)))
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))

    def __len__(self) -> int:
        """Count the items, N."""
        return len(self.labels)

    def subset(self, rows: Tensor) -> Contents:
        """Keep some rows, int64 (n,), ascending."""
        place = torch.full((len(self),), -1)
        place[rows] = torch.arange(len(rows))
        parts = {name: place[old][place[old] >= 0] for name, old in self.parts.items()}
        captions = self.captions
        return replace(
            self,
            labels=self.labels[rows],
            images=None if self.images is None else self.images.subset(rows),
            features=None if self.features is None else Features(self.features[rows]),
            parts=parts,
            captions=None if captions is None else [captions[i] for i in rows.tolist()],
        )
