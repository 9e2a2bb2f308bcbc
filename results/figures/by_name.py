"""Every figure of a report by name.

Figures of curves and numbers come from the records, those of codes from their arrays as well, and
maps of codes need the labels that `results.gallery.row_samples` keeps. What lacks its data is not
drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matplotlib.figure import Figure

from results.analysis.board import Section
from results.figures import codes as figure_codes
from results.figures import lines as figure_lines
from results.figures import ranks as figure_ranks
from results.figures import training as figure_training
from results.gallery.view import View
from results.store.run_key import folder_name


@dataclass(frozen=True)
class Kind:
    """How a figure is drawn: for the whole board, or one for each section."""

    caption: str
    board: Callable[[View], Figure | None] | None = None
    section: Callable[[View, Section], Figure | None] | None = None
    pixels: bool = False  # too many shapes for a vector file on the page


@dataclass(frozen=True)
class Drawn:
    """One figure, the stem of its file and its caption."""

    stem: str
    caption: str
    figure: Figure
    pixels: bool


FIGURES = {
    "map_against_bits": Kind(
        "Retrieval quality against code length", figure_lines.map_against_bits
    ),
    "precision_recall": Kind(
        "Precision against recall by Hamming radius, at the longest codes",
        figure_lines.precision_recall,
    ),
    "precision_at_n": Kind("Precision of the nearest N", figure_lines.precision_at_n),
    "recall_at_n": Kind("Recall of the nearest N", figure_lines.recall_at_n),
    "precision_at_radius_2": Kind(
        "Precision within Hamming radius 2 against code length; an empty ball counts 0",
        figure_lines.precision_at_radius_2,
    ),
    "cost": Kind("Retrieval quality against training time", figure_training.cost),
    "mean_ranks": Kind("Mean ranks over data sets", figure_ranks.mean_ranks),
    "bit_balance": Kind("How often each bit is set", figure_lines.bit_balance),
    "loss": Kind("Loss by epoch", section=figure_training.loss),
    "distance_histograms": Kind(
        "Hamming distances of relevant and other pairs", section=figure_codes.distance_histograms
    ),
    "bit_correlation": Kind(
        "Correlation between bits", section=figure_codes.bit_correlation, pixels=True
    ),
    "tsne": Kind("Codes on a map (t-SNE)", section=figure_codes.tsne, pixels=True),
}
"""In the order of the page."""


def draw(view: View, name: str) -> Iterator[Drawn]:
    """Draw a figure by name: none, one, or one for each section that has what it takes."""
    kind = FIGURES[name]
    if kind.board is not None:
        figure = kind.board(view)
        if figure is not None:
            yield Drawn(name, kind.caption, figure, kind.pixels)
    if kind.section is not None:
        for section in view.board.sections:
            figure = kind.section(view, section)
            if figure is not None:
                stem = "-".join([name, *map(folder_name, section.table)])
                yield Drawn(stem, f"{kind.caption}: {section.title}", figure, kind.pixels)
