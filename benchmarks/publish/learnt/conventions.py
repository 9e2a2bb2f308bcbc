"""What the order of ties and the choice of mAP's denominator would have changed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from benchmarks.publish.learnt.common import columns, middle, name
from benchmarks.publish.pages import markdown_table
from results.analysis.board import Board, Column
from results.store.wording import counted

ENDS = (":worst", ":best")
OTHER = ":min"


def _means(column: Column, *ends: str) -> dict[str, tuple[float, ...]]:
    """Return the means of each unsupervised method that has the main metric with all `ends`."""
    section = column.section
    found = {}
    for row in section.rows:
        cells = [row.cell(section.metric + end, column.bits) for end in ends]
        if row.kind == column.kind and all(cells):
            found[row.method] = tuple(cell.mean for cell in cells if cell)
    return found


def tie_orders(board: Board) -> str:
    """Tell how wide the bounds of ties are, and how many differences they could turn."""
    rows, turned, told = [], 0, 0
    for column in columns(board):
        bounds = _means(column, *ENDS)
        widths = [best - worst for worst, best in bounds.values()]
        pairs = [
            pair
            for pair in column.pairs
            if pair.significant and pair.first in bounds and pair.second in bounds
        ]
        open_ = sum(bounds[pair.first][0] < bounds[pair.second][1] for pair in pairs)
        turned, told = turned + open_, told + len(pairs)
        if widths:
            numbers = [
                f"{middle(widths):.3f}",
                f"{max(widths):.3f}",
                f"{open_:,} of {len(pairs):,}",
            ]
            rows.append([name(column.section), str(column.bits), *numbers])
    if not rows:
        return "*Nothing published holds the bounds of ties.*"
    head = ["suite", "bits", "median width", "widest", "differences that ties could turn"]
    summary = (
        f"Of {counted(told, 'difference')} between two methods that the tests find, {turned:,} "
        "could be turned by an adversary who orders the ties of one method best and of the other "
        "worst."
    )
    return f"{summary}\n\n{markdown_table(head, rows)}"


def denominators(board: Board) -> str:
    """Tell how far the other denominator moves a mean, and how many pairs it turns."""
    turned = pairs = 0
    shifts: list[float] = []
    firsts = 0
    found = [(c, means) for c in columns(board) if len(means := _means(c, "", OTHER)) > 1]
    for _, means in found:
        shifts += [found - other for found, other in means.values()]
        together = [*combinations(means.values(), 2)]
        pairs += len(together)
        turned += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in together)
        firsts += _first(means, 0) != _first(means, 1)
    if not found:
        return "*Nothing published holds mAP with another denominator.*"
    another = "no column" if not firsts else f"{firsts} of {counted(len(found), 'column')}"
    return (
        "Dividing by the relevant items that a query could have found, not by those found, lowers "
        f"a mean by {middle(shifts):.3f} in the median and by {max(shifts):.3f} at most. It turns "
        f"{turned:,} of {counted(pairs, 'pair')} of methods, tested or not, and puts another "
        f"method first in {another}."
    )


def _first(means: Mapping[str, tuple[float, ...]], place: int) -> str:
    return max(means, key=lambda method: means[method][place])
