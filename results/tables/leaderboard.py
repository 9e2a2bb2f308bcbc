"""The leaderboard as Markdown, as LaTeX and as text for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from unicodedata import east_asian_width

from markupsafe import Markup

from results.analysis.board import TIES, Board, Row, Section
from results.store.run_key import Table
from results.tables.columns import extra_columns, note
from results.tables.comparisons import statistics_markdown
from results.tables.markup import EMPTY, one_line, template
from results.tables.recipes import recipes_markdown


def leaderboard_markdown(board: Board, columns: Sequence[str] = ()) -> str:
    """Return ``leaderboard.md``.

    Parameters
    ----------
    board : Board
    columns : sequence of str
        Keys of `results.choices.COLUMNS`; they make a further table of each section.
    """
    lines = [*recipes_markdown(board), *statistics_markdown(board)]
    return _rendered("md", board, columns, statistics=Markup("\n".join(lines)))


def leaderboard_latex(board: Board, columns: Sequence[str] = ()) -> str:
    """Return ``leaderboard.tex``: one table per section, for the input command.

    Parameters
    ----------
    board : Board
    columns : sequence of str
        Keys of `results.choices.COLUMNS`; each makes a table of its own, so that it fits a
        page.
    """
    return _rendered("tex", board, columns)


def _rendered(form: str, board: Board, columns: Sequence[str], **more: object) -> str:
    text = template(f"leaderboard.{form}.jinja").render(
        board=board,
        columns=columns,
        extra_columns=extra_columns,
        note_of=note,
        ties=TIES,
        empty=EMPTY,
        **more,
    )
    return f"{text.rstrip()}\n"


def leaderboard_plain(board: Board, tables: Collection[Table] | None = None) -> str:
    """Return the leaderboard for a terminal; a star marks the best mean of a column.

    Parameters
    ----------
    board : Board
    tables : collection of Table, optional
        Those to show; all where left out. The notes are the board's.
    """
    sections = [section for section in board.sections if tables is None or section.table in tables]
    lines = [] if sections else [EMPTY]
    for section in sections:
        table = [["", *(f"{column} " for column in section.columns)]]
        for row in section.rows:
            stars = [_star(section, row, bits) for bits in section.bits]
            entries = [section.entry(row, bits) for bits in section.bits]
            cells = [entry + star for entry, star in zip(entries, stars, strict=True)]
            table.append([one_line(section.label(row)), *cells])
        shown, across = text_columns(table)
        rule = "-" * across
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


def text_columns(table: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """Return the lines of a text table, all of as many cells, and the columns that it takes."""
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    return [_aligned(cells, widths) for cells in table], sum(widths) + 2 * (len(widths) - 1)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line of a text table: the first cell to the left, the others to the right."""
    gaps = [" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    first, *others = zip(cells, gaps, strict=True)
    return "  ".join(["".join(first), *(gap + cell for cell, gap in others)]).rstrip()


def _width(text: str) -> int:
    """Return the columns that `text` takes in a terminal."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
