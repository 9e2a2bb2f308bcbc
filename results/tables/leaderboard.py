"""The leaderboard as Markdown and as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unicodedata import east_asian_width

from results.analysis.board import TIES, Board, Row, Section
from results.tables.columns import extra_columns, extra_entries, note
from results.tables.comparisons import statistics_markdown
from results.tables.markup import EMPTY, markdown_escape, one_line


def leaderboard_markdown(board: Board, columns: Sequence[str] = ()) -> str:
    """Return ``leaderboard.md``.

    Parameters
    ----------
    board : Board
    columns : sequence of str
        Keys of `results.tables.columns.COLUMNS`; they make a further table of each section.
    """
    lines = ["# Leaderboard", ""]
    lines += [TIES, ""] if board.sections else [EMPTY, ""]
    for section in board.sections:
        lines += [
            f"## {markdown_escape(section.title)}",
            "",
            f"{section.sizes}. {markdown_escape(section.rule)}",
            "",
        ]
        lines += _markdown_table(["method", *section.columns], section, _main_entries)
        lines += ["", markdown_escape(section.caption()), ""]
        if section.further:
            lines += [f"Further metrics, means at {section.slashed_bits} bits:", ""]
            lines += _markdown_table(["method", *section.further], section, _further_entries)
            lines += [""]
        if extra := extra_columns(section, columns):
            headings = [heading for heading, _ in extra]
            notes = "".join(f" {heading}:{note(m)}" for heading, m in extra if note(m))
            lines += [f"Ties and costs, means at {section.slashed_bits} bits.{notes}", ""]
            lines += _markdown_table(["method", *headings], section, extra_entries(columns))
            lines += [""]
    lines += statistics_markdown(board)
    if board.notes:
        lines += ["## Notes", "", *(f"- {markdown_escape(line)}" for line in board.notes), ""]
    return "\n".join(lines)


def leaderboard_plain(board: Board) -> str:
    """Return the leaderboard for a terminal; a star marks the best mean of a column."""
    lines = [] if board.sections else [EMPTY]
    for section in board.sections:
        table = [["", *(f"{column} " for column in section.columns)]]
        for row in section.rows:
            stars = [_star(section, row, bits) for bits in section.bits]
            entries = [section.entry(row, bits) for bits in section.bits]
            cells = [entry + star for entry, star in zip(entries, stars, strict=True)]
            table.append([one_line(section.label(row)), *cells])
        widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
        rule = "-" * (sum(widths) + 2 * len(section.bits))
        shown = [_aligned(cells, widths) for cells in table]
        lines += [one_line(section.title), f"{section.sizes}", "", shown.pop(0)]
        for heading, rows in section.blocks:
            lines += [rule, *([f"({heading})"] if heading and rows[0].kind != "yardstick" else [])]
            lines += [shown.pop(0) for _ in rows]
        caption = section.caption("marked *", "marked +")
        lines += ["", caption, ""]
    lines += [one_line(note) for note in board.notes]
    return "\n".join(lines).rstrip() + "\n"


def _star(section: Section, row: Row, bits: int) -> str:
    if section.best(row, bits):
        return "*"
    return "+" if section.second(row, bits) else " "


def _main_entries(section: Section, row: Row) -> list[str]:
    entries = []
    for bits in section.bits:
        entry = section.entry(row, bits)
        if section.best(row, bits):
            entry = f"**{entry}**"
        elif section.second(row, bits):
            entry = f"<ins>{entry}</ins>"  # Markdown has no underlining of its own
        entries.append(entry)
    return entries


def _further_entries(section: Section, row: Row) -> list[str]:
    return [section.means(row, metric) for metric in section.further]


def _markdown_table(
    header: Sequence[str], section: Section, entries: Callable[[Section, Row], list[str]]
) -> list[str]:
    rows = [[markdown_escape(name) for name in header], ["---", *["---:"] * (len(header) - 1)]]
    for heading, of_kind in section.blocks:
        if heading:  # Markdown has no rule inside a table: a row of its own sets them apart
            rows += [[f"*{markdown_escape(heading)}*", *[""] * (len(header) - 1)]]
        rows += [[markdown_escape(section.label(row)), *entries(section, row)] for row in of_kind]
    return [f"| {' | '.join(row)} |" for row in rows]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line of a text table: the first cell to the left, the others to the right."""
    gaps = [" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    first, *others = zip(cells, gaps, strict=True)
    return "  ".join(["".join(first), *(gap + cell for cell, gap in others)]).rstrip()


def _width(text: str) -> int:
    """Return the columns that `text` takes in a terminal."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
