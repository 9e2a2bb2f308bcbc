"""What recipes do: each method under its own, the common and the tuned one, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator

from results.analysis.board import Board, Row, Section
from results.analysis.tuning import swapped_pairs
from results.tables.markup import markdown_escape

RECIPES = ("own", "common", "tuned")
_NOTE = (
    "Each method with its own settings, trained as all others are, and tuned. A dash: not run, or "
    "tuning chose its own settings again."
)


def recipes_markdown(board: Board) -> list[str]:
    """Return the lines of the section "Recipes"; none where every method has one recipe.

    Parameters
    ----------
    board : Board
    """
    lines = [line for section in board.sections for line in _section_lines(section)]
    return ["## Recipes", "", _NOTE, "", *lines] if lines else []


def split_recipe(method: str) -> tuple[str, str]:
    """Split off what the name of a row says of its recipe, one of `RECIPES`.

    Examples
    --------
    >>> split_recipe("nsh"), split_recipe("nsh(recipe=tuned,epochs=5)")
    (('nsh', 'own'), ('nsh(epochs=5)', 'tuned'))
    """
    found = re.search(r"[(,]recipe=(common|tuned)(?=[,)])", method)
    if found is None:
        return method, "own"
    rest = re.sub(r"recipe=\w+,?", "", method).replace("()", "").replace(",)", ")")
    return rest, found[1]


def _section_lines(section: Section) -> Iterator[str]:
    rows: dict[str, dict[str, Row]] = {}
    for row in section.rows:
        name, recipe = split_recipe(row.method)
        rows.setdefault(name, {})[recipe] = row
    several = [of_name for of_name in rows.values() if len(of_name) > 1]
    for bits in section.bits if several else ():
        yield f"{section.title}, {bits} bits, {section.metric}:"
        yield ""
        yield f"| method | {' | '.join(RECIPES)} |"
        yield "| --- | ---: | ---: | ---: |"
        for of_name in several:
            entries = (
                section.entry(of_name[recipe], bits) if recipe in of_name else "-"
                for recipe in RECIPES
            )
            first = next(iter(of_name.values()))
            title = markdown_escape(split_recipe(first.title)[0])
            yield f"| {title} | {' | '.join(entries)} |"
        yield ""
        yield from _order_lines(section, several, bits)


def _order_lines(section: Section, rows: list[dict[str, Row]], bits: int) -> Iterator[str]:
    for recipe in RECIPES[1:]:
        own = [_mean(section, of_name.get("own"), bits) for of_name in rows]
        other = [_mean(section, of_name.get(recipe), bits) for of_name in rows]
        pairs, swapped = swapped_pairs(own, other)
        if pairs:
            yield f"Own to {recipe}: {swapped} of {pairs} pairs of methods change their order."
            yield ""


def _mean(section: Section, row: Row | None, bits: int) -> float:
    entry = None if row is None else row.cell(section.metric, bits)
    return float("nan") if entry is None else entry.mean
