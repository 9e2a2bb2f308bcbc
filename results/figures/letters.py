"""Which letters the font of the figures has."""

from __future__ import annotations

from functools import cache

from matplotlib.font_manager import findfont, get_font

FONT = "DejaVu Sans"
"""It comes with matplotlib, so figures look alike on all machines."""


def legible(text: str) -> str:
    """Return `text` with the number of each letter that the font lacks in the letter's place.

    Examples
    --------
    >>> legible("kl_hash \u00b1"), legible("\u6f22")
    ('kl_hash \u00b1', '(U+6F22)')
    """
    if text.isascii() and text.isprintable():
        return text
    known = _known_letters()
    return "".join(c if c == "\n" or ord(c) in known else f"(U+{ord(c):04X})" for c in text)


@cache
def _known_letters() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())
