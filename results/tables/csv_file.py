"""CSV files whose names no spreadsheet takes for formulas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def csv_file(frame: pd.DataFrame) -> bytes:
    """Return a table as a CSV file, numbers as they are and text as `plain_text` has it."""
    texts = frame.select_dtypes(exclude="number")
    safe = frame.copy()
    for name, values in texts.items():
        safe[name] = values.map(plain_text, na_action="ignore")
    content: str = safe.to_csv(index=False, lineterminator="\n")
    return content.encode()


def plain_text(text: str) -> str:
    """Return a cell's text, behind an apostrophe where a spreadsheet would run it as a formula.

    That is where it begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return. Text that
    has such an apostrophe already gets one more, so that readers who take one away have the name.

    References
    ----------
    OWASP, "CSV injection".

    Examples
    --------
    >>> plain_text("+SUM(A1)"), plain_text("'=1"), plain_text("lsh"), plain_text("'s")
    ("'+SUM(A1)", "''=1", 'lsh', "'s")
    """
    return f"'{text}" if _FORMULA.match(text) else text
