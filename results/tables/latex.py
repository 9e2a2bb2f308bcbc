"""The leaderboard as LaTeX: booktabs tables, methods by code length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from results.analysis.board import TIES, Board, Row, Section
from results.tables.columns import extra_columns, extra_value, note
from results.tables.markup import EMPTY, latex_escape


def leaderboard_latex(board: Board, columns: Sequence[str] = ()) -> str:
    """Return ``leaderboard.tex``: one table per section, for the input command.

    Parameters
    ----------
    board : Board
    columns : sequence of str
        Keys of `results.tables.columns.COLUMNS`; each makes a table of its own, so that it fits a
        page.
    """
    blocks = ["% Needs \\usepackage{booktabs}."]
    blocks += [f"% {latex_escape(note)}" for note in board.notes]
    if not board.sections:
        blocks += [f"% {EMPTY}"]
    for number, section in enumerate(board.sections, start=1):
        caption = f"{section.title} ({section.sizes}). {section.caption()} {TIES}"
        blocks += _table(section, section.columns, caption, f"leaderboard-{number}", _main_entries)
        for place, (heading, metric) in enumerate(extra_columns(section, columns), start=1):
            caption = f"{section.title}: {heading}, means over seeds.{note(metric)}"
            label = f"leaderboard-{number}-{place}"
            blocks += _table(section, section.columns, caption, label, _extra_entries(metric))
    return "\n".join(blocks) + "\n"


def _table(
    section: Section,
    headings: Sequence[str],
    caption: str,
    label: str,
    entries: Callable[[Section, Row], list[str]],
) -> list[str]:
    lines = [
        "",
        r"\begin{table}[t]",
        r"  \centering",
        r"  \setlength{\belowcaptionskip}{4pt}",
        f"  \\caption{{{latex_escape(caption)}}}",
        f"  \\label{{tab:{label}}}",
        r"  \setlength{\tabcolsep}{4pt}",
        f"  \\begin{{tabular}}{{@{{}}l{'r' * len(headings)}@{{}}}}",
        r"    \toprule",
        f"    {' & '.join(['method', *map(latex_escape, headings)])} \\\\",
        r"    \midrule",
    ]
    for number, (heading, rows) in enumerate(section.blocks):
        lines += [r"    \midrule"] if number else []
        if heading:
            text = latex_escape(heading)
            lines += [
                f"    \\multicolumn{{{len(headings) + 1}}}{{@{{}}l}}{{\\emph{{{text}}}}} \\\\"
            ]
        for row in rows:
            cells = [latex_escape(section.label(row)), *entries(section, row)]
            lines += [f"    {' & '.join(cells)} \\\\"]
    return [*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]


def _main_entries(section: Section, row: Row) -> list[str]:
    cells = []
    for bits in section.bits:
        entry = latex_escape(section.entry(row, bits))
        if section.best(row, bits):
            entry = f"\\textbf{{{entry}}}"
        elif section.second(row, bits):
            entry = f"\\underline{{{entry}}}"
        cells.append(entry)
    return cells


def _extra_entries(metric: str) -> Callable[[Section, Row], list[str]]:
    def entries(section: Section, row: Row) -> list[str]:
        return [latex_escape(extra_value(row, metric, bits)) for bits in section.bits]

    return entries
