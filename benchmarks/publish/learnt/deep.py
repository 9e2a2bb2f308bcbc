"""Does any deep method beat ITQ on frozen features, by how much, at which lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.publish.learnt.common import Gap, columns, gaps, is_deep, name
from benchmarks.publish.pages import markdown_table
from results.analysis.board import Board, Column
from results.store.wording import counted
from results.tables.markup import markdown_escape

BASE = "itq"
NOTHING = "*Nothing published compares a deep method with ITQ.*"


class Against(NamedTuple):
    """A column, and its deep methods over ITQ, the best first."""

    column: Column
    gaps: list[Gap]


def against_itq(board: Board) -> Iterator[Against]:
    """Yield every column that has ITQ and a deep method, both tested."""
    for column in columns(board):
        found = [gap for gap in gaps(column, BASE) if is_deep(gap.method)]
        if found:
            yield Against(column, sorted(found, key=lambda gap: -gap.value))


def deep_against_itq(board: Board) -> str:
    """Say in how many columns a deep method is ahead of ITQ, and list the best of each."""
    found = [*against_itq(board)]
    if not found:
        return NOTHING
    rows = []
    for column, of_column in found:
        verdicts = Counter(gap.verdict for gap in of_column)
        best = of_column[0]
        numbers = (verdicts[verdict] for verdict in ("ahead", "behind", "not told apart"))
        over = f"{best.value:+.3f} ({best.low:+.3f} to {best.high:+.3f})"
        title = markdown_escape(board.title(best.method))
        place = [name(column.section), str(column.bits)]
        rows.append([*place, *map(str, numbers), title, over])
    head = ["suite", "bits", "ahead", "behind", "not told apart", "best", "over ITQ (95 %)"]
    return f"{_summary(found)}\n\n{markdown_table(head, rows)}"


def _summary(found: list[Against]) -> str:
    """Say at which lengths some deep method is ahead of ITQ."""
    won: Counter[int] = Counter()
    of: Counter[int] = Counter(column.bits for column, _ in found)
    for column, of_column in found:
        won[column.bits] += any(gap.verdict == "ahead" for gap in of_column)
    if not won.total():
        return (
            f"No: in none of {counted(len(found), 'column')} (a suite at one length) is a deep "
            "method significantly ahead of ITQ."
        )
    lengths = ", ".join(f"{won[bits]} of {of[bits]} at {bits} bits" for bits in sorted(of))
    of_all = f"{won.total()} of {counted(len(found), 'column')}"
    where = "every column" if won.total() == len(found) else of_all
    return (
        f"Yes, in {where} (a suite at one length) some deep method is significantly "
        f"ahead of ITQ: {lengths}."
    )
