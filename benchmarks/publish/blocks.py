"""What pages are filled in with, by name: tables and sentences made from what is published."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.grid.flags import make_parser
from benchmarks.grid.groups import members
from benchmarks.grid.presets import read_preset
from benchmarks.grid.tasks import DEFAULT_BACKBONE, NATURAL_BACKBONE
from benchmarks.publish.learnt import LEARNT
from benchmarks.publish.learnt.figures import FIGURES
from benchmarks.publish.pages import Make, PageError, absent, markdown_table
from results.analysis.board import Board, Section, dagger_note
from results.tables.leaderboard_parquet import COLUMNS
from results.tables.markup import markdown_escape

TYPES = {"str": "text", "Int64": "int64"}
"""What the page of the schema calls a type of pandas that has another name."""


def blocks_of(board: Board | None) -> dict[str, Make | None]:
    """Return all blocks by name; those that need a board are None where there is none."""
    of_board: dict[str, Make] = {"leaderboard": leaderboard, "suites": suites, "ties": ties}
    of_board |= {"figure": figure, **LEARNT}
    made = {name: None if board is None else partial(of, board) for name, of in of_board.items()}
    return {"columns": columns, **made}


def columns() -> str:
    """Return the schema of ``leaderboard.parquet``."""
    rows = [
        f"| `{c.name}` | {TYPES.get(c.kind, c.kind)} | {c.unit or '-'} | {c.meaning} |"
        for c in COLUMNS
    ]
    return "\n".join(["| column | type | unit | meaning |", "| --- | --- | --- | --- |", *rows])


def suites(board: Board) -> str:
    """Return a table of what is published, and say what of the preset and of the suite is not."""
    head = ["suite", "queries", "training", "database", "metric", "bits", "seeds", "methods"]
    rows, wanted = [], members("all")
    for section in board.sections:
        info = next(r for r in board.records if r.table == section.table).protocol_info
        sizes = [f"{info[name]:,}" for name in ("n_query", "n_train", "n_database")]
        bits, known = ", ".join(map(str, section.bits)), _bases(section) & set(wanted)
        methods = f"{len(known)} of {len(wanted)}"
        of_suite = [section.metric, bits, str(section.seeds), methods]
        rows.append([markdown_escape(section.title), *sizes, *of_suite])
    published = set().union(*map(_bases, board.sections))
    absent = {
        "Suites": [name for name, known in _planned(board) if not known],
        "Methods": [cls.title for name, cls in wanted.items() if name not in published],
    }
    lines = [f"{what} not in it: {', '.join(of)}." for what, of in absent.items() if of]
    return "\n\n".join([markdown_table(head, rows), *lines])


def _bases(section: Section) -> set[str]:
    """Names of a section's rows without their settings."""
    return {row.method.partition("(")[0] for row in section.rows if row.cells}


def _planned(board: Board) -> Iterator[tuple[str, bool]]:
    """Yield every suite of the preset `reference`, and whether a board has it."""
    for flags in read_preset("reference", make_parser()):
        for name in flags["datasets"]:
            dataset, _, protocol = name.partition("/")
            backbone = flags.get("backbone") or DEFAULT_BACKBONE.get(dataset, NATURAL_BACKBONE)
            known = any(
                (s.dataset, s.backbone.partition("@")[0]) == (dataset, backbone)
                and protocol in ("", s.protocol.partition("~")[0])
                for s in board.sections
            )
            yield f"{name} ({backbone})", known


def leaderboard(board: Board, suite: str, *methods: str) -> str:
    """Return the table of a suite, of all rows or of some methods, with what its numbers are.

    Yardsticks stand in every one. A suite that is not published gives a line that says so, and so
    does a method.
    """
    section = section_of(board, suite)
    if section is None:
        return absent(suite)
    rows = [row for row in section.rows if not methods or row.yardstick or row.method in methods]
    lacking = sorted(set(methods) - {row.method for row in rows})
    entries = [
        [markdown_escape(section.label(row)), *(section.entry(row, bits) for bits in section.bits)]
        for row in rows
    ]
    note = (
        f"{section.metric}, mean ± standard deviation over {section.seeds} seeds; {section.sizes}."
    )
    if lacking:
        note += f" Not published: {', '.join(lacking)}."
    note += dagger_note(entry for of_row in entries for entry in of_row[1:])
    return f"{markdown_table(['method', *section.columns], entries)}\n\n{note}"


def ties(board: Board, suite: str, method: str) -> str:
    """Return what the order of ties does to a method's numbers in a suite."""
    section = section_of(board, suite)
    row = next((row for row in section.rows if row.method == method), None) if section else None
    if section is None or row is None:
        return absent(f"{suite} {method}")
    orders = {"worst": ":worst", "exact mean over all orders": "", "best": ":best"}
    rows = [
        [order, *(row.mean(f"{section.metric}{end}", bits) for bits in section.bits)]
        for order, end in orders.items()
    ]
    note = f"{section.metric} of {row.title} on {section.title}, mean over {section.seeds} seeds."
    return f"{markdown_table(['order of ties', *section.columns], rows)}\n\n{note}"


def figure(board: Board, name: str, caption: str) -> str:
    """Return the figure of a name below ``docs/figures``, for a page of ``docs``."""
    if name not in FIGURES:
        raise PageError(f"no figure is called {name!r}; there are {', '.join(FIGURES)}")
    if not any(FIGURES[name].points(board).values()):
        return absent(f"what the figure {name} shows")
    return f"![{caption}](figures/{name}.svg)"


def section_of(board: Board, suite: str) -> Section | None:
    """Return the section whose names a suite's are the first of; None if none is published.

    Raises
    ------
    PageError
        If there are several.
    """
    names = suite.split("/")
    found = [s for s in board.sections if [*s.table][: len(names)] == names]
    if len(found) > 1:
        several = ", ".join(section.title.replace(" ", "") for section in found)
        raise PageError(f"{suite}: is any of {several}; name one of them")
    return found[0] if found else None
