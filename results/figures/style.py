"""How every figure looks: sizes, colours, panels, legend, and the files it becomes.

A figure is made, saved and forgotten without touching the state of a caller's session.
A method keeps its colour and marker in every figure; both follow the given order of methods.
"""

from __future__ import annotations

import base64
import io
import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from results.analysis.board import Board, Row, Section, colour_places
from results.analysis.frames import method_key
from results.figures.letters import FONT, LATIN, add_latin, legible
from results.gallery.view import Width

INK = "#26262a"  # text, axes and the yardsticks; on the page this one colour follows the theme
# Okabe and Ito's palette for colour-blind readers, without its yellow (too faint on white), and
# with two darker colours after it. Markers differ as well, so that grey prints stay readable.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5fc0", "#8c6d46")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "p", "h")
DASHES = {"float": (0, (5, 2)), "random": (0, (1, 1.6))}  # of the yardsticks in every table
OTHER_DASHES = ((0, (5, 2, 1, 2)), (0, (5, 2, 1, 2, 1, 2)), (0, (9, 2)), (0, (9, 2, 2, 2)))
STYLE: Any = {
    "font.family": [LATIN, FONT],
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
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
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # letters stay letters, as publishers ask
    "svg.fonttype": "path",
    "svg.hashsalt": "hashbench",  # the same figure gives the same bytes
}

WIDTHS: dict[Width, float] = {"column": 3.4, "page": 7.0}
"""Inches: one of two columns of a paper, and both."""
DPI = 160
Place = Literal["outside right upper", "outside upper left"]
LETTERS_BESIDE = 28  # on a line of a legend beside the panel
PANELS_A_ROW: dict[Width, int] = {"column": 1, "page": 3}


def panels(
    titles: Sequence[str], width: Width, *, height: float = 2.4, small: bool = False
) -> tuple[Figure, list[Axes]]:
    """Lay out one panel per title.

    Parameters
    ----------
    titles : sequence of str
        A dollar sign in one starts no mathematics.
    width : "column" or "page"
        Of the whole figure.
    height : float
        Of a row of panels, inches.
    small : bool
        Whether two panels fit into a column.
    """
    across = min(len(titles), max(PANELS_A_ROW[width], 2 if small else 1))
    down = math.ceil(len(titles) / across)
    with mpl.rc_context(STYLE):
        size = (WIDTHS[width], height * down + 0.45)
        figure = blank(*size)
        axes = [figure.add_subplot(down, across, place + 1) for place in range(len(titles))]
        letters = int(12 * WIDTHS[width] / across)  # that fit above a panel
        for panel, title in zip(axes, titles, strict=True):
            panel.set_title(textwrap.fill(legible(title), letters), parse_math=False)
            panel.yaxis.set_major_locator(MaxNLocator(6))
    return figure, axes


