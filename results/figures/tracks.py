"""Figures of harder questions: queries that are worse, and a database that grows."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from results.analysis.board import Row, Section
from results.analysis.curves import Points, mean_curve
from results.figures.style import finish, label, method_styles, section_panels
from results.gallery.view import View

_SEVERITY = re.compile(r":(\w+)-(\d)$")


def shift(view: View) -> Figure | None:
    """Draw the protocol's metric against severity, averaged over kinds of corruption; 0 is none."""
    note = "Mean over noise, blur, weather, digital artefacts, and seeds; the database is clean."
    return _panels(view, _by_severity, "severity of what was done to queries", note)


def growth(view: View) -> Figure | None:
    """Draw the protocol's metric against the size of a database that grows with distractors."""
    note = "All that is added is relevant to no query; mean over queries and seeds."
    return _panels(view, _by_size, "items in the database", note, log=True)


def _panels(
    view: View,
    points_of: Callable[[View, Section, Row], Points | None],
    x_name: str,
    note: str,
    *,
    log: bool = False,
) -> Figure | None:
    """Draw a line a row, at the longest codes of each section that has any."""
    lines = {
        section.table: {
            row.method: (row, points)
            for row in section.rows
            if (points := points_of(view, section, row)) is not None
        }
        for section in view.board.sections
    }
    sections = [section for section in view.board.sections if lines[section.table]]
    if not sections:
        return None
    figure, axes = section_panels(sections, view.width)
    styles = method_styles(view.board)
    for panel, section in zip(axes, sections, strict=True):
        for row, points in lines[section.table].values():
            panel.plot(*points, label=label(row), **styles[row.method])
        if log:
            panel.set_xscale("log")
            panel.xaxis.set_minor_locator(NullLocator())
        places = sorted({x for _, points in lines[section.table].values() for x in points[0]})
        panel.xaxis.set_major_locator(FixedLocator(places))
        panel.set_xticks(places, [f"{place:,.0f}" for place in places])
        panel.set_xlabel(x_name)
        panel.set_ylabel(f"{section.metric}, {section.bits[-1]} bits")
    return finish(figure, axes, note)


def _by_severity(view: View, section: Section, row: Row) -> Points | None:
    """Severities and means, float64 (2, P); None where no query was made worse."""
    bits = section.bits[-1]
    found: dict[int, list[float]] = {}
    for (metric, _), entry in row.cells.items():
        match = _SEVERITY.search(metric.removeprefix(section.metric))
        if match and row.cell(metric, bits) is entry:
            found.setdefault(int(match[2]), []).append(entry.mean)
    clean = row.cell(section.metric, bits)
    if not found or clean is None:
        return None
    means = {0: clean.mean} | {severity: float(np.mean(found[severity])) for severity in found}
    return np.array([sorted(means), [means[severity] for severity in sorted(means)]], dtype=float)


def _by_size(view: View, section: Section, row: Row) -> Points | None:
    return mean_curve(view.longest(section, row), "growth", ("n", "map"))
