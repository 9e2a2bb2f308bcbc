"""Figures drawn from the sections of a report, each returned as a matplotlib Figure.

A figure is made, saved and forgotten without touching the state of a caller's session.
A method keeps its colour and marker in every figure; both follow the given order of methods.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from results.frames import method_key
from results.sections import Board, Row, Section

INK = "#26262a"  # text, axes and the yardsticks; on the page this one colour follows the theme
# Okabe and Ito's palette for colour-blind readers, without its yellow (too faint on white), and
# with two darker colours after it. Markers differ as well, so that grey prints stay readable.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f5fc0",
    "#8c6d46",
)
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "p", "h")
DASHES = {"float": (0, (5, 2)), "random": (0, (1, 1.6))}  # of the yardsticks
OTHER_DASHES = (0, (5, 2, 1, 2))
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#8a8a92",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "pdf.fonttype": 42,  # letters stay letters, as publishers ask
    "svg.fonttype": "path",
    "svg.hashsalt": "hashbench",  # the same figure gives the same bytes
}
PANEL_WIDTH, PANEL_HEIGHT, LEGEND_WIDTH = 3.3, 2.7, 1.35  # inches
PANELS_A_ROW = 3


def map_against_bits(board: Board) -> Figure:
    """Draw the protocol's mAP against code length, one panel per section, one line a method."""
    figure, panels = _panels(board.sections)
    styles = method_styles(board)
    for axes, section in zip(panels, board.sections, strict=True):
        values = board.runs.query("metric == @section.metric")
        for name in ("dataset", "protocol", "backbone"):
            values = values[values[name] == getattr(section, name)]
        for row in section.rows:
            style = styles[row.method]
            of_row = values[values["method"] == row.method]
            if row.codeless:
                axes.axhline(of_row["value"].mean(), label=_label(row), **style)
            elif len(of_row):  # else every run failed
                sns.lineplot(
                    of_row,
                    x="bits",
                    y="value",
                    errorbar=None if row.yardstick else "sd",
                    err_kws={"alpha": 0.18, "linewidth": 0},
                    label=_label(row),
                    legend=False,
                    ax=axes,
                    **style,
                )
        _scale_by_bits(axes, section.bits)
        axes.set_ylabel(section.metric)
    with_codes = [row for s in board.sections for row in s.rows if not row.codeless]
    seeds = sorted({cell.n for row in with_codes for cell in row.cells.values()} or {1})
    count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    note = "one seed, so no band" if seeds == [1] else f"band: ± 1 standard deviation, n = {count}"
    _finish(figure, panels, f"Line: mean over seeds; {note}. Dashed and dotted: yardsticks.")
    return figure


