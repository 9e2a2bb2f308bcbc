"""The figures of the page "What we learnt", and of README, drawn from a board."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks.publish.learnt.common import is_deep
from benchmarks.publish.learnt.costs import fits, middle_length
from benchmarks.publish.learnt.deep import against_itq
from benchmarks.publish.learnt.spread import TOGETHER, parted, shares
from results.analysis.board import Board, Section
from results.figures.style import (
    COLOURS,
    DASHES,
    INK,
    finish,
    in_legend,
    line_style,
    panels,
    save,
    scale_by_bits,
)

Points = dict[str, list[tuple[Any, ...]]]
"""What a figure shows, by the title of its panel: all that is drawn follows from it."""

README_METHODS = ("lsh", "itq", "knnh", "greedyhash", "cibhash", "sdc", "float", "random")


class Drawing(NamedTuple):
    """A figure: what it shows of a board, and how that is drawn."""

    points: Callable[[Board], Points]
    draw: Callable[[Points], Figure]


def _title(section: Section) -> str:
    return f"{section.dataset}/{section.protocol} {section.backbone}"


def _against(board: Board) -> Points:
    found: Points = {}
    for column, of_column in against_itq(board):
        panel = found.setdefault(_title(column.section), [])
        panel += [(column.bits, *gap[1:]) for gap in of_column]
    return found


def _draw_against(points: Points) -> Figure:
    figure, axes = panels([*points], "page")
    colours = {"ahead": COLOURS[2], "behind": COLOURS[1], "not told apart": "#8a8a92"}
    for panel, rows in zip(axes, points.values(), strict=True):
        lengths = sorted({row[0] for row in rows})
        for bits in lengths:
            of_length = sorted(row[1:] for row in rows if row[0] == bits)
            for place, (value, low, high, verdict) in enumerate(of_length):
                x = bits * 2 ** (0.5 * ((place + 0.5) / len(of_length) - 0.5))
                panel.plot([x, x], [low, high], color=colours[verdict], linewidth=0.8)
                panel.plot(x, value, "o", color=colours[verdict], markersize=3, label=verdict)
        panel.axhline(0, color=INK, linewidth=0.9)
        scale_by_bits(panel, lengths)
        panel.set_ylabel("metric over ITQ")
    note = "A point a deep method, with its 95 % interval; the colour is what the test says (Holm)."
    return finish(figure, axes, note)


def _spread(board: Board) -> Points:
    return {"": [(v.dataset, v.protocol, *sorted(shares(v).items())) for v in parted(board)]}


def _draw_spread(points: Points) -> Figure:
    rows = points[""]
    figure, (panel,) = panels([""], "page", height=0.7 + 0.3 * len(rows))
    parts = ("method", "backbone", "bits", TOGETHER, "seed")
    left = np.zeros(len(rows))
    for part, colour in zip(parts, COLOURS, strict=False):
        widths = np.array([100 * max(dict(row[2:]).get(part, 0.0), 0.0) for row in rows])
        label = part if widths.any() else None
        panel.barh(range(len(rows)), widths, left=left, color=colour, height=0.7, label=label)
        left += widths
    panel.set_yticks(range(len(rows)), [f"{row[0]}/{row[1]}" for row in rows])
    panel.invert_yaxis()
    panel.set_xlim(0, 100)
    panel.set_xlabel("share of the spread of all runs (%)")
    return finish(figure, [panel], "A factor that has one level in a data set is no part of it.")


def _costs(board: Board) -> Points:
    found: Points = {}
    for section in board.sections:
        bits = middle_length(section)
        spent = fits(section, bits)
        rows = {row.method: row for row in section.rows}
        points = [
            (cost, cell.mean, is_deep(method), board.title(method))
            for method, cost in spent.items()
            if cost and (cell := rows[method].cell(section.metric, bits))
        ]
        if points:
            found[f"{_title(section)}, {bits} bits"] = points
    return found


def _draw_costs(points: Points) -> Figure:
    figure, axes = panels([*points], "page")
    for panel, rows in zip(axes, points.values(), strict=True):
        for deep, colour, label in ((False, COLOURS[0], "closed form"), (True, COLOURS[1], "deep")):
            part = [row[:2] for row in rows if row[2] == deep]
            if part:
                panel.plot(*zip(*part, strict=True), "o", color=colour, markersize=4, label=label)
        for cost, mean, _, title in front(rows):
            panel.annotate(title, (cost, mean), (3, 3), textcoords="offset points", fontsize=6.5)
        panel.set_xscale("log")
        panel.set_xlabel("training (s)")
        panel.set_ylabel("metric")
    note = (
        "A point a method, mean over seeds; CPU seconds on a CPU, without features. Named: no "
        "cheaper method has a higher mean."
    )
    return finish(figure, axes, note)


def front(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield the points, of cost and value first, that no cheaper one reaches, cheapest first.

    Examples
    --------
    >>> list(front([(1, 0.3), (2, 0.2), (3, 0.5)]))
    [(1, 0.3), (3, 0.5)]
    """
    best = -math.inf
    for row in sorted(rows, key=lambda row: (row[0], -row[1])):
        if row[1] > best:
            best = row[1]
            yield row


def _digits(board: Board) -> Points:
    lines: Points = {}
    section = next((s for s in board.sections if s.dataset == "digits"), None)
    if section is None:
        return lines
    for row in section.rows:
        cells = [(bits, row.cell(section.metric, bits)) for bits in section.bits]
        values = [(bits, cell.mean) for bits, cell in cells if cell]
        if values and row.method in README_METHODS:
            lines[row.title] = [(row.yardstick,), *values]
    return lines


def _draw_digits(points: Points) -> Figure:
    figure, (panel,) = panels(["digits"], "page", height=2.8)
    for place, (title, ((is_yardstick,), *values)) in enumerate(points.items()):
        look = (
            {"color": INK, "linestyle": DASHES.get(title, ":")}
            if is_yardstick
            else line_style(place)
        )
        panel.plot(*zip(*values, strict=True), label=in_legend(title), **look)
    scale_by_bits(panel, sorted({bits for _, *values in points.values() for bits, _ in values}))
    panel.set_ylabel("mAP")
    return finish(
        figure, [panel], "Mean over seeds; without markers: yardsticks, which are not ranked."
    )


FIGURES = {
    "digits": Drawing(_digits, _draw_digits),
    "deep-against-itq": Drawing(_against, _draw_against),
    "loss-or-backbone": Drawing(_spread, _draw_spread),
    "costs": Drawing(_costs, _draw_costs),
}
"""By the name of their file below ``docs/figures``."""


def draw(drawing: Drawing, points: Points) -> bytes:
    """Return a figure as SVG, on white, that says at its end what it was drawn from."""
    svg = save(drawing.draw(points), "svg").replace(b"fill: none", b"fill: #ffffff", 1)
    return svg + _signature(points)


def is_current(path: Path, points: Points) -> bool:
    """Whether a file is the figure of these points; its bytes hang on the version of what drew."""
    return path.is_file() and path.read_bytes().endswith(_signature(points))


def _signature(points: Points) -> bytes:
    digest = hashlib.sha256(repr(points).encode()).hexdigest()
    return f"<!-- drawn from {digest[:16]} -->\n".encode()
