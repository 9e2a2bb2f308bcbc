"""What a yardstick is: a row beside the methods, with codes or with vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from benchmarks.evaluation.float_ranking import Rule
from methods.base import Array, HashMethod, Trainer, TrainingSet
from methods.equal_rows import repeated_rows, row_keys


class Yardstick(HashMethod):
    """A row beside the methods; the default learns nothing."""

    @classmethod
    def lacks(cls, n_train: int, params: Mapping[str, Any]) -> str | None:
        """Say what it needs and has not got, None where nothing is missing.

        Parameters
        ----------
        n_train : int
            Training images.
        params : mapping
            Of its constructor.
        """
        return None

    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Return itself."""
        return self


class VectorYardstick(Yardstick):
    """A yardstick without codes for Hamming distances: queries and items are vectors.

    `project` gives those of queries. An item's may be another one: of what an item is kept as, say,
    while a query is at hand in full. The items of the largest `rule` come first.
    """

    rule: ClassVar[Rule] = "inner product"
    size: ClassVar[str]
    """What an item takes, as tables show it: "K bits", say."""
    has_lengths: ClassVar[bool] = True
    """Whether it has a cell a length and seed; else one cell alone."""

    @classmethod
    @abstractmethod
    def item_bytes(cls, in_dim: int, n_bits: int) -> int:
        """Count all bytes that are kept of an item; not what is kept once for all of them."""

    @abstractmethod
    def items(self, x: Tensor) -> Tensor:
        """Vectors of database items, (N, D) -> (N, E), as wide as those of `project`."""

    @final
    @torch.no_grad()
    def database(self, x: Tensor, chunk: int = 8192) -> Tensor:
        """Vectors of all items, a chunk at a time; equal features get equal ones."""
        parts = list(x.split(chunk))
        keys = torch.cat([row_keys(part.float()) for part in parts])
        found = torch.cat([self.items(part) for part in parts])
        for rows, first in repeated_rows(x, keys, chunk):
            found[rows] = found[first]
        return found


def with_query_columns(y: Tensor) -> Tensor:
    """Append 1 and -|y|^2 / 2 to queries (Q, E), see `with_item_columns`."""
    return torch.cat([y, torch.ones_like(y[:, :1]), -y.square().sum(1, keepdim=True) / 2], 1)


def with_item_columns(r: Tensor, squares: Tensor | None = None) -> Tensor:
    """Append -|r|^2 / 2 and 1 to items (N, E): the product with a query is -|y - r|^2 / 2.

    Parameters
    ----------
    r : Tensor, shape (N, E)
    squares : Tensor, shape (N,), optional
        In place of |r|^2.

    Examples
    --------
    >>> y, r = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    >>> (-2 * with_query_columns(y) @ with_item_columns(r).T).tolist()
    [[25.0]]
    """
    squares = r.square().sum(1) if squares is None else squares
    return torch.cat([r, -squares[:, None] / 2, torch.ones_like(r[:, :1])], 1)
