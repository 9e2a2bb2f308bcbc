"""Figures of training: the loss of each epoch, and what the time bought in retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from results.analysis.board import Row, Section
from results.figures.style import (
    INK,
    STYLE,
    finish,
    in_legend,
    label,
    method_styles,
    panels,
    scale_by_tens,
    section_panels,
)
from results.gallery.view import View

_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.5, 1, 1.5)), (0, (6, 3)))
"""Of the terms of a loss, their sum first."""


def loss(view: View, section: Section) -> Figure | None:
    """Draw the mean loss of each epoch of a section's longest codes, one panel a method."""
    shown = [
        (row, [r.history for r in view.longest(section, row) if r.history])
        for row in section.with_panels
    ]
    shown = [(row, histories) for row, histories in shown if histories]
    if not shown:
        return None
    figure, axes = panels([label(row) for row, _ in shown], view.width, height=1.8, small=True)
    styles = method_styles(view.board)
    for panel, (row, histories) in zip(axes, shown, strict=True):
        epochs = min(map(len, histories))
        terms = [t for t in histories[0][0] if all(t in e for h in histories for e in h[:epochs])]
        curves = {
            t: np.mean([[e[t] for e in h[:epochs]] for h in histories], axis=0) for t in terms
        }
        colour = styles[row.method]["color"]
        x = np.arange(1, epochs + 1)
        marker = "o" if epochs == 1 else None
        lines = list(curves.items())
        if len(terms) > 1:
            lines.insert(0, ("sum", np.sum(list(curves.values()), axis=0)))
        for place, (term, values) in enumerate(lines):
            style: dict[str, Any] = {
                "linestyle": _DASHES[place % len(_DASHES)],
                "linewidth": 1.6 - 0.4 * (place > 0),
            }
            panel.plot(x, values, color=colour, marker=marker, label=in_legend(term), **style)
        with mpl.rc_context(STYLE):
            legend = panel.legend(fontsize=6.5, handlelength=2.2, loc="upper right")
            for text in legend.get_texts():
                text.set_parse_math(False)
            low, high = panel.get_ylim()
            panel.set_ylim(low, high + 0.15 * len(lines) * (high - low))  # room for it
        panel.set_xlabel("epoch")
        panel.set_ylabel("loss")
        panel.margins(x=0.02)
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return finish(
        figure,
        (),
        f"{section.title}, {section.bits[-1]} bits; mean over seeds.{section.panels_note}",
    )


def cost(view: View) -> Figure | None:
    """Draw retrieval quality against seconds of training, a point per method and code length.

    They are CPU seconds on a CPU and seconds on the clock on CUDA, see `RunRecord.cost`.

    What no other point beats in both lies on the Pareto front, which is drawn as a step.
    """
    sections = [section for section in view.board.sections if _costs(view, section)]
    if not sections:
        return None
    figure, axes = section_panels(sections, view.width)
    styles = method_styles(view.board)
    for panel, section in zip(axes, sections, strict=True):
        points = _costs(view, section)
        longest = max(bits for _, bits, _, _ in points)
        for row in section.rows:
            of_row = [(bits, x, y) for r, bits, x, y in points if r is row]
            style = styles[row.method] | {"linestyle": "none"}
            for bits, x, y in of_row:
                size = 3.5 + 4.5 * bits / longest
                name = label(row) if bits == of_row[-1][0] else "_"
                panel.plot(x, y, label=name, **(style | {"markersize": size}))
        front = pareto([(x, y) for _, _, x, y in points])
        panel.step(
            *zip(*front, strict=True),
            where="post",
            color=INK,
            linewidth=0.9,
            zorder=1.2,
            label="Pareto front",
        )
        scale_by_tens(panel)
        panel.set_xlabel(f"training time ({_seconds(view, section)})")
        panel.set_ylabel(section.metric)
    note = "Larger markers: longer codes. Training alone, without the features that all share."
    return finish(figure, axes, note)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other is at most as dear and at least as good as, by cost.

    Examples
    --------
    >>> pareto([(1.0, 0.2), (2.0, 0.1), (3.0, 0.5)])
    [(1.0, 0.2), (3.0, 0.5)]
    """
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def _costs(view: View, section: Section) -> list[tuple[Row, int, float, float]]:
    """Return row, bits, mean training seconds and mean quality of what was trained."""
    runs = view.runs(section)
    points = []
    for row in section.rows:
        for bits in section.bits:
            cell = row.cells.get((section.metric, bits))
            of_cell = runs.get((row.method, bits), [])
            seconds = [spent for r in of_cell if (spent := r.cost("fit") or 0.0) > 0]
            if cell is not None and seconds and not row.yardstick:
                points.append((row, bits, float(np.mean(seconds)), cell.mean))
    return points


def _seconds(view: View, section: Section) -> str:
    """Name the seconds of a panel, whose runs may come from both kinds of device."""
    runs = chain.from_iterable(view.runs(section).values())
    of = {"seconds" if "cuda" in run.versions else "CPU seconds" for run in runs}
    return " or ".join(sorted(of))
