"""What the spread of a metric over the runs of a data set comes from: method, backbone, bits, seed.

The total sum of squares of a full crossing of methods, backbones and code lengths, with equally
many seeds each, is the sum of those of its parts: each factor alone, each pair or triple of factors
beyond that, and the seeds within an entry. Their shares answer whether it is the loss or the
backbone.

References
----------
D. C. Montgomery, "Design and Analysis of Experiments", Wiley: the analysis of variance of a
factorial design.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from results.analysis.board import Board, Section
from results.analysis.statistics import Floats

SEEDS = "seed"


@dataclass(frozen=True)
class Variance:
    """Where the spread within a data set under one protocol comes from.

    Attributes
    ----------
    dataset, protocol, metric : str
    methods, backbones : tuple of str
    bits : tuple of int
    seeds : int
        Of each entry.
    means : ndarray, float64, shape (methods, backbones, bits)
        Over seeds.
    shares : dict
        Part, "method", "method x backbone" or "seed" say, to its share of the sum of squares.
    """

    dataset: str
    protocol: str
    metric: str
    methods: tuple[str, ...]
    backbones: tuple[str, ...]
    bits: tuple[int, ...]
    seeds: int
    means: Floats
    shares: dict[str, float]


def variances(board: Board) -> Iterator[Variance]:
    """Take apart the spread of every data set and protocol of which two methods are known.

    Rows of the kind "method" count, at the code lengths that all backbones have, and of them those
    with an entry everywhere; an entry counts with as many seeds as the entry of the fewest has.
    """
    ordered = sorted(board.sections, key=lambda section: section.table)
    for (dataset, protocol), found in groupby(ordered, lambda s: (s.dataset, s.protocol)):
        sections = list(found)
        metric = sections[0].metric
        values = _values(board, sections, metric)
        backbones = [section.backbone for section in sections]
        rows = (row for section in sections for row in section.rows)
        names = dict.fromkeys(row.method for row in rows if row.kind == "method")
        lengths = ({b for s, m, b in values if s == own and m in names} for own in backbones)
        bits = sorted(set.intersection(*lengths))
        whole = [m for m in names if all((s, m, b) in values for s in backbones for b in bits)]
        if len(whole) < 2 or not bits:
            continue
        kept = [[[values[s, m, b] for b in bits] for s in backbones] for m in whole]
        seeds = min(len(runs) for of_method in kept for row in of_method for runs in row)
        table = np.array([[[runs[:seeds] for runs in row] for row in part] for part in kept])
        shares = decompose(table, ("method", "backbone", "bits"))
        yield Variance(
            *(dataset, protocol, metric, tuple(whole), tuple(backbones), tuple(bits)),
            *(seeds, table.mean(-1), shares),
        )


def _values(
    board: Board, sections: Sequence[Section], metric: str
) -> dict[tuple[str, str, int], list[float]]:
    """Values of runs by backbone, method and bits, those of the lowest seeds first."""
    first = sections[0]
    runs = board.runs[
        (board.runs["dataset"] == first.dataset)
        & (board.runs["protocol"] == first.protocol)
        & (board.runs["metric"] == metric)
        & (board.runs["bits"] > 0)
    ].sort_values("seed", kind="stable")
    found: dict[tuple[str, str, int], list[float]] = {}
    columns = (runs[name] for name in ("backbone", "method", "bits", "value"))
    for backbone, method, bits, value in zip(*columns, strict=True):
        found.setdefault((backbone, method, int(bits)), []).append(float(value))
    return found


def decompose(values: Floats, factors: Sequence[str]) -> dict[str, float]:
    """Return the share of each part in the total sum of squares; none where all values are equal.

    Parameters
    ----------
    values : ndarray, float64
        An axis for each factor, then one for seeds.
    factors : sequence of str
        Names of the axes; those of one level, and seeds where there is one, are no part.

    Examples
    --------
    >>> values = np.array([[[0.1, 0.1]], [[0.3, 0.3]]])
    >>> decompose(values, ("method", "bits"))
    {'method': 1.0, 'seed': 0.0}
    """
    total = float(np.square(values - values.mean()).sum())
    if total <= np.finfo(float).eps * float(np.square(values).sum()):
        return {}
    cells = values.mean(-1)
    axes = [axis for axis, size in enumerate(cells.shape) if size > 1]
    effects: dict[tuple[int, ...], Floats] = {(): cells.mean(keepdims=True)}
    shares: dict[str, float] = {}
    for n in range(1, len(axes) + 1):
        for part in combinations(axes, n):
            others = tuple(axis for axis in range(cells.ndim) if axis not in part)
            effect = cells.mean(axis=others, keepdims=True)
            for smaller in range(n):
                for below in combinations(part, smaller):
                    effect = effect - effects[below]
            effects[part] = effect
            times = values.size / effect.size
            name = " x ".join(factors[axis] for axis in part)
            shares[name] = float(np.square(effect).sum()) * times / total
    if values.shape[-1] > 1:
        shares[SEEDS] = float(np.square(values - cells[..., None]).sum()) / total
    return shares
