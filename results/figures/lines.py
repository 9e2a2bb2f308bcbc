"""Figures with one line a method: against bits, cutoffs, radii, epochs and training time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from results.analysis.board import Row, Section
from results.figures.style import (
    INK,
    STYLE,
    finish,
    label,
    method_styles,
    panels,
    scale_by_bits,
    section_panels,
)
from results.gallery.view import View

RADIUS_2 = "P@H<=2"
Points = NDArray[np.float64]  # (2, P): abscissae and ordinates


def map_against_bits(view: View) -> Figure | None:
    """Draw the protocol's mAP against code length, one panel per section, one line a method."""
    return _against_bits(view, lambda section: section.metric)


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


def loss(view: View, section: Section) -> Figure | None:
    """Draw the mean loss of each epoch of a section's longest codes, one panel a method."""
    shown = [
        (row, [r.history for r in view.longest(section, row) if r.history]) for row in section.rows
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
            panel.plot(x, values, color=colour, marker=marker, label=term, **style)
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
    return finish(figure, (), f"{section.title}, {section.bits[-1]} bits; mean over seeds.")


_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.5, 1, 1.5)), (0, (6, 3)))


def cost(view: View) -> Figure | None:
    """Draw retrieval quality against training seconds, a point per method and code length.

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
        panel.set_xscale("log")
        panel.set_xlabel("training time (seconds)")
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
            seconds = [r.timings["fit"] for r in of_cell if r.timings.get("fit", 0) > 0]
            if cell is not None and seconds and not row.yardstick:
                points.append((row, bits, float(np.mean(seconds)), cell.mean))
    return points


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
        panel.set_xscale("log")
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
    curves = [run.curves[curve] for run in runs if set(names) <= set(run.curves.get(curve, ()))]
    points = [np.array([c[names[0]], c[names[1]]], dtype=np.float64) for c in curves]
    same = [p for p in points if p.shape == points[0].shape]
    if not same:
        return None
    mean: Points = np.mean(same, axis=0)
    return mean[:, mean.any(axis=0)]  # no point for a radius at which every ball is empty
