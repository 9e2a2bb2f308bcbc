"""What costs how much, and which method to take for what."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.publish.learnt.common import columns, gaps, is_deep, middle, name, seconds
from benchmarks.publish.pages import markdown_table
from results.analysis.board import Board, Column, Row, Section
from results.tables.markup import markdown_escape

FIT = "cost.fit_s"
CLOSE = 0.02
"""By how much the mean of what is taken for its price may be lower than the best."""


def middle_length(section: Section) -> int:
    """Return the middle one of a table's code lengths."""
    return section.bits[len(section.bits) // 2]


def fits(section: Section, bits: int) -> dict[str, float]:
    """Return the mean seconds of training of every unsupervised method at one length."""
    found = {row.method: _cost(row, bits) for row in section.rows if row.kind == "method"}
    return {method: cost for method, cost in found.items() if cost is not None}


def _cost(row: Row, bits: int) -> float | None:
    """Return seconds of training, 0 where none was measured; None where nothing was run."""
    if not any(length == bits for _, length in row.cells):
        return None
    cell = row.cells.get((FIT, bits))
    return cell.mean if cell else 0.0


def costs(board: Board) -> str:
    """Return the seconds of training of closed forms and of deep methods, by suite."""
    rows = []
    for section in board.sections:
        bits = middle_length(section)
        of = fits(section, bits)
        deep = [cost for method, cost in of.items() if is_deep(method)]
        closed = [cost for method, cost in of.items() if not is_deep(method)]
        cells = [
            f"{seconds(middle(part))} (up to {seconds(max(part))})" if part else "-"
            for part in (closed, deep)
        ]
        if of:
            rows.append([name(section), str(bits), *cells])
    if not rows:
        return "*Nothing published was trained.*"
    return markdown_table(["suite", "bits", "closed forms", "deep methods"], rows)


class Choice(NamedTuple):
    """The first of a column, how many no test tells from it, and the cheapest close one."""

    first: str
    alike: int
    cheapest: str


def choose(column: Column) -> Choice | None:
    """Return whom to take in a column; None where fewer than two were tested."""
    if not column.pairs:
        return None
    first = column.pairs[0].first  # the better mean comes first
    spent = fits(column.section, column.bits)
    over = gaps(column, first)
    if not over or first not in spent:
        return None
    alike = [gap for gap in over if gap.verdict == "not told apart"]
    close = [gap.method for gap in alike if gap.value >= -CLOSE and gap.method in spent]
    cheapest = min([first, *close], key=spent.__getitem__)
    return Choice(first, len(alike), cheapest)


def which(board: Board) -> str:
    """Return, by suite and length, the first, how many are as good, and the cheapest of them."""
    rows: dict[str, dict[int, str]] = {}
    for column in columns(board):
        if (choice := choose(column)) is not None:
            rows.setdefault(name(column.section), {})[column.bits] = _cell(board, column, choice)
    if not rows:
        return "*Nothing published was tested.*"
    lengths = sorted({bits for of in rows.values() for bits in of})
    table = [[suite, *(of.get(bits, "-") for bits in lengths)] for suite, of in rows.items()]
    told = (
        "The first of each column, in brackets how many others no test tells from it. Behind it "
        "the cheapest to train of these others whose mean is at most "
        f"{CLOSE} lower, where one is cheaper: take that one where training is what costs."
    )
    table_of_all = markdown_table(["suite", *(f"{bits} bits" for bits in lengths)], table)
    return f"{told}\n\n{table_of_all}"


def _cell(board: Board, column: Column, choice: Choice) -> str:
    section = column.section
    means = {row.method: row.mean(section.metric, column.bits) for row in section.rows}

    def told(method: str) -> str:
        return f"{markdown_escape(board.title(method))} {means[method]}"

    first = f"{told(choice.first)} (+{choice.alike})"
    if choice.cheapest == choice.first:
        return first
    spent = fits(section, column.bits)
    costs = [seconds(spent[method]) for method in (choice.cheapest, choice.first)]
    return f"{first}; {told(choice.cheapest)}, {costs[0]} for {costs[1]}"
