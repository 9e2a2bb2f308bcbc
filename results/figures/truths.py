"""The two truths against each other: what labels say of a method, and what neighbours say."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from results.analysis.board import Entry, Row, Section
from results.figures.style import finish, label, method_styles, panels
from results.gallery.view import View

Point = tuple[Row, Entry, Entry]
"""A method, its entry by labels and its entry by neighbours."""


def labels_against_neighbours(view: View) -> Figure | None:
    """Draw mAP by labels against recall of neighbours, a point a method at the longest codes.

    A panel shows a split of a data set seen through one backbone, under both truths. Two methods
    that swap places are good for one truth and bad for the other.
    """
    pairs = [pair for pair in _pairs(view.board.sections) if pair[3]]
    if not pairs:
        return None
    titles = [f"{one.dataset}/{one.protocol} {one.backbone}" for one, *_ in pairs]
    figure, axes = panels(titles, view.width, height=2.8 if len(pairs) == 1 else 2.4)
    styles = method_styles(view.board)
    for panel, (by_labels, by_neighbours, bits, points) in zip(axes, pairs, strict=True):
        for row, x, y in points:
            style = styles[row.method] | {"linestyle": "none"}
            panel.errorbar(
                x.mean, y.mean, xerr=x.std, yerr=y.std, elinewidth=0.8, label=label(row), **style
            )
        panel.set_xlabel(f"{by_labels.metric} by labels, {bits} bits")
        panel.set_ylabel(f"{by_neighbours.metric}, {bits} bits{_agreement(points)}")
    note = "Mean and standard deviation over seeds; rho: Spearman's rank correlation of the two."
    return finish(figure, axes, note)


def _pairs(sections: tuple[Section, ...]) -> list[tuple[Section, Section, int, list[Point]]]:
    """Pair the sections that differ in their truth alone, and find the points of each pair."""
    found = []
    for one in sections:
        for other in sections:
            tables = one.table, other.table
            same = len({(t.dataset, t.split, t.backbone) for t in tables}) == 1
            lengths = set(one.bits) & set(other.bits) - {0}
            if same and lengths and [t.truth for t in tables] == ["labels", "neighbours"]:
                bits = max(lengths)
                found.append((one, other, bits, _points(one, other, bits)))
    return found


def _points(one: Section, other: Section, bits: int) -> list[Point]:
    """Return the methods that both sections have at a code length."""
    rows = {row.method: row for row in other.rows}
    points = []
    for row in one.rows:
        if row.method in rows and not row.yardstick:
            x, y = row.cell(one.metric, bits), rows[row.method].cell(other.metric, bits)
            if x is not None and y is not None:
                points.append((row, x, y))
    return points


def _agreement(points: list[Point]) -> str:
    """Say how far the two orders of the methods agree; nothing of fewer than three."""
    means = np.array([[x.mean, y.mean] for _, x, y in points])
    if len(means) < 3 or (means == means[0]).all(0).any():
        return ""
    return f" (rho {spearmanr(*means.T).statistic:.2f})"
