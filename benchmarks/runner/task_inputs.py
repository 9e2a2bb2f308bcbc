"""Features, views, images and targets of a task, loaded once in a process for all its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any, TypeVar

from torch import Tensor

from benchmarks.evaluation.neighbours import Neighbours
from benchmarks.evaluation.tracks import DISTRACTORS, SHIFTED
from benchmarks.evaluation.truth import truth_of
from benchmarks.features.base import Backbone, Kind, Resize
from benchmarks.features.cache import Cached, FeatureCache
from benchmarks.features.corrupted import KINDS, SEVERITIES
from benchmarks.grid.cells import Cell
from benchmarks.grid.tasks import Task
from benchmarks.runner.stopwatch import Stopwatch
from benchmarks.training.distributed.shared_batch import SharedBatch
from benchmarks.training.distributed.torchrun import current_group
from benchmarks.training.embedding_views import EmbeddingViews
from benchmarks.training.targets import Target, target_of
from benchmarks.training.training_sets import EndToEnd, FreshViews, ViewBank
from datasets.augment import AUGMENTATIONS
from datasets.base import RetrievalDataset
from datasets.features import Features
from datasets.image_source import ImageSource
from methods.base import Supervision, TrainingSet

T = TypeVar("T")

Needs = frozenset[tuple[str, int, Kind]]
"""What cells will ask for: augmentation (none is ""), views of an image, and kind."""


def needs_of(cells: Iterable[Cell]) -> Needs:
    """Say what cells will ask for."""
    found: set[tuple[str, int, Kind]] = set()
    for cell in cells:
        spec = cell.method
        if spec.finetune:
            continue
        kind = spec.cls.consumes
        found.add(("", 1, kind))
        if spec.is_trained and cell.views == "bank":
            found.add((spec.recipe.augmentation, spec.recipe.bank_size, kind))
    return frozenset(found)


@dataclass
class TaskInputs:
    """The features of a task, fetched on first use and shared by its cells.

    A failure is kept too: the cells that need the same features fail with the same message instead
    of trying again.

    Attributes
    ----------
    task : Task
    cache : FeatureCache
    needs : Needs
        What will be asked for: features and tokens of the same views are extracted together.
    """

    task: Task
    cache: FeatureCache
    needs: Needs = frozenset()
    _got: dict[object, Any] = field(default_factory=dict)

    def features(self, kind: Kind) -> Cached[Features]:
        """Unaugmented features or tokens of every row, on the device of the cache."""

        def read() -> Cached[Features]:
            given = self.task.data.features
            if given is not None and kind == "features":
                return Cached(given.to(self.cache.device), 0.0)
            found = self.cache.features(*self._names, kind, self._also("", 1, kind))
            return Cached(Features(found.array.to(self.cache.device)), found.seconds)

        return self._once(kind, read)

    def tracks(self, kind: Kind) -> Iterator[tuple[str, Features]]:
        """Give what is encoded beside queries and database, by the name of its codes."""
        data, backbone = self._names
        for corruption, severity in product(KINDS, SEVERITIES) if self.task.shift else ():
            name = f"{SHIFTED}{corruption}-{severity}"
            read = partial(self.cache.shifted, data, backbone, kind, corruption, severity)
            yield name, Features(self._once((name, kind), read).array)
        others = self.task.distractors
        if others is not None and others.features is not None:
            yield DISTRACTORS, others.features
        elif others is not None:
            read = partial(self.cache.features, others, backbone, kind)
            yield DISTRACTORS, Features(self._once((DISTRACTORS, kind), read).array)

    def training_features(self, kind: Kind) -> Tensor:
        """Features or tokens of the training images, float32; one copy for all cells."""

        def rows() -> Tensor:
            found = self.features(kind).array
            return found[self.task.data.train.to(found.device)]

        return self._once(("training", kind), rows)

    def bank(self, augmentation: str, n_views: int, kind: Kind) -> Cached[Tensor]:
        """Augmented views of the training images."""

        def read() -> Cached[Tensor]:
            also = self._also(augmentation, n_views, kind)
            found = self.cache.bank(*self._names, augmentation, n_views, kind, also)
            return Cached(found.array.to(self.cache.device), found.seconds)

        return self._once((augmentation, n_views, kind), read)

    def images(self, resize: Resize) -> ImageSource:
        """Images of the task, ready to be read, see `FeatureCache.images`."""
        return self._once(("images", resize), lambda: self.cache.images(self.task.data, resize))

    def training_images(self, resize: Resize = "stretch") -> Tensor:
        """Training images, uint8 (N, 3, H, W), on the device of the cache; one copy for all."""
        images = self.images(resize)

        def read() -> Tensor:
            return images.read(self.task.data.train).to(self.cache.device)

        return self._once(("training images", images.digest), read)

    def training_set(self, cell: Cell, watch: Stopwatch) -> TrainingSet:
        """Make what a cell's method trains on; `watch` is told what its features took."""
        made = self._training_set(cell, watch)
        made.seed = cell.key.seed
        return made

    def _training_set(self, cell: Cell, watch: Stopwatch) -> TrainingSet:
        spec, device = cell.method, self.cache.device
        kind, backbone = spec.cls.consumes, self.task.backbone
        target = self.target(spec.learns_from, cell.text_encoder)
        if spec.finetune:
            augmentation = AUGMENTATIONS[spec.recipe.augmentation]
            whole = EndToEnd if current_group().size == 1 else SharedBatch
            images, plain = self.training_images(), self.training_images(backbone.resize)
            return whole(images, backbone, kind, augmentation, device, target, plain)
        features = self.features(kind)
        watch.seconds["features"] = features.seconds
        plain = self.training_features(kind)
        if spec.sees_noise:
            return EmbeddingViews(plain, device, target)
        if not spec.is_trained or self.task.data.images is None:
            return ViewBank(plain, None, device, target)
        if cell.views == "bank":
            bank = self.bank(spec.recipe.augmentation, spec.recipe.bank_size, kind)
            watch.seconds["features"] += bank.seconds
            return ViewBank(plain, bank.array, device, target)
        frozen = backbone.to(device).frozen()
        images, augmentation = self.training_images(), AUGMENTATIONS[spec.recipe.augmentation]
        return FreshViews(plain, images, frozen, kind, augmentation, device, target)

    def truth(self) -> Neighbours | None:
        """Find the neighbours that are relevant, where the protocol goes by them."""

        def find() -> Neighbours | None:
            if not self.task.data.protocol.neighbours:
                return None
            features = self.features("features").array
            key = [self.task.data.data_digest, self.task.backbone.digest, self.task.label]
            told = self.cache.progress
            return truth_of(self.task.data, features, self.cache.root, "-".join(key), told)

        return self._once("truth", find)

    def target(self, supervision: Supervision, text_encoder: str) -> Target | None:
        """Build what a method that declares a supervision learns from."""

        def embed(captions: Sequence[Sequence[str]]) -> Tensor:
            return self.cache.captions(captions, text_encoder).array

        name = (supervision, text_encoder)
        texts = {} if self.task.texts is None else self.task.texts.embeddings
        return self._once(name, lambda: target_of(self.task.data, supervision, embed, texts))

    def _also(self, augmentation: str, n_views: int, kind: Kind) -> Kind | None:
        """Say what else the same pass over the images should give."""
        other: Kind = "tokens" if kind == "features" else "features"
        return other if (augmentation, n_views, other) in self.needs else None

    @property
    def _names(self) -> tuple[RetrievalDataset, Backbone]:
        return self.task.data, self.task.backbone

    def _once(self, name: object, get: Callable[[], T]) -> T:
        if name not in self._got:
            try:
                self._got[name] = get()
            except Exception as error:  # kept, and raised below and for every later cell
                self._got[name] = error
        got: T | Exception = self._got[name]
        if isinstance(got, Exception):
            raise got
        return got
