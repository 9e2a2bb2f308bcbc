"""The figure of tuning: the best score against the number of trials, one line a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from results.analysis.tuning import best_so_far
from results.figures.style import finish, in_legend, line_style, panels


def score_against_trials(
    trials: pd.DataFrame, title: str, metric: str, order: Sequence[str], names: Mapping[str, str]
) -> Figure:
    """Draw how far each method has come after each trial.

    Parameters
    ----------
    trials : DataFrame
        As `results.analysis.tuning` takes it.
    title, metric : str
        Above the panel, and beside its axis.
    order : sequence of str
        Methods in the order of tables, by which they are coloured.
    names : mapping from str to str
        Of methods in the legend.
    """
    figure, (panel,) = panels([title], "page", height=3.0)
    best = best_so_far(trials)
    for method in map(str, best):
        scores = best[method].dropna()
        place = order.index(method) if method in order else len(order)
        look = line_style(place) | {"markersize": 3.5}
        where = scores.index.to_numpy() + 1
        panel.plot(where, scores, label=in_legend(names[method]), drawstyle="steps-post", **look)
    panel.set_xlabel("trials")
    panel.set_ylabel(metric)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    note = "Best so far, on training images set aside; trial 1 has a method's own settings."
    return finish(figure, [panel], note)
