"""Pages whose numbers nobody types: what stands between two marks is made from what is published.

A page says what belongs there::

    <!-- filled: leaderboard digits lsh itq -->
    (what stands here is replaced)
    <!-- /filled -->

A mark at the start of a line has lines to itself; any other stands within a sentence.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from results.tables.markup import markdown_escape

END = "<!-- /filled -->"
_BEGIN = r"<!-- filled: ([^\n]*?) -->"
_BLOCK = re.compile(f"(^)?{_BEGIN}(.*?){END}", re.DOTALL | re.MULTILINE)
_MARK = re.compile(f"{_BEGIN}|{END}")

Make = Callable[..., str]
"""Takes the words behind the name of a block, and returns Markdown."""


class PageError(Exception):
    """A page whose marks ask for nothing that is known; the message is one line for the user."""


def filled(text: str, blocks: Mapping[str, Make | None]) -> str:
    r"""Return a page with what belongs between its marks.

    Parameters
    ----------
    text : str
        The page, Markdown.
    blocks : mapping from str to callable, optional
        What makes the block of a name; with None in its place it stays as it stands.

    Raises
    ------
    PageError
        If a mark lacks its other end, names no block, or asks it for what there is not.

    Examples
    --------
    >>> filled("<!-- filled: of a -->?<!-- /filled -->.", {"of": str.upper})
    '<!-- filled: of a -->\n\nA\n\n<!-- /filled -->.'
    >>> filled("It is <!-- filled: of a -->?<!-- /filled -->.", {"of": str.upper})
    'It is <!-- filled: of a -->A<!-- /filled -->.'
    """
    if len(_MARK.findall(text)) != 2 * len(_BLOCK.findall(text)):
        raise PageError(
            f"a block that <!-- filled: NAME --> begins has no {END}, or it no beginning"
        )
    return _BLOCK.sub(lambda block: _made(block, blocks), text)


def _made(block: re.Match[str], blocks: Mapping[str, Make | None]) -> str:
    at_start, call = block[1] is not None, block[2]
    name, *words = shlex.split(call) or [""]
    if name not in blocks:
        raise PageError(f"no block is called {name!r}; there are {', '.join(blocks)}")
    make = blocks[name]
    if make is None:
        return block[0]
    try:
        new = make(*words).strip("\n")
    except (TypeError, PageError) as error:
        raise PageError(f"<!-- filled: {call} -->: {error}") from error
    apart = "\n\n" if at_start else ""
    return f"<!-- filled: {call} -->{apart}{new}{apart}{END}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; numbers to the right, below all heads but the first.

    Examples
    --------
    >>> print(markdown_table(["method", "16"], [["LSH", "0.2"]]))
    | method | 16 |
    | --- | ---: |
    | LSH | 0.2 |
    """
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def absent(what: str) -> str:
    """Say that something is not among what is published."""
    return f"*Not published with this version: {markdown_escape(what)}.*"
