"""What is wrong with a grid, in one line meant for the user."""

from __future__ import annotations


class GridError(Exception):
    """Settings that make no grid; the message is one line meant for the user."""


def check_range(what: str, value: float, least: float, most: float) -> None:
    """Refuse a number that is too small, or larger than anything that is counted.

    Raises
    ------
    GridError
        With the bound, and the first digits of the number.
    """
    if not value >= least:
        raise GridError(f"{what}: must be at least {least:g}, got {value}; give a larger one")
    if not value <= most:
        raise GridError(
            f"{what}: must be at most {most}, got {start_of(value)}; give a smaller one"
        )


def start_of(value: object) -> str:
    """Show a value, of a long one its beginning."""
    text = str(value) if isinstance(value, int) else repr(value)
    return text if len(text) <= 40 else f"{text[:20]}... ({len(text):,} letters)"
