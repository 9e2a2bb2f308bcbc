"""Columns that tables show on request: bounds of ties, training time, speed and memory."""

from __future__ import annotations

from collections.abc import Sequence

from results.analysis.board import Section
from results.choices import COLUMNS

_NOTES = {
    "cost.fit_s": " Without the extraction of features; CPU seconds on a CPU.",
    "cost.images_per_s": (
        " From what the backbone gives to codes, or from images where the backbone is trained; by"
        " CPU seconds on a CPU."
    ),
    "cost.memory_mib": " Peak of the GPU, or of the process where there is none.",
}


def note(metric: str) -> str:
    """Return a sentence on what a column counts, after a space; empty where its name says it."""
    return _NOTES.get(metric, "")


def extra_columns(section: Section, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return headings and metrics of the columns asked for, in their own order.

    Parameters
    ----------
    section : Section
    names : sequence of str
        Keys of `results.choices.COLUMNS`.
    """
    return [
        (heading.format(metric=section.metric), metric.format(metric=section.metric))
        for name, columns in COLUMNS.items()
        if name in names
        for heading, metric in columns
    ]
