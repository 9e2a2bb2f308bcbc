"""The critical-difference diagram: average ranks over data sets and code lengths.

References
----------
Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import sqrt

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata, studentized_range

from results.figure_style import DPI, INK, STYLE, WIDTHS, method_styles
from results.sections import Board
from results.view import View

LEVEL = 0.05


def critical_difference(view: View) -> Figure | None:
    """Draw average ranks on a line; a bar joins what Nemenyi's test does not tell apart.

    Ranks are over the columns of all main tables in which every method has an entry.
    """
    names, values = _columns(view.board)
    if len(names) < 2 or len(values) < 2:
        return None
    ranks = rankdata(-values.round(12), axis=1).mean(0)
    critical = nemenyi(len(names), len(values))
    styles = method_styles(view.board)
    order = np.argsort(ranks, kind="stable")
    half = (len(names) + 1) // 2
    bars = groups(ranks[order], critical)
    width = WIDTHS[view.width]
    depth = 0.55 + 0.32 * len(bars)
    height = 0.9 + 0.24 * half + 0.16 * len(bars)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_axis_off()
        low, high = 1, len(names)
        share = (0.075 * max(map(len, names)) + 0.5) / width  # of a name, in the figure's width
        margin = (high - low) * share / (1 - 2 * min(share, 0.45))
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(depth + 0.55 * half + 0.3, -1.9)
        axes.plot([low, high], [0, 0], color=INK, linewidth=0.9)
        for tick in range(low, high + 1):
            axes.plot([tick, tick], [0, -0.2], color=INK, linewidth=0.9)
            axes.text(tick, -0.3, str(tick), ha="center", va="bottom", fontsize=7.5)
        axes.plot([low, low + critical], [-1.25, -1.25], color=INK, linewidth=1.4, marker="|")
        axes.text(low, -1.42, f"critical difference {critical:.2f}", fontsize=7.5)
        for place, (first, last) in enumerate(bars):
            ends = [ranks[order[first]] - 0.04, ranks[order[last]] + 0.04]
            at = 0.4 + 0.32 * place
            axes.plot(ends, [at, at], color=INK, linewidth=3, solid_capstyle="round")
        for place, number in enumerate(order):
            left = place < half
            at = depth + 0.55 * (place if left else len(names) - 1 - place) + 0.2
            end = low - 0.04 * margin if left else high + 0.04 * margin
            colour = styles[names[number]]["color"]
            axes.plot([ranks[number], ranks[number], end], [0, at, at], color=colour, linewidth=1.1)
            text = f"{names[number]} {ranks[number]:.2f}"
            axes.text(
                end - 0.1 * margin if left else end + 0.1 * margin,
                at,
                text,
                ha="right" if left else "left",
                va="center",
                fontsize=8,
                parse_math=False,
            )
        note = (
            f"Average rank over {len(values)} columns of data set and bits, 1 is best. A bar joins "
            f"what does not differ at {LEVEL:.0%} (Nemenyi)."
        )
        figure.supxlabel(
            textwrap.fill(note, int(16 * width)), fontsize=7, x=0.01, ha="left", alpha=0.8
        )
    return figure


def nemenyi(methods: int, columns: int, level: float = LEVEL) -> float:
    """Smallest difference of average ranks that counts, for k methods over N columns.

    Examples
    --------
    Demsar's table has q = 2.343 for three methods.

    >>> round(nemenyi(3, 1) / (3 * 4 / 6) ** 0.5, 3)
    2.344
    """
    q = float(studentized_range.ppf(1 - level, methods, np.inf)) / sqrt(2)
    return q * sqrt(methods * (methods + 1) / (6 * columns))


def groups(ranks: Sequence[float] | NDArray[np.float64], critical: float) -> list[tuple[int, int]]:
    """Return first and last places of the longest runs that differ by less than `critical`.

    Examples
    --------
    >>> groups([1.0, 1.5, 2.2, 5.0], 1.3)
    [(0, 2)]
    >>> groups([1.0, 2.0, 3.0], 1.0)
    [(0, 1), (1, 2)]
    """
    runs: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(n for n in range(first, len(ranks)) if ranks[n] - ranks[first] <= critical)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _columns(board: Board) -> tuple[list[str], NDArray[np.float64]]:
    """Return the methods that have an entry in every column that any has, and the means, (N, k)."""
    ranked = [(s, [r for r in s.rows if r.kind == "method"]) for s in board.sections]
    columns = [
        {
            row.method: row.cells[s.metric, bits].mean
            for row in rows
            if (s.metric, bits) in row.cells
        }
        for s, rows in ranked
        for bits in s.bits
    ]
    columns = [column for column in columns if column]
    names = [n for n in (columns[0] if columns else ()) if all(n in c for c in columns)]
    return names, np.array([[column[name] for name in names] for column in columns])
