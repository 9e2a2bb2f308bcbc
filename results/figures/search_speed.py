"""Queries a second against recall, one line an index: what search costs on one machine."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from results.figures.style import COLOURS, INK, MARKERS, finish, in_legend, panels
from results.figures.training import pareto
from results.gallery.view import Width

MODES = {"single_qps": "single queries", "batch_qps": "all queries in a batch"}
DASHES = {"flat": "-", "hnsw": "--", "ivf": "-.", "multihash": ":"}


def search_speed_figure(frame: pd.DataFrame, width: Width = "page") -> Figure:
    """Draw the Pareto front of every index over its settings, lengths and candidates.

    To the right is better recall, above are more queries a second. A colour is a method, a dash an
    index; what stands beside codes is drawn in ink.

    Parameters
    ----------
    frame : DataFrame
        Of one machine and one table, as `benchmarks.search_speed` writes it.
    width : "column" or "page"
    """
    first = frame.iloc[0]
    figure, axes = panels(list(MODES.values()), width, height=2.8)
    coded = frame[frame["index"].isin(list(DASHES))]
    methods = dict.fromkeys(coded["method"])
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(methods)}
    lines = list(frame.groupby(["method", "index"], sort=False))
    for panel, mode in zip(axes, MODES, strict=True):
        for place, (names, rows) in enumerate(lines):
            method, index = map(str, names)
            over_codes = index in DASHES
            front = pareto([*zip(-rows[mode], rows["recall"], strict=True)])
            panel.plot(
                [found for _, found in front],
                [-qps for qps, _ in front],
                color=colours[method] if over_codes else INK,
                linestyle=DASHES[index] if over_codes else (0, (1, 1)),
                marker=MARKERS[place % len(MARKERS)],
                markersize=4,
                label=in_legend(f"{method}, {index}" if over_codes else index),
            )
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator())
        panel.set_xlabel(f"recall{first['k']}@{first['k']}")
        panel.set_ylabel("queries a second")
    note = (
        f"{first['dataset']}/{first['protocol']}: {first['vectors']:,} vectors; one thread of "
        f"{first['cpu']} ({first['machine']}), best of five passes. A line is a front over lengths "
        f"({_listed(coded['bits'])} bits), settings and candidates re-ranked "
        f"({_listed(frame['candidates'])}). Not to be compared across machines."
    )
    return finish(figure, axes, note)


def _listed(values: pd.Series) -> str:
    return ", ".join(map(str, sorted(set(values))))
