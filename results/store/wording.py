"""Words around numbers, in sentences of commands, tables and pages."""

from __future__ import annotations


def counted(n: float, noun: str) -> str:
    """Say how many there are of something whose plural ends in s.

    Examples
    --------
    >>> counted(1, "record"), counted(1200, "cell"), counted(1.0, "byte"), counted(12.5, "byte")
    ('1 record', '1,200 cells', '1 byte', '12.5 bytes')
    """
    number = f"{n:,g}" if n != int(n) else f"{int(n):,}"
    return f"{number} {noun}" if n == 1 else f"{number} {noun}s"
