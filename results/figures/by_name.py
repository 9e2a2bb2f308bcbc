"""Every figure of a report by name.

Figures of curves and numbers come from the records, those of codes from their arrays as well, and
maps of codes need the labels that `results.gallery.row_samples` keeps. What lacks its data is not
drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from results.analysis.board import Section
from results.choices import CAPTIONS
from results.figures import codes as figure_codes
from results.figures import lines as figure_lines
from results.figures import ranks as figure_ranks
from results.figures import tracks as figure_tracks
from results.figures import training as figure_training
from results.figures import truths as figure_truths
from results.gallery.view import View
from results.store.run_key import folder_name


@dataclass(frozen=True)
class Kind:
    """How a figure is drawn: for the whole board, or one for each section."""

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
    "map_against_bits": Kind(figure_lines.map_against_bits),
    "recall_against_bytes": Kind(figure_lines.recall_against_bytes),
    "precision_recall": Kind(figure_lines.precision_recall),
    "precision_at_n": Kind(figure_lines.precision_at_n),
    "recall_at_n": Kind(figure_lines.recall_at_n),
    "precision_at_radius_2": Kind(figure_lines.precision_at_radius_2),
    "cost": Kind(figure_training.cost),
    "shift": Kind(figure_tracks.shift),
    "growth": Kind(figure_tracks.growth),
    "mean_ranks": Kind(figure_ranks.mean_ranks),
    "mean_ranks_by_neighbours": Kind(partial(figure_ranks.mean_ranks, truth="neighbours")),
    "labels_against_neighbours": Kind(figure_truths.labels_against_neighbours),
    "bit_balance": Kind(figure_lines.bit_balance),
    "loss": Kind(section=figure_training.loss),
    "distance_histograms": Kind(section=figure_codes.distance_histograms),
    "bit_correlation": Kind(section=figure_codes.bit_correlation, pixels=True),
    "tsne": Kind(section=figure_codes.tsne, pixels=True),
}
"""In the order of the page."""


@dataclass(frozen=True)
class Job:
    """A figure that can be drawn: the stem of its file, its caption and the sections it shows."""

    stem: str
    caption: str
    sections: tuple[Section, ...]
    pixels: bool
    make: Callable[[], Figure | None]


def jobs(view: View, name: str) -> Iterator[Job]:
    """Yield what is to be drawn under a name: a figure of the board, or one for each section."""
    kind, caption = FIGURES[name], CAPTIONS[name]
    sections = view.board.sections
    if kind.board is not None:
        yield Job(name, caption, sections, kind.pixels, partial(kind.board, view))
    if kind.section is not None:
        for section in sections:
            stem = "-".join([name, *map(folder_name, section.table)])
            make = partial(kind.section, view, section)
            yield Job(stem, f"{caption}: {section.title}", (section,), kind.pixels, make)


def draw(view: View, name: str) -> Iterator[Drawn]:
    """Draw a figure by name: none, one, or one for each section that has what it takes."""
    for job in jobs(view, name):
        figure = job.make()
        if figure is not None:
            yield Drawn(job.stem, job.caption, figure, job.pixels)
