"""Split rules: which rows of a data set ask, train and answer.

Every rule takes rows in one fixed shuffled order of 0..N-1: the raw 64-bit words of NumPy's Philox
generator under a key of our own, sorted stably. NumPy promises that stream for all versions, so
the rows are the same on every machine, whatever the seed of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from datasets.errors import DatasetError
from datasets.labels import Labels

_KEY = 0x48617368  # of the shuffle; another key would be another split under the same name


class Split(NamedTuple):
    """Sorted row numbers of the three parts, int64."""

    train: Tensor
    query: Tensor
    database: Tensor


class Sizes(Protocol):
    """What a rule needs of the protocol that it serves."""

    @property
    def label(self) -> str:
        """Data set and protocol, for messages."""
        ...

    @property
    def rule(self) -> str:
        """Name of the rule, for messages."""
        ...

    @property
    def n_query(self) -> int:
        """Rows that ask."""
        ...

    @property
    def n_train(self) -> int:
        """Rows that train."""
        ...


Rule = Callable[[Sizes, Labels, Mapping[str, Tensor]], Split]


def fixed_order(n: int) -> Tensor:
    """Return the row numbers 0..n-1 in the one fixed order, int64 (n,)."""
    words = np.random.Philox(key=_KEY).random_raw(n)
    return torch.from_numpy(np.argsort(words, kind="stable").astype(np.int64))


def _without(rows: Tensor, taken: Tensor) -> Tensor:
    """Rows that are not in `taken`, in their order."""
    return rows[~torch.isin(rows, taken)]


def _shuffled_part(protocol: Sizes, n: int, parts: Mapping[str, Tensor], name: str) -> Tensor:
    """Rows of one original part, in the fixed order."""
    if name not in parts:
        raise DatasetError(
            f"{protocol.label}: the rule {protocol.rule!r} needs the original {name} part, "
            f"the data set has {', '.join(parts) or 'no parts'}"
        )
    order = fixed_order(n)
    return order[torch.isin(order, parts[name])]


def _balanced(labels: Labels, rows: Tensor, n: int) -> Tensor:
    """Draw n of `rows`, the first of each class in turn, equally many of every class.

    A remainder goes to the first classes. A row with several labels is taken once, for the first
    of its classes that still wants rows. A class with too few rows gives all it has.
    """
    n_classes = labels.n_classes
    place = torch.full((len(labels),), -1)
    place[rows] = torch.arange(len(rows))
    row, column = labels.pairs()
    row, column = row[place[row] >= 0], column[place[row] >= 0]
    order = (column * len(labels) + place[row]).argsort()  # by class, then in the order of `rows`
    sizes = column.bincount(minlength=n_classes).tolist()
    free = torch.ones(len(labels), dtype=torch.bool)
    drawn = []
    for c, members in enumerate(row[order].split(sizes)):
        quota = n // n_classes + (c < n % n_classes)
        of_class = members[free[members]][:quota]
        free[of_class] = False
        drawn.append(of_class)
    return torch.cat(drawn)


def _pooled_inside(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """Pool all rows; balanced queries; all others are the database; train balanced inside it."""
    rows = fixed_order(len(labels))
    query = _balanced(labels, rows, p.n_query)
    rest = _without(rows, query)
    return Split(_balanced(labels, rest, p.n_train), query, rest)


def _pooled_apart(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """As `pooled, train inside the database`, but the training rows leave the database."""
    train, query, rest = _pooled_inside(p, labels, parts)
    return Split(train, query, _without(rest, train))


def _pooled_same(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """Pool all rows; balanced queries; all others are both training rows and database."""
    rows = fixed_order(len(labels))
    query = _balanced(labels, rows, p.n_query)
    rest = _without(rows, query)
    return Split(rest, query, rest)


def _official_inside(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """Query n rows of the official test part; database the train part; train balanced inside it.

    Where the protocol asks for fewer queries than the test part has, they are drawn from it
    without regard to class, and the others stay unused.
    """
    query = _shuffled_part(p, len(labels), parts, "test")[: p.n_query]
    database = _shuffled_part(p, len(labels), parts, "train")
    return Split(_balanced(labels, database, p.n_train), query, database)


def _official_same(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """Query the whole official test part; its train part is both training rows and database."""
    database = _shuffled_part(p, len(labels), parts, "train")
    return Split(database, _shuffled_part(p, len(labels), parts, "test"), database)


def _random_inside(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """Draw queries from all rows; all others are the database; train drawn inside it."""
    return _drawn(p, fixed_order(len(labels)))


def _labelled_inside(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """As `at random`, after the rows without any label have been dropped."""
    rows = fixed_order(len(labels))
    return _drawn(p, rows[labels.counts()[rows] > 0])


def _drawn(p: Sizes, rows: Tensor) -> Split:
    database = rows[p.n_query :]
    return Split(database[: p.n_train], rows[: p.n_query], database)


def _listed(p: Sizes, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
    """Keep the lists of queries, training and database rows that came with the data."""
    for name in ("train", "test", "database"):
        if name not in parts:
            raise DatasetError(
                f"{p.label}: the rule {p.rule!r} needs a list of {name} rows, "
                f"the data set has {', '.join(parts) or 'no lists'}"
            )
    return Split(parts["train"], parts["test"], parts["database"])


def set_aside(train: Tensor) -> Split:
    """Let a part of some training rows ask, and the others train and answer.

    Parameters
    ----------
    train : Tensor, int64, shape (n_train,)
        Of the protocol that is tuned for.
    """
    order = fixed_order(int(train.max()) + 1)
    rows = order[torch.isin(order, train)]
    n_query = n_set_aside(len(rows))
    return Split(rows[n_query:], rows[:n_query], rows[n_query:])


def n_set_aside(n_train: int) -> int:
    """Count what is set aside of `n_train` rows: a fifth, rounded down."""
    return n_train // 5


LABELLED_INSIDE = "labelled rows at random, train inside the database"
RULES: dict[str, Rule] = {
    "pooled, train inside the database": _pooled_inside,
    "pooled, train outside the database": _pooled_apart,
    "pooled, train is the database": _pooled_same,
    "pooled at random, train inside the database": _random_inside,
    LABELLED_INSIDE: _labelled_inside,
    "as listed": _listed,
    "official parts, train inside the database": _official_inside,
    "official parts, train is the database": _official_same,
}
