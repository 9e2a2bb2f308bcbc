"""What a protocol may leave out of its training rows: whole classes, or ever more of each.

Queries and database stay as they are, so a number under such a protocol stands beside that of the
protocol without it. `query_groups` says which queries are told apart for that.

References
----------
Y. Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019 (the long tail
of CIFAR-10: class i of C keeps n r^(-i / (C - 1)) of its n images, rounded down).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from datasets.errors import DatasetError
from datasets.labels import Labels
from datasets.protocols.rules import fixed_order


def unseen_classes(label: str, n_classes: int, share: float) -> Tensor:
    """Choose the classes that no training row may have, int64 (n,), the same on every machine.

    Parameters
    ----------
    label : str
        Data set and protocol, for messages.
    n_classes : int
    share : float
        Of the classes, between 0 and 1; rounded to the nearest number of classes, a half up.

    Raises
    ------
    DatasetError
        If that is no class, or leaves fewer than two to train on.

    Examples
    --------
    >>> unseen_classes("cifar10/unseen", 10, 0.25).tolist()
    [2, 4, 8]
    """
    n = math.floor(share * n_classes + 0.5)
    if n < 1 or n_classes - n < 2:
        raise DatasetError(
            f"{label}: {share:.0%} of {n_classes} classes are {n}, too few classes: one at least "
            "must be left out, and two stay to train on; take another share, or data of more"
        )
    return fixed_order(n_classes)[:n].sort().values


def without_classes(labels: Labels, rows: Tensor, classes: Tensor) -> Tensor:
    """Keep the rows that have none of some classes."""
    return rows[~_any_of(labels[rows], classes)]


def long_tail(labels: Labels, rows: Tensor, ratio: int) -> Tensor:
    """Keep fewer rows of each class than of the one before: of the last, 1 / `ratio` of its rows.

    Which of them stay is up to the fixed order. A row of several classes stays if it does for one.
    """
    order = fixed_order(len(labels))
    order = order[torch.isin(order, rows)]
    item, column = labels[order].pairs()
    kept = torch.zeros(len(order), dtype=torch.bool)
    last = max(1, labels.n_classes - 1)
    for c in range(labels.n_classes):
        members = item[column == c]
        kept[members[: math.floor(len(members) * ratio ** (-c / last) + 1e-9)]] = True
    return order[kept]


def query_groups(
    label: str, labels: Labels, query: Tensor, unseen: float, imbalance: int
) -> dict[str, Tensor]:
    """Say which queries are told apart, bool (Q,) each: the first group is expected to be better.

    ``seen`` and ``unseen``, of which a query has some class that nothing was trained on; or
    ``head`` and ``tail``, queries of the first and of the last third of the classes, by training
    rows. None where a protocol leaves nothing out.
    """
    asked = labels[query]
    if unseen:
        never = _any_of(asked, unseen_classes(label, labels.n_classes, unseen))
        return {"seen": ~never & (asked.counts() > 0), "unseen": never}
    if imbalance:
        third = max(1, labels.n_classes // 3)
        ends = torch.arange(third), torch.arange(labels.n_classes - third, labels.n_classes)
        return dict(zip(("head", "tail"), (_any_of(asked, c) for c in ends), strict=True))
    return {}


def _any_of(labels: Labels, classes: Tensor) -> Tensor:
    """Whether each item has any of some classes, bool (N,)."""
    item, column = labels.pairs()
    found = torch.zeros(len(labels), dtype=torch.bool)
    found[item[torch.isin(column, classes)]] = True
    return found
