"""BibTeX of the papers behind the methods, from ``papers.bib`` in this folder.

>>> bibtex()["itq"].splitlines()[0]
'@inproceedings{itq,'
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("papers.bib")
_ENTRY = re.compile(r"^@\w+\{(\w+),\n.*?^\}$", re.MULTILINE | re.DOTALL)


@cache
def bibtex() -> dict[str, str]:
    """Return the entries of ``papers.bib`` by their keys, the names of rows, in its order."""
    return {entry[1]: entry[0] for entry in _ENTRY.finditer(SOURCE.read_text())}
