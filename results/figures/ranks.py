"""The rank diagram: mean ranks of the methods over data sets.

References
----------
Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006 (the
drawing). Its bars are those of `results.analysis.ranking`.
"""

from __future__ import annotations

import textwrap

import matplotlib as mpl
from matplotlib.figure import Figure

from results.analysis.ranking import rank
from results.figures.style import INK, STYLE, WIDTHS, blank, method_styles
from results.gallery.view import View


def mean_ranks(view: View, truth: str = "labels") -> Figure | None:
    """Draw the mean ranks of three methods or more; a bar joins what a test does not tell apart.

    Over the tables of one truth, "labels" or "neighbours".
    Where the data sets are too few for the test there are no bars, and the figure says why.
    """
    ranking = rank(view.board, "method", truth)
    if ranking is None or len(ranking.methods) < 3:
        return None
    names, ranks = ranking.methods, ranking.mean_ranks
    titles = [view.board.title(name) for name in names]
    styles = method_styles(view.board)
    half = (len(names) + 1) // 2
    bars = [(ranks[names.index(g[0])], ranks[names.index(g[-1])]) for g in ranking.alike]
    width = WIDTHS[view.width]
    depth = 0.55 + 0.32 * len(bars)
    height = 0.9 + 0.24 * half + 0.16 * len(bars)
    with mpl.rc_context(STYLE):
        figure = blank(width, height)
        axes = figure.add_subplot()
        axes.set_axis_off()
        low, high = 1, len(names)
        share = (0.075 * max(map(len, titles)) + 0.5) / width  # of a name, in the figure's width
        margin = (high - low) * share / (1 - 2 * min(share, 0.45))
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(depth + 0.55 * half + 0.3, -1.1)
        axes.plot([low, high], [0, 0], color=INK, linewidth=0.9)
        for tick in range(low, high + 1):
            axes.plot([tick, tick], [0, -0.2], color=INK, linewidth=0.9)
            axes.text(tick, -0.3, str(tick), ha="center", va="bottom", fontsize=7.5)
        for place, (first, last) in enumerate(bars):
            ends = [first - 0.04, last + 0.04]
            at = 0.4 + 0.32 * place
            axes.plot(ends, [at, at], color=INK, linewidth=3, solid_capstyle="round")
        for place, (name, of_name) in enumerate(zip(names, ranks, strict=True)):
            left = place < half
            at = depth + 0.55 * (place if left else len(names) - 1 - place) + 0.2
            end = low - 0.04 * margin if left else high + 0.04 * margin
            colour = styles[name]["color"]
            axes.plot([of_name, of_name, end], [0, at, at], color=colour, linewidth=1.1)
            text = f"{titles[place]} {of_name:.2f}"
            axes.text(
                end - 0.1 * margin if left else end + 0.1 * margin,
                at,
                text,
                ha="right" if left else "left",
                va="center",
                fontsize=8,
                parse_math=False,
            )
        gaps = ", ".join(map(view.board.title, ranking.left_out))
        left_out = f" Left out, since not all have an entry: {gaps}." if gaps else ""
        n = len(ranking.datasets)
        over = f"{n} data sets" if n > 1 else "one data set"
        bar = "A bar joins what does not differ at 5 % (Wilcoxon's signed ranks, Holm)."
        if ranking.undecided:
            bar = f"No bars: {ranking.undecided}"
        note = (
            f"Mean rank over {over} by the area under the line against bits, 1 is best. "
            f"{bar}{left_out}"
        )
        note = textwrap.fill(note, int(16 * width))
        figure.supxlabel(note, fontsize=7, x=0.01, ha="left", alpha=0.8, parse_math=False)
    return figure
