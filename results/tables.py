"""The leaderboard as Markdown, as LaTeX and as text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from unicodedata import east_asian_width

from results.frames import leaderboard, runs_frame
from results.sections import TIES, Board, Row, Section

__all__ = [
    "latex_escape",
    "leaderboard",
    "leaderboard_latex",
    "leaderboard_markdown",
    "leaderboard_plain",
    "runs_frame",
]

EMPTY = "No record can be shown."
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
}


def leaderboard_markdown(board: Board) -> str:
    """Return ``leaderboard.md``."""
    lines = ["# Leaderboard", ""]
    lines += [TIES, ""] if board.sections else [EMPTY, ""]
    for section in board.sections:
        lines += [
            f"## {_markdown(section.title)}",
            "",
            f"{section.sizes}. {_markdown(section.rule)}",
            "",
        ]
        lines += _markdown_table(["method", *section.columns], section, _main_entries)
        lines += ["", _markdown(section.caption()), ""]
        if section.further:
            lines += [f"Further metrics, means at {section.slashed_bits} bits:", ""]
            lines += _markdown_table(["method", *section.further], section, _further_entries)
            lines += [""]
    if board.notes:
        lines += ["## Notes", "", *(f"- {_markdown(note)}" for note in board.notes), ""]
    return "\n".join(lines)


def leaderboard_latex(board: Board) -> str:
    """Return ``leaderboard.tex``: one booktabs table per section, for the input command."""
    blocks = ["% Needs \\usepackage{booktabs}."]
    blocks += [f"% {latex_escape(note)}" for note in board.notes]
    if not board.sections:
        blocks += [f"% {EMPTY}"]
    for number, section in enumerate(board.sections, start=1):
        width = len(section.bits) + 1
        blocks += [
            "",
            r"\begin{table}[t]",
            r"  \centering",
            f"  \\caption{{{latex_escape(f'{section.title} ({section.sizes}).')} "
            f"{latex_escape(f'{section.caption()} {TIES}')}}}",
            f"  \\label{{tab:leaderboard-{number}}}",
            f"  \\begin{{tabular}}{{l{'r' * len(section.bits)}}}",
            r"    \toprule",
            f"    {' & '.join(['method', *map(latex_escape, section.columns)])} \\\\",
            r"    \midrule",
        ]
        for number_of_block, (heading, rows) in enumerate(section.blocks):
            blocks += [r"    \midrule"] if number_of_block else []
            if heading:
                text = latex_escape(heading)
                blocks += [f"    \\multicolumn{{{width}}}{{l}}{{\\emph{{{text}}}}} \\\\"]
            blocks += [f"    {_latex_row(section, row)}" for row in rows]
        blocks += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(blocks) + "\n"


def leaderboard_plain(board: Board) -> str:
    """Return the leaderboard for a terminal; a star marks the best mean of a column."""
    lines = [] if board.sections else [EMPTY]
    for section in board.sections:
        table = [["", *(f"{column} " for column in section.columns)]]
        for row in section.rows:
            stars = ["*" if section.best(row, bits) else " " for bits in section.bits]
            entries = [section.entry(row, bits) for bits in section.bits]
            cells = [entry + star for entry, star in zip(entries, stars, strict=True)]
            table.append([_plain(section.label(row)), *cells])
        widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
        rule = "-" * (sum(widths) + 2 * len(section.bits))
        shown = [_aligned(cells, widths) for cells in table]
        lines += [_plain(section.title), f"{section.sizes}", "", shown.pop(0)]
        for heading, rows in section.blocks:
            lines += [rule, *([f"({heading})"] if heading and rows[0].kind != "yardstick" else [])]
            lines += [shown.pop(0) for _ in rows]
        caption = section.caption().replace("in bold, untested", "marked *, untested")
        lines += ["", caption, ""]
    lines += [_plain(note) for note in board.notes]
    return "\n".join(lines).rstrip() + "\n"


def latex_escape(text: str) -> str:
    r"""Return `text` as LaTeX prints it.

    Examples
    --------
    >>> latex_escape("kl_hash & 50%")
    'kl\\_hash \\& 50\\%'
    """
    return "".join(_LATEX.get(letter, letter) for letter in _plain(text))


def _latex_row(section: Section, row: Row) -> str:
    cells = []
    for bits in section.bits:
        entry = latex_escape(section.entry(row, bits))
        cells.append(f"\\textbf{{{entry}}}" if section.best(row, bits) else entry)
    return f"{' & '.join([latex_escape(section.label(row)), *cells])} \\\\"


def _main_entries(section: Section, row: Row) -> list[str]:
    entries = [(section.entry(row, bits), section.best(row, bits)) for bits in section.bits]
    return [f"**{entry}**" if best else entry for entry, best in entries]


def _further_entries(section: Section, row: Row) -> list[str]:
    return [section.means(row, metric) for metric in section.further]


def _markdown_table(
    header: Sequence[str], section: Section, entries: Callable[[Section, Row], list[str]]
) -> list[str]:
    rows = [[_markdown(name) for name in header], ["---", *["---:"] * (len(header) - 1)]]
    for heading, of_kind in section.blocks:
        if heading:  # Markdown has no rule inside a table: a row of its own sets them apart
            rows += [[f"*{_markdown(heading)}*", *[""] * (len(header) - 1)]]
        rows += [[_markdown(section.label(row)), *entries(section, row)] for row in of_kind]
    return [f"| {' | '.join(row)} |" for row in rows]


def _markdown(text: str) -> str:
    """Escape what Markdown or HTML would take for markup; an underscore inside a word is safe."""
    text = _plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*|~\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", text)


def _plain(text: str) -> str:
    """Return one line without control characters, so that a name cannot steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line of a text table: the first cell to the left, the others to the right."""
    gaps = [" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    first, *others = zip(cells, gaps, strict=True)
    return "  ".join(["".join(first), *(gap + cell for cell, gap in others)]).rstrip()


def _width(text: str) -> int:
    """Return the columns that `text` takes in a terminal."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