def blank(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, without panels."""
    add_latin()
    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def section_panels(sections: Sequence[Section], width: Width) -> tuple[Figure, list[Axes]]:
    """Lay out one panel per section, with its name."""
    titles = [f"{s.dataset}/{s.protocol} {s.backbone}" for s in sections]
    return panels(titles, width, height=2.8 if len(sections) == 1 else 2.4)


def finish(figure: Figure, axes: Sequence[Axes], note: str) -> Figure:
    """Add one legend for all panels and a line that says what is drawn.

    The legend names every line. It stands beside a single panel where it fits, else above in as
    many columns as fit, and the figure grows by its height, so that the panels keep their room.
    """
    handles: dict[str, Any] = {}
    for panel in axes:
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    inches = figure.get_figwidth()
    with mpl.rc_context(STYLE):
        if handles and not (len(axes) == 1 and inches > 5 and _legend_beside(figure, handles)):
            _legend_above(figure, handles)
        note = textwrap.fill(legible(note), int(16 * inches))  # 16 letters fill an inch
        figure.supxlabel(note, fontsize=7, x=0.01, ha="left", alpha=0.8, parse_math=False)
    return figure


def _legend_beside(figure: Figure, handles: Mapping[str, Any]) -> bool:
    """Add a legend to the right if it leaves the panel its room; else leave none."""
    legend = _legend(figure, handles, 1, LETTERS_BESIDE, "outside right upper")
    if legend.get_window_extent().height <= figure.bbox.height:
        return True
    legend.remove()
    return False


def _legend_above(figure: Figure, handles: Mapping[str, Any]) -> None:
    letters = int(13 * figure.get_figwidth()) - 7  # of a name in a legend of one column
    longest = min(letters, max(map(len, handles)))
    most = int(17 * figure.get_figwidth() / (longest + 6))  # of small letters; then it is measured
    for columns in range(max(1, min(len(handles), most)), 0, -1):
        legend = _legend(figure, handles, columns, letters, "outside upper left")
        box = legend.get_window_extent()
        if box.width <= figure.bbox.width or columns == 1:
            figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
            return
        legend.remove()


def _legend(
    figure: Figure, handles: Mapping[str, Any], columns: int, letters: int, place: Place
) -> Legend:
    legend: Legend = figure.legend(
        list(handles.values()),
        [textwrap.fill(name, letters) for name in handles],
        loc=place,
        ncols=columns,
        handlelength=2.4,
        columnspacing=1.4,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def label(row: Row) -> str:
    """Name of a row in a legend, marked where it learns from more than images or has no codes."""
    more = "" if row.kind in ("method", "yardstick") else f" [{row.kind}]"
    size = f" ({row.size})" if row.size and not row.codeless else ""
    return in_legend(f"{row.title}{more}{size}")


def in_legend(name: str) -> str:
    """Return a name as a legend shows it: one that begins with ``_`` would be left out."""
    return legible(f" {name}" if name.startswith("_") else name)


def scale_by_bits(axes: Axes, bits: Sequence[int]) -> None:
    """Set the tested lengths as the only ticks, on a scale where doubling is one step."""
    axes.set_xlabel("code length (bits)")
    if 0 in bits:  # yardsticks without codes are all there is
        axes.set_xticks([])
        return
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(bits, [str(length) for length in bits])
    axes.set_xlim(bits[0] / 2**0.12, bits[-1] * 2**0.12)


def scale_by_tens(axes: Axes) -> None:
    """Set a logarithmic scale for what is drawn, with plain numbers: no mathematics to be set."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def method_styles(board: Board) -> dict[str, dict[str, Any]]:
    """Return the line style of every row, the same in every figure of the board.

    A variant such as ``nsh(tau=1)`` keeps the colour of its base and differs in marker and dashes.
    """
    rows = {row.method: row for section in board.sections for row in section.rows}
    names = sorted(rows, key=lambda name: method_key(name, board.method_order))
    others = [name for name in names if rows[name].yardstick and name not in DASHES]
    dashes = DASHES | {n: OTHER_DASHES[i % len(OTHER_DASHES)] for i, n in enumerate(others)}
    places = colour_places(board)
    marks = 0
    styles: dict[str, dict[str, Any]] = {}
    for name in names:
        if rows[name].yardstick:
            look = {"color": INK, "linewidth": 1.2, "zorder": 1.5}
            styles[name] = look | {"linestyle": dashes[name]}
            continue
        base = name.split("(")[0]
        position = places[name]
        variant = name != base
        marks += variant
        styles[name] = line_style(position, 3 * marks if variant else 0)
    return styles


def line_style(position: int, variant: int = 0) -> dict[str, Any]:
    """Return the line style of the method at a place in the order of methods.

    Parameters
    ----------
    position : int
        Gives the colour and the marker.
    variant : int
        How many markers further that of a variant is; 0 for the method as it is.
    """
    colour = COLOURS[position % len(COLOURS)]
    return {
        "color": colour,
        "marker": MARKERS[(position + variant) % len(MARKERS)],
        "markerfacecolor": "none" if variant else colour,
        "markeredgecolor": colour if variant else "white",
        "markeredgewidth": 1.1 if variant else 0.6,
        "linestyle": "--" if variant or position >= len(COLOURS) else "-",
    }


def save(figure: Figure, form: str) -> bytes:
    """Return the figure as a file: `form` is ``pdf``, ``png`` or ``svg``.

    The figure is laid out by the first call. Each form is drawn once: `Figure.savefig` would draw
    it once more to lay it out. The figure keeps its canvas, which has measured its texts for the
    layout, so pixels need not measure them again.
    """
    buffer = io.BytesIO()
    dpi, canvas = figure.get_dpi(), figure.canvas
    with mpl.rc_context(STYLE):
        engine = figure.get_layout_engine()
        if isinstance(engine, ConstrainedLayoutEngine):
            for text in _texts(figure):
                text.set_text(legible(text.get_text()))
            engine.execute(figure)
            figure.set_layout_engine("none")
        figure.set_facecolor("white" if form == "png" else "none")
        if form == "pdf":
            FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None})
        elif form == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
        else:
            pixels = canvas if isinstance(canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
            pixels.print_png(buffer)
        figure.set_canvas(canvas)
        figure.set_dpi(dpi)  # of vectors it is another
    return buffer.getvalue()


def _texts(figure: Figure) -> Iterator[Text]:
    """Yield the texts of a figure that may hold names, legends aside."""
    yield from figure.texts
    for axes in figure.axes:
        yield from (axes.xaxis.label, axes.yaxis.label, *axes.texts)


def inline_svg(svg: bytes, stem: str, caption: str) -> str:
    """Return the SVG of a figure as an element whose ink and paper are those of the page.

    Its ids start with `stem`, so that two figures can share a page.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    prefix = re.sub(r"[^A-Za-z0-9_-]", "_", stem)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    return text.replace(INK, "currentColor").replace("#ffffff", "var(--paper, #ffffff)")


def inline_png(png: bytes, caption: str) -> str:
    """Return an image element that holds the pixels of a figure."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}">'
