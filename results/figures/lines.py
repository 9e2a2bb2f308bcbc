"""Figures of retrieval with one line a method: against code length, cutoff and Hamming radius."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from results.analysis.board import Row, Section
from results.analysis.curves import Points, mean_curve
from results.figures.style import (
    INK,
    finish,
    label,
    method_styles,
    scale_by_bits,
    scale_by_tens,
    section_panels,
)
from results.gallery.view import View

RADIUS_2 = "P@H<=2"


def map_against_bits(view: View) -> Figure | None:
    """Draw the protocol's mAP against code length, one panel per section, one line a method."""
    return _against_bits(view, lambda section: section.metric)


def recall_against_bytes(view: View) -> Figure | None:
    """Draw recall k@k and k@4k against all bytes that an item takes, one line a method.

    The second is what re-ranking 4k items by the true distance gives.
    """
    by_metric = [
        (section, f"recall{k}@{n}")
        for section in view.board.sections
        if (k := _neighbours_of(section))
        for n in (k, 4 * k)
    ]
    if not by_metric:
        return None
    figure, axes = section_panels([section for section, _ in by_metric], view.width)
    styles = method_styles(view.board)
    for panel, (section, metric) in zip(axes, by_metric, strict=True):
        alone = itertools.cycle("sDv^")  # a line of one point shows by its marker
        for row in section.rows:
            points = sorted(
                (row.item_bytes(bits), cell.mean)
                for (name, bits), cell in row.cells.items()
                if name == metric
            )
            if points:
                style = styles[row.method] | ({"marker": next(alone)} if len(points) == 1 else {})
                panel.plot(*zip(*points, strict=True), label=label(row), **style)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.set_xlabel("bytes an item")
        panel.set_ylabel(metric)
    note = "recall k@n: of the k nearest, after re-ranking n items by the true distance; mean."
    return finish(figure, axes, note)


def _neighbours_of(section: Section) -> int | None:
    """Return k where a section's metric is the recall of the k nearest, None where it is not."""
    found = re.fullmatch(r"recall(\d+)@\1", section.metric)
    return int(found[1]) if found else None


def precision_at_radius_2(view: View) -> Figure | None:
    """Draw the precision within Hamming radius 2 against code length; an empty ball counts 0."""
    return _against_bits(view, lambda _: RADIUS_2)


def precision_recall(view: View) -> Figure | None:
    """Draw precision against recall by Hamming radius at each section's longest codes."""
    note = "A line runs through Hamming radius 0, 1, 2, ...; mean over seeds."
    return _curves(view, "precision_recall", ("recall", "precision"), note, top=1)


def precision_at_n(view: View) -> Figure | None:
    """Draw P@N against N at each section's longest codes."""
    note = "Share of relevant items among the nearest N; mean over queries and seeds."
    return _curves(view, "cutoffs", ("n", "precision"), note)


def recall_at_n(view: View) -> Figure | None:
    """Draw R@N against N at each section's longest codes."""
    note = "Share of all relevant items that are among the nearest N; mean over queries and seeds."
    return _curves(view, "cutoffs", ("n", "recall"), note)


def bit_balance(view: View) -> Figure | None:
    """Draw how often each bit is set, bits in falling order; balanced bits lie at one half."""
    sections = [s for s in view.board.sections if _with_curve(view, s, "bits")]
    if not sections:
        return None
    figure, axes = section_panels(sections, view.width)
    styles = method_styles(view.board)
    for panel, section in zip(axes, sections, strict=True):
        panel.axhline(0.5, color=INK, linewidth=0.8, alpha=0.5)
        for row in section.rows:
            runs = [r.curves["bits"] for r in view.longest(section, row) if "bits" in r.curves]
            if runs:
                shares = np.mean([sorted(run["activation"], reverse=True) for run in runs], axis=0)
                style = styles[row.method] | {"markersize": 3}
                every = max(1, len(shares) // 10)
                panel.plot(
                    range(1, len(shares) + 1), shares, label=label(row), markevery=every, **style
                )
        panel.set_ylim(0, 1)
        panel.set_xlabel(f"bits of {section.bits[-1]}, most active first")
        panel.set_ylabel("share of images that set it")
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return finish(figure, axes, "Over the database, mean over seeds; 0.5 is a balanced bit.")


def _against_bits(view: View, metric_of: Callable[[Section], str]) -> Figure | None:
    board = view.board
    sections = [
        section
        for section in board.sections
        if any(metric == metric_of(section) for row in section.rows for metric, _ in row.cells)
    ]
    if not sections:
        return None
    figure, axes = section_panels(sections, view.width)
    styles = method_styles(board)
    for panel, section in zip(axes, sections, strict=True):
        metric = metric_of(section)
        values = board.runs[board.runs["metric"] == metric]
        for name in ("dataset", "protocol", "backbone"):
            values = values[values[name] == getattr(section, name)]
        for row in section.rows:
            style = styles[row.method]
            of_row = values[values["method"] == row.method]
            if row.codeless and len(of_row):
                panel.axhline(of_row["value"].mean(), label=label(row), **style)
            elif len(of_row):  # else every run failed
                sns.lineplot(
                    of_row,
                    x="bits",
                    y="value",
                    errorbar=None if row.yardstick else "sd",
                    err_kws={"alpha": 0.18, "linewidth": 0},
                    label=label(row),
                    legend=False,
                    ax=panel,
                    **style,
                )
        scale_by_bits(panel, section.bits)
        panel.set_ylabel(metric)
    return finish(figure, axes, f"Line: mean over seeds; {_spread(sections)}.")


def _spread(sections: Sequence[Section]) -> str:
    with_codes = [row for s in sections for row in s.rows if not row.codeless]
    seeds = sorted({cell.n for row in with_codes for cell in row.cells.values()} or {1})
    count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return "one seed, so no band" if seeds == [1] else f"band: ± 1 standard deviation, n = {count}"


def _curves(
    view: View, curve: str, names: tuple[str, str], note: str, top: float | None = None
) -> Figure | None:
    """Draw one curve of the records against another, at each section's longest codes."""
    sections = [section for section in view.board.sections if _with_curve(view, section, curve)]
    if not sections:
        return None
    figure, axes = section_panels(sections, view.width)
    styles = method_styles(view.board)
    x_name, y_name = names
    for panel, section in zip(axes, sections, strict=True):
        for row in section.rows:
            points = _mean_points(view, section, row, curve, names)
            if points is not None:
                every = max(1, points.shape[1] // 12)
                style = styles[row.method] | {"markersize": 4}
                panel.plot(*points, label=label(row), markevery=every, **style)
        _label_axes(panel, x_name, y_name, section.bits[-1])
        panel.set_ylim(0, top)
    return finish(figure, axes, note)


def _label_axes(panel: Axes, x_name: str, y_name: str, bits: int) -> None:
    if x_name == "n":
        scale_by_tens(panel)
        panel.set_xlabel("N nearest items")
        panel.set_ylabel(f"{y_name} at N, {bits} bits")
    else:
        panel.set_xlim(0, 1)
        panel.set_xlabel(x_name)
        panel.set_ylabel(f"{y_name} at {bits} bits")


def _with_curve(view: View, section: Section, curve: str) -> bool:
    return any(curve in r.curves for row in section.rows for r in view.longest(section, row))


def _mean_points(
    view: View, section: Section, row: Row, curve: str, names: tuple[str, str]
) -> Points | None:
    """Mean of a curve over seeds, at the longest codes or of a row that has none."""
    runs = view.longest(section, row) or view.runs(section).get((row.method, 0), [])
    return mean_curve(runs, curve, names)
