"""The Markdown that the tables write, headings, paragraphs and tables alone, as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from markupsafe import Markup


def markdown_html(lines: Sequence[str]) -> Markup:
    r"""Return HTML of lines whose names went through `results.tables.markup.markdown_escape`.

    Examples
    --------
    >>> print(markdown_html(["Ranks, p < 0.1:", "", "| a\\_ |", "| --- |", "| **1** |"]))
    <p>Ranks, p &lt; 0.1:</p>
    <div class="wide" role="region" tabindex="0" aria-label="Ranks, p &lt; 0.1:">
    <table><thead><tr><th scope="col">a_</th></tr></thead>
    <tbody><tr><th scope="row"><strong>1</strong></th></tr></tbody></table></div>
    """
    return Markup("\n".join(_blocks(lines)))  # made of escaped text and the tags below


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    label = "Table"
    for is_table, block in groupby(filter(None, lines), lambda line: line.startswith("|")):
        if is_table:
            yield _table([*block], label)
            continue
        for line in block:
            marks, _, text = line.rpartition("# ") if line.startswith("#") else ("", "", line)
            tag = f"h{len(marks) + 1}" if marks or line.startswith("#") else "p"
            label = _inline(text, bold=False)
            yield f"<{tag}>{_inline(text)}</{tag}>"


def _table(lines: Sequence[str], label: str) -> str:
    head, _, *rows = ([cell.strip() for cell in _CELL.split(line)[1:-1]] for line in lines)
    top = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{_inline(first)}</th>'
        f"{''.join(f'<td>{_inline(cell)}</td>' for cell in others)}</tr>"
        for first, *others in rows
    )
    label = label.replace('"', "&quot;")
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{label}">\n'
        f"<table><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


_CELL = re.compile(r"(?<!\\)\|")


def _inline(text: str, *, bold: bool = True) -> str:
    """Escape what is no markup, make bold, and take the backslashes away."""
    text = re.sub(r"&(?!(?:amp|lt|gt);)", "&amp;", text)
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"(?<!\\)\*\*(.+?)(?<!\\)\*\*", r"<strong>\1</strong>" if bold else r"\1", text)
    return re.sub(r"\\([\\`*|~\[\]_])", r"\1", text)
