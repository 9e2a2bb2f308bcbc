"""Columns that tables show on request: bounds of ties, training time, speed and memory."""

from __future__ import annotations

from collections.abc import Sequence

from results.analysis.board import Section

COLUMNS = {
    "ties": (
        ("{metric}, worst order of ties", "{metric}:worst"),
        ("{metric}, best order of ties", "{metric}:best"),
    ),
    "time": (("training (s)", "cost.fit_s"),),
    "speed": (("encoding (images/s)", "cost.images_per_s"),),
    "memory": (("peak memory (MiB)", "cost.memory_mib"),),
}
"""By the name that a user types: headings and metrics, with a place for the table's own."""
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
        Keys of `COLUMNS`.
    """
    return [
        (heading.format(metric=section.metric), metric.format(metric=section.metric))
        for name, columns in COLUMNS.items()
        if name in names
        for heading, metric in columns
    ]