def precision_recall(board: Board) -> Figure | None:
    """Draw precision against recall by Hamming radius at each section's longest codes.

    Returns
    -------
    Figure or None
        None where no record holds the curve.
    """
    curves: dict[tuple[str, str], dict[int, list[np.ndarray]]] = {}
    for record in board.records:
        curve = record.curves.get("precision_recall")
        if curve is not None and record.bits:
            title = f"{record.dataset} / {record.protocol} / {record.backbone}"
            points = np.array([curve["recall"], curve["precision"]])  # (2, radii)
            of_method = curves.setdefault((title, record.method), {})
            of_method.setdefault(record.bits, []).append(points)
    with_curves = {title for title, _ in curves}
    sections = [section for section in board.sections if section.title in with_curves]
    if not sections:
        return None
    figure, panels = _panels(sections)
    styles = method_styles(board)
    for axes, section in zip(panels, sections, strict=True):
        for row in section.rows:
            runs = curves.get((section.title, row.method), {}).get(section.bits[-1])
            if runs:
                recall, precision = np.mean(runs, axis=0)
                every = max(1, len(recall) // 12)
                axes.plot(
                    recall,
                    precision,
                    label=_label(row),
                    markevery=every,
                    **(styles[row.method] | {"markersize": 4}),
                )
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("recall")
        axes.set_ylabel(f"precision at {section.bits[-1]} bits")
    _finish(figure, panels, "A line runs through Hamming radius 0, 1, 2, ...; mean over seeds.")
    return figure


def method_styles(board: Board) -> dict[str, dict[str, Any]]:
    """Return the line style of every row, the same in every figure of the board.

    A variant such as ``nsh(tau=1)`` keeps the colour of its base and differs in marker and dashes.
    """
    rows = {row.method: row for section in board.sections for row in section.rows}
    names = sorted(rows, key=lambda name: method_key(name, board.method_order))
    bases = [name for name in board.method_order if name not in rows or not rows[name].yardstick]
    bases += [name.split("(")[0] for name in names if not rows[name].yardstick]
    bases = list(dict.fromkeys(bases))
    marks = 0
    styles: dict[str, dict[str, Any]] = {}
    for name in names:
        if rows[name].yardstick:
            dashes = DASHES.get(name, OTHER_DASHES)
            styles[name] = {"color": INK, "linestyle": dashes, "linewidth": 1.2, "zorder": 1.5}
            continue
        base = name.split("(")[0]
        position = bases.index(base)
        variant = name != base
        marks += variant
        styles[name] = {
            "color": COLOURS[position % len(COLOURS)],
            "marker": MARKERS[(position + 3 * marks * variant) % len(MARKERS)],
            "markerfacecolor": "none" if variant else COLOURS[position % len(COLOURS)],
            "markeredgecolor": COLOURS[position % len(COLOURS)] if variant else "white",
            "markeredgewidth": 1.1 if variant else 0.6,
            "linestyle": "--" if variant or position >= len(COLOURS) else "-",
        }
    return styles


def save(figure: Figure, form: str) -> bytes:
    """Return the figure as a file: `form` is ``pdf``, ``png`` or ``svg``."""
    buffer = io.BytesIO()
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    with mpl.rc_context(STYLE):
        figure.savefig(
            buffer,
            format=form,
            dpi=200,
            metadata=undated[form],
            facecolor="white" if form == "png" else "none",
        )
    return buffer.getvalue()


def inline_svg(figure: Figure, name: str) -> str:
    """Return the figure as an SVG element whose ink and paper are those of the page.

    Its ids start with `name`, so that two figures can share a page.
    """
    text = save(figure, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return text.replace(INK, "currentColor").replace("#ffffff", "var(--paper, #ffffff)")


def _panels(sections: Sequence[Section]) -> tuple[Figure, list[Axes]]:
    """Lay out one panel per section, with its title, and room for the legend at the right."""
    across = min(len(sections), PANELS_A_ROW)
    down = math.ceil(len(sections) / across)
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(PANEL_WIDTH * across + LEGEND_WIDTH, PANEL_HEIGHT * down + 0.3),
            layout="constrained",
        )
        FigureCanvasAgg(figure)
        panels = [figure.add_subplot(down, across, index + 1) for index in range(len(sections))]
        for axes, section in zip(panels, sections, strict=True):
            # A dollar sign in a name must not start mathematics.
            axes.set_title(
                f"{section.dataset}/{section.protocol}\n{section.backbone}", parse_math=False
            )
            axes.yaxis.set_major_locator(MaxNLocator(6))
    return figure, panels


def _label(row: Row) -> str:
    """Name of a row in a legend, marked where it learns from more than images."""
    return row.method if row.kind in ("method", "yardstick") else f"{row.method} [{row.kind}]"


def _scale_by_bits(axes: Axes, bits: Sequence[int]) -> None:
    """Set the tested lengths as the only ticks, on a scale where doubling is one step."""
    axes.set_xlabel("code length (bits)")
    if 0 in bits:  # yardsticks without codes are all there is
        axes.set_xticks([])
        return
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(bits, [str(length) for length in bits])
    axes.set_xlim(bits[0] / 2**0.12, bits[-1] * 2**0.12)


def _finish(figure: Figure, panels: Sequence[Axes], note: str) -> None:
    """Add one legend for all panels and a line that says what is drawn."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    with mpl.rc_context(STYLE):
        legend = figure.legend(
            handles.values(), handles.keys(), loc="outside right upper", handlelength=2.6
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
        note = textwrap.fill(note, int(15 * figure.get_figwidth()))  # 15 letters fill an inch
        figure.supxlabel(note, fontsize=7.5, x=0.01, ha="left", alpha=0.8)
