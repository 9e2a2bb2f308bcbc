"""Figures of the codes themselves: their distances, correlation between bits, and maps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from results.analysis.board import Section
from results.figures.style import COLOURS, STYLE, finish, in_legend, label, panels
from results.figures.tsne import embed
from results.gallery.shown_queries import map_places, map_rows
from results.gallery.view import View

RIGHT, WRONG = "#0072b2", "#d55e00"
GREY = "#b4b4bb"
CLASS_COLOURS = (*COLOURS, "#1a1a1a", "#b8b400")
_EXACT = 2**20  # items that float32 surely counts exactly, and few enough to hold as floats


def distance_histograms(view: View, section: Section) -> Figure | None:
    """Draw the distances of relevant and of other pairs, each as a share, one panel a method."""
    shown = []
    for row in section.with_panels:
        curves = [
            r.curves["distances"] for r in view.longest(section, row) if "distances" in r.curves
        ]
        if curves and section.bits[-1]:
            pairs = np.sum([curve["pairs"] for curve in curves], axis=0)
            relevant = np.sum([curve["relevant"] for curve in curves], axis=0)
            shown.append((row, relevant, pairs - relevant))
    if not shown:
        return None
    figure, axes = panels([label(row) for row, *_ in shown], view.width, height=1.6, small=True)
    for panel, (_, relevant, other) in zip(axes, shown, strict=True):
        for counts, colour, name in (
            (other, WRONG, "other"),
            (relevant, RIGHT, "relevant"),
        ):
            if counts.sum():
                panel.stairs(
                    counts / counts.sum(),
                    np.arange(len(counts) + 1) - 0.5,
                    fill=True,
                    facecolor=(colour, 0.3),
                    edgecolor=colour,
                    linewidth=1.1,
                    hatch="////" if colour == WRONG else None,
                    label=f"{name} pairs",
                )
        panel.set_xlabel("distance (bits)")
        panel.set_ylabel("share of pairs")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.yaxis.set_major_locator(MaxNLocator(4))
    note = f"every query with every database item, all seeds.{section.panels_note}"
    return finish(figure, axes, f"{section.title}, {section.bits[-1]} bits; {note}")


def bit_correlation(view: View, section: Section) -> Figure | None:
    """Draw the absolute correlation between bits over the database, one panel a method."""
    shown = []
    for row, record in view.examples(section):
        codes = view.codes(record, "database")
        if codes is not None and len(codes) > 1:
            shown.append((row, record, correlation(codes)))
    if not shown:
        return None
    titles = [f"{label(row)}: {_off_diagonal(v):.2f}" for row, _, v in shown]
    height = 2.3 if view.width == "page" else 1.7
    figure, axes = panels(titles, view.width, height=height, small=True)
    for panel, (*_, values) in zip(axes, shown, strict=True):
        image = panel.imshow(values, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
        _bare(panel)
    with mpl.rc_context(STYLE):
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02)
        bar.set_label("|correlation|")
        bar.outline.set_visible(False)
    note = f"seed {shown[0][1].seed}; the number is the mean off the diagonal.{section.panels_note}"
    return finish(figure, axes, f"{section.title}, {section.bits[-1]} bits, {note}")


def _off_diagonal(values: NDArray[np.float64]) -> float:
    """Mean off the diagonal; 0 for a single bit."""
    n = len(values)
    return float((values.sum() - n) / max(n * (n - 1), 1))


def correlation(codes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Absolute Pearson correlation between bits, float64 (K, K); a constant bit has 0 with others.

    Examples
    --------
    >>> correlation(np.array([[0, 1, 1], [1, 0, 1]], bool))
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 1.]])
    """
    together = np.zeros((codes.shape[1], codes.shape[1]))
    for part in np.array_split(codes, -(-len(codes) // _EXACT)):
        bits = part.astype(np.float32)
        together += bits.T @ bits
    together /= len(codes)
    share = together.diagonal()
    spread = np.sqrt(share * (1 - share))
    scale = np.outer(spread, spread)
    values = np.zeros_like(scale)
    np.divide(together - np.outer(share, share), scale, out=values, where=scale > 0)
    np.fill_diagonal(values, 1)
    return np.abs(values).clip(0, 1)


def tsne(view: View, section: Section) -> Figure | None:
    """Draw maps of some database codes by t-SNE on Hamming distances, coloured by label."""
    shown = list(_maps(view, section))
    if not shown:
        return None
    figure, axes = panels([one.title for one in shown], view.width, height=2.1, small=True)
    common = _common_classes(np.concatenate([one.labels for one in shown]))
    for panel, one in zip(axes, shown, strict=True):
        _scatter(panel, one, common)
    n, n_classes = shown[0].labels.shape
    rest = " Grey: all other labels." if len(common) < n_classes else ""
    note = (
        f"{section.title}, {section.bits[-1]} bits; {n} database items, one colour a label.{rest}"
        f"{section.panels_note}"
    )
    return finish(figure, axes, note)


def hamming(codes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distances in bits between codes, bool (n, K); float32 (n, n)."""
    signs = np.where(codes, 1, -1).astype(np.float32)
    distances: NDArray[np.float32] = (codes.shape[1] - signs @ signs.T) / 2
    return distances


class _Map(NamedTuple):
    """Codes on a plane: points (n, 2), labels (n, C), and names of the C classes where known."""

    title: str
    points: NDArray[np.float32]
    labels: NDArray[np.bool_]
    classes: tuple[str, ...]


def _maps(view: View, section: Section) -> Iterator[_Map]:
    for row, record in view.examples(section):
        codes, samples = view.codes(record, "database"), view.samples(record)
        if codes is None or samples is None:
            continue
        labels = samples.labels_of(map_rows(view, record))
        if labels is not None and len(labels) > 9:
            points = embed(hamming(codes[map_places(len(codes))]))
            yield _Map(label(row), points, labels, samples.classes)


def _common_classes(labels: NDArray[np.bool_]) -> list[int]:
    """Return the classes that get a colour: the most frequent."""
    order: list[int] = np.argsort(-labels.sum(0), kind="stable").tolist()
    return order[: len(CLASS_COLOURS)]


def _class_name(classes: tuple[str, ...], number: int) -> str:
    """Return the name of a class; its column of the labels where that is no name of its own."""
    name = classes[number] if classes else "class"
    return name if classes.count(name) == 1 else f"{name} {number}"


def _scatter(panel: Axes, shown: _Map, common: list[int]) -> None:
    labels = shown.labels
    other = ~labels[:, common].any(1)
    if other.any():
        x, y = shown.points[other].T
        panel.scatter(x, y, s=5, color=GREY, linewidths=0, label="others")
    left = ~other
    for colour, number in zip(CLASS_COLOURS, common, strict=False):
        chosen = labels[:, number] & left
        left &= ~chosen
        x, y = shown.points[chosen].T
        name = in_legend(_class_name(shown.classes, number))
        panel.scatter(x, y, s=6, color=colour, linewidths=0, label=name)
    _bare(panel)
    panel.spines[:].set_visible(False)


def _bare(panel: Axes) -> None:
    panel.grid(visible=False)
    panel.set_xticks([])
    panel.set_yticks([])
