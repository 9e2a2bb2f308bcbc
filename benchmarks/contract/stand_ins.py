"""Small inputs and short trainings that the checks use in place of real ones.

Images are N features of width D, views are the inputs with noise, tokens are T noisy copies of an
image's features. Classes lie in a row: neighbours are half as far apart as its ends.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.training.targets import HierarchyTarget, Target, Value
from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import ViewBank
from datasets.labels import Labels
from methods.base import HashMethod, Recipe, Supervision

D, N, V, T = 24, 192, 4, 5
_SIMILARITY = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]])  # (C, C)


class ContractError(AssertionError):
    """A broken contract; the message is one line meant for the method's author."""


def require(condition: bool, message: str) -> None:
    """Raise ContractError with the message unless the condition holds."""
    if not condition:
        raise ContractError(message)


class Witness(ViewBank):
    """A training set that notes what is asked of it and is not there.

    Parameters
    ----------
    features : Tensor, float32, shape (N, ...)
    bank : Tensor, float32, shape (N, V, ...)
        Views to choose from.
    target : Target or None
        Where the method declares a supervision.

    Attributes
    ----------
    asked : list of str
        Names, in order.
    """

    def __init__(self, features: Tensor, bank: Tensor, target: Target | None) -> None:
        super().__init__(features, bank, torch.device("cpu"), target)
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> object:
        if not name.startswith("__"):  # Python and torch ask for those by themselves
            self.asked.append(name)
        raise AttributeError(f"a training set has no {name!r}")


def blobs(cls: type[HashMethod]) -> tuple[Witness, Tensor]:
    """Three blobs far apart, of what the class consumes, and their labels, int64 (N,)."""
    g = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(3, D, generator=g)
    labels = torch.arange(N) % 3
    plain = centres[labels] + torch.randn(N, D, generator=g)
    return _with_views(cls, plain, labels, 1.0, g), labels


def continuum(cls: type[HashMethod]) -> Witness:
    """Images without clusters, so that each has nearer and farther neighbours."""
    g = torch.Generator().manual_seed(0)
    plain = torch.randn(N, 6, generator=g) @ torch.randn(6, D, generator=g)
    return _with_views(cls, plain, plain[:, 0].gt(0).long(), 0.3, g)


def _with_views(
    cls: type[HashMethod], plain: Tensor, labels: Tensor, spread: float, g: torch.Generator
) -> Witness:
    if cls.consumes == "tokens":
        plain = plain[:, None] + spread * torch.randn(N, T, D, generator=g)
    bank = plain[:, None] + 0.3 * torch.randn(N, max(V, cls.n_views), *plain.shape[1:], generator=g)
    texts = plain[:3].reshape(3, -1, D).mean(1)  # what could be said of three of the images
    return Witness(plain, bank, told(cls.supervision, labels, texts))


def told(supervision: Supervision, labels: Tensor, texts: Tensor) -> Target | None:
    """Make what a class declares to learn from.

    Parameters
    ----------
    supervision : Supervision
    labels : Tensor, int64, shape (N,)
        Of the images, 0 to 2.
    texts : Tensor, float32, shape (M, D)
        Embeddings of names or nouns.
    """
    if supervision == "none":
        return None
    if supervision == "n_classes":
        return Value(torch.tensor(3))
    if supervision in ("nouns", "class_names"):
        return Value(texts)
    return HierarchyTarget(Labels.one_each(labels, 3), _SIMILARITY)


def short(cls: type[HashMethod], epochs: int) -> Recipe:
    """Shorten the class's recipe to so many epochs in batches of 32."""
    return replace(cls.recipe, epochs=epochs, epochs_at={}, batch_size=32)


def fitted(cls: type[HashMethod], n_bits: int = 16, seed: int = 0, epochs: int = 5) -> HashMethod:
    """Build from a seed and fit to the blobs."""
    data, _ = blobs(cls)
    torch.manual_seed(seed)
    method = cls(D, n_bits)
    method.fit(data, Trainer(short(cls, epochs), seed))
    return method
