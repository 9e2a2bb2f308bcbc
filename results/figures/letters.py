"""The font of all figures: which letters it has, and a small copy for those that most need.

A PDF embeds the letters that it uses. Cutting them out of the whole font, whose tables hold a dozen
scripts, takes a tenth of a second for each figure and weight; out of its Latin letters without the
tables that only a text shaper reads, next to nothing.
"""

from __future__ import annotations

import atexit
import logging
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from fontTools import subset
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

FONT = "DejaVu Sans"
"""It comes with matplotlib, so figures look alike on all machines."""
LATIN = "HashBench Sans"
"""Its letters of `_LETTERS` alone, under a name of their own; see `add_latin`."""
_LETTERS = (range(0x20, 0x180), range(0x2010, 0x2027), (0x2212,))  # Latin, dashes, quotes, minus
_SHAPING = ("GDEF", "GPOS", "GSUB", "MATH")  # tables that matplotlib does not read
_FAMILY = (1, 4, 6, 16)  # where a font file holds its name


@cache
def add_latin() -> None:
    """Make `LATIN` known to matplotlib, regular and bold."""
    folder = Path(mkdtemp(prefix="hashbench-font-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    logging.getLogger("fontTools.subset").setLevel(logging.ERROR)  # it names tables that it drops
    options = subset.Options(name_IDs=["*"], glyph_names=True, notdef_outline=True)
    options.drop_tables += _SHAPING
    for weight in ("normal", "bold"):
        cut = subset.Subsetter(options)
        cut.populate(unicodes=[letter for letters in _LETTERS for letter in letters])
        path = folder / f"{weight}.ttf"
        whole = findfont(FontProperties(family=FONT, weight=weight))
        with subset.load_font(whole, options) as font:
            cut.subset(font)
            for name in font["name"].names:
                if name.nameID in _FAMILY:
                    # The last tells the letters of a weight from those of another in one SVG.
                    own = f"{LATIN.replace(' ', '')}-{weight}"
                    name.string = own if name.nameID == 6 else LATIN
            font.save(path)
        fontManager.addfont(path)


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
