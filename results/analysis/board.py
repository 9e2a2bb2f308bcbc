"""What a report shows, as plain data: tables, their rows and entries, and what was compared.

A `Section` is one table of the report: one data set, protocol and backbone, so numbers that cannot
be compared never share a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from results.analysis.statistics import ALPHA, MIN_QUERIES, MIN_SEEDS, Difference
from results.store.record import RunRecord
from results.store.run_key import Table
from results.store.wording import counted

TIES = "Equal Hamming distances count as the mean over all their orders."
DAGGER = "†"
COLLAPSED = "some bits are dead, that is, have one value in at least 99 % of the codes"
HEADINGS = {
    "method": "",
    "captions": "learn from captions too, ranked apart",
    "nouns": "learn from a bank of nouns too, ranked apart",
    "n_classes": "told the number of classes, ranked apart",
    "class_names": "learn from names of classes too, ranked apart",
    "hierarchy": "told the classes, by their hierarchy; ranked apart",
    "yardstick": "yardsticks, not ranked",
}
"""What stands above the rows of each kind, in the order of a table."""


@dataclass(frozen=True)
class About:
    """What a reader is told of a method, by the name of its row; a record does not hold it."""

    title: str  # as its paper writes it
    paper: str  # ends in its address
    bibtex: str = ""  # the entry of its paper


@dataclass(frozen=True)
class Entry:
    """One entry of a table: a method at one number of bits under one metric."""

    mean: float
    std: float | None  # None where one seed gives no spread
    n: int  # seeds
    best: bool  # rank 1 among the rows of its kind in its column


PANELS = 12
"""Methods of a figure or a gallery in which each has a place of its own."""


@dataclass(frozen=True)
class Row:
    """One method or yardstick."""

    method: str  # as records and flags name it
    title: str  # as tables and figures show it
    kind: str  # one of `results.store.record.KINDS`
    cells: dict[tuple[str, int], Entry]  # by metric and bits
    failed: frozenset[int]  # bits at which a run failed
    size: str = ""  # what an item takes, where it is no code for Hamming distances

    def cell(self, metric: str, bits: int) -> Entry | None:
        """Return the entry at `bits`; a yardstick without codes holds for every length."""
        return self.cells.get((metric, bits), self.cells.get((metric, 0)))

    def mean(self, metric: str, bits: int) -> str:
        """Return a mean: three digits after the point, and of costs three digits or more."""
        cell = self.cell(metric, bits)
        if cell is None:
            return "-"
        if not metric.startswith("cost."):
            return f"{cell.mean:.3f}"
        return f"{cell.mean:,.0f}" if cell.mean >= 100 else f"{cell.mean:.3g}"

    def item_bytes(self, bits: int) -> float:
        """Count the bytes of an item: as noted, of codes with factors say, or those of a code."""
        noted = self.cells.get(("codes.bytes", bits))
        return -(-bits // 8) if noted is None else noted.mean

    @property
    def yardstick(self) -> bool:
        """Whether the row only helps to judge the others."""
        return self.kind == "yardstick"

    @property
    def codeless(self) -> bool:
        """Whether one value holds for every length, as for a yardstick without codes."""
        return bool(self.cells) and {bits for _, bits in self.cells} == {0}


@dataclass(frozen=True)
class Section:
    """One table: rows by kind, methods first and yardsticks last; columns are bits."""

    dataset: str
    protocol: str
    backbone: str
    sizes: str  # "1,000 queries, 5,000 training images, ...", and what the backbone learnt from
    rule: str  # how the split was made, and what counts as relevant
    metric: str  # of the main table
    further: tuple[str, ...]  # the other metrics
    bits: tuple[int, ...]
    seeds: int  # the usual number of seeds of an entry
    n_queries: int
    rows: tuple[Row, ...]
    by_query: bool = False  # the main table's metric is the mean of the AP kept for each query
    marks: Mapping[tuple[str, int], str] | None = None
    """What tests allow to say: "best" or "second" by method and bits; None where none was made."""

    @property
    def table(self) -> Table:
        """The names that all its numbers share."""
        return Table(self.dataset, self.protocol, self.backbone)

    @property
    def title(self) -> str:
        """Name of the section, as headings show it."""
        return " / ".join(self.table)

    @property
    def blocks(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """The rows of each kind that has any, under their heading; that of methods is empty."""
        by_kind = [(text, self._of_kind(kind)) for kind, text in HEADINGS.items()]
        return tuple((text, rows) for text, rows in by_kind if rows)

    def _of_kind(self, kind: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == kind)

    @cached_property
    def with_panels(self) -> tuple[Row, ...]:
        """The rows that have a panel where each has its own: yardsticks, and `PANELS` methods.

        They are the best by the main metric at the longest codes.
        """
        entries = ((row.cell(self.metric, self.bits[-1]), row) for row in self.rows)
        ranked = [(cell.mean, row) for cell, row in entries if cell and not row.yardstick]
        ranked.sort(key=lambda pair: -pair[0])
        best = {row.method for _, row in ranked[:PANELS]}
        return tuple(row for row in self.rows if row.yardstick or row.method in best)

    @property
    def panels_note(self) -> str:
        """Say which methods have panels, where not all do."""
        n, of = (sum(not row.yardstick for row in rows) for rows in (self.with_panels, self.rows))
        return "" if n == of else f" The {n} best of {of} methods."

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the columns."""
        return tuple(f"{bits} bits" if bits else "no codes" for bits in self.bits)

    def label(self, row: Row) -> str:
        """Return the name of a row, with what an item takes where it has no codes."""
        is_said = row.codeless and self.bits == (0,)  # by the heading of the column
        return f"{row.title} ({row.size})" if row.size and not is_said else row.title

    def entry(self, row: Row, bits: int) -> str:
        """Return the main table's entry: ``0.457 ± 0.003``, ``failed`` or ``-`` (not run)."""
        cell = row.cell(self.metric, bits)
        if cell is None:
            return "failed" if row.failed & {bits, 0} else "-"
        spread = "" if cell.std is None else f" ± {cell.std:.3f}"
        # One value of a row without codes is no gap: nothing in it depends on a seed.
        usual = cell.n == self.seeds or (row.codeless and cell.n == 1)
        count = "" if usual else f" (n={cell.n})"
        return f"{cell.mean:.3f}{spread}{count}{self._dagger(row, bits)}"

    def _dagger(self, row: Row, bits: int) -> str:
        """Mark an entry some of whose bits are dead in some seed."""
        dead = row.cell("codes.dead_bits", bits)
        return DAGGER if dead is not None and dead.mean > 0 else ""

    def best(self, row: Row, bits: int) -> bool:
        """Whether the entry is the best of its column: by a test, or untested by its mean.

        Which mean of a handful of queries is best says nothing, so none is.
        """
        if self.marks is not None:
            return self.marks.get((row.method, bits)) == "best"
        cell = row.cell(self.metric, bits)
        return cell is not None and cell.best and self.n_queries >= MIN_QUERIES

    def second(self, row: Row, bits: int) -> bool:
        """Whether a test says that the entry beats all but the best of its column."""
        return self.marks is not None and self.marks.get((row.method, bits)) == "second"

    def means(self, row: Row, metric: str) -> str:
        """Return a further metric's means at all bits: ``0.41 / 0.44 / 0.47``."""
        shown = [row.mean(metric, bits) for bits in self.bits]
        return shown[0] if row.codeless else " / ".join(shown)

    def _ranked(self, row: Row) -> Iterator[Entry]:
        """Yield the main table's entries of a row that is no yardstick."""
        for bits in () if row.yardstick else self.bits:
            if (cell := row.cell(self.metric, bits)) is not None:
                yield cell

    def caption(self, best: str = "in bold", second: str = "underlined") -> str:
        """Say what the main table's numbers are, and how it marks the best and the second."""
        if self.seeds == 1:
            spread = "one seed, so no spread and no interval"
        else:
            spread = f"mean ± standard deviation over n = {self.seeds} seeds"
        entries = [self.entry(row, bits) for row in self.rows for bits in self.bits]
        uneven = any("(n=" in entry for entry in entries)
        other = " unless an entry says otherwise" if uneven else ""
        kinds = {row.kind for row in self.rows} - {"yardstick"}
        by_kind = ", by kind" if len(kinds) > 1 else ""
        if self.marks is not None:
            marked = (
                f"Best of a column {best} and second {second}{by_kind}, where the difference to "
                "the next is significant (t test over seeds and queries, Holm over the column, "
                "5 %)."
            )
            counts = [cell.n for row in self.rows for cell in self._ranked(row)]
            if min(counts) < MIN_SEEDS:
                marked += f" Entries of fewer than {MIN_SEEDS} seeds are not tested."
        elif self.n_queries < MIN_QUERIES:
            marked = f"Nothing is marked: fewer than {MIN_QUERIES} queries tell nothing apart."
        else:
            why = f" (a test takes {MIN_SEEDS} seeds)" if self.seeds < MIN_SEEDS else ""
            marked = f"Best mean of a column {best}, untested{why}{by_kind}."
        return f"{self.metric}, {spread}{other}. {marked}{dagger_note(entries)}"


def dagger_note(entries: Iterable[str]) -> str:
    """Say what the dagger of entries means, after a space; nothing where none has one."""
    return f" {DAGGER}: {COLLAPSED}." if any(DAGGER in entry for entry in entries) else ""


@dataclass(frozen=True)
class Pair:
    """Two methods under one metric; the difference is that of `first` over `second`."""

    first: str
    second: str
    difference: Difference
    p_holm: float  # NaN where the pair could not be tested
    n: int  # queries of a column, or data sets of a ranking

    @property
    def significant(self) -> bool:
        """Whether the difference holds at 5 % among all that were tested with it."""
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class Column:
    """All pairs of one kind in one column; the better mean comes first."""

    section: Section
    bits: int
    kind: str
    pairs: tuple[Pair, ...]
    tested: bool  # whether any method of it has what a test takes

    def pair(self, first: str, second: str) -> Pair | None:
        """Return the pair in this order."""
        return next((p for p in self.pairs if (p.first, p.second) == (first, second)), None)


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of the methods of one kind over data sets, best first."""

    kind: str
    truth: str  # one of `results.store.run_key.TRUTHS`, by which every table of it goes
    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]  # methods and columns that would leave gaps
    friedman: tuple[float, float] | None  # statistic and p; None below 3 methods or 2 data sets
    pairs: tuple[Pair, ...]  # Wilcoxon's signed ranks of the areas under bits
    datasets_needed: int  # from which that test can tell any two methods apart
    alike: tuple[tuple[str, ...], ...]  # groups that it does not tell apart; none with fewer
    intervals: tuple[tuple[float, float], ...] = ()
    """95 % intervals of the mean ranks; none below three data sets."""
    without: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Mean ranks where a data set is left out, by its name; none with one data set."""

    @property
    def first_without(self) -> dict[str, tuple[str, ...]]:
        """Data sets without which another is first than `methods[0]`, and who is then."""
        return {
            name: others
            for name, ranks in self.without.items()
            if self.methods[0] not in (others := self._first(ranks))
        }

    def _first(self, ranks: Sequence[float]) -> tuple[str, ...]:
        return tuple(m for m, r in zip(self.methods, ranks, strict=True) if r == min(ranks))

    @property
    def undecided(self) -> str:
        """Why nothing can be told apart, as a sentence; empty where it can."""
        n, needed = len(self.datasets), self.datasets_needed
        if n >= needed:
            return ""
        return (
            f"{counted(n, 'data set')} cannot tell {counted(len(self.methods), 'method')} apart "
            f"(Wilcoxon's signed ranks with Holm, 5 %): that takes {needed}."
        )


@dataclass(frozen=True)
class Comparisons:
    """Everything that was compared."""

    columns: tuple[Column, ...] = ()
    rankings: tuple[Ranking, ...] = ()


@dataclass(frozen=True)
class Board:
    """Everything that the outputs of one report show."""

    records: tuple[RunRecord, ...]  # those shown
    runs: pd.DataFrame
    leaderboard: pd.DataFrame
    costs: pd.DataFrame  # what runs cost, in the columns of the leaderboard
    sections: tuple[Section, ...]
    notes: tuple[str, ...]  # superseded, skipped and failed, one line each
    method_order: tuple[str, ...]
    comparisons: Comparisons | None = None  # None where nothing was tested
    about: Mapping[str, About] = field(default_factory=dict)
    """By the name of a row without settings; rows from outside the suite are not in it."""

    @cached_property
    def titles(self) -> dict[str, str]:
        """What tables and figures call each row, by its name."""
        return {row.method: row.title for section in self.sections for row in section.rows}

    def title(self, name: str) -> str:
        """Return what tables and figures call a row; other text stays as it is."""
        return self.titles.get(name, name)


def colour_places(board: Board) -> dict[str, int]:
    """Return the place of each ranked row's method, by which figures and charts colour it.

    Settings do not count: ``nsh(tau=1)`` has the place of ``nsh``. A method keeps its place in
    every report, whichever others are shown.
    """
    rows = {row.method: row for section in board.sections for row in section.rows}
    ranked = sorted(name for name in rows if not rows[name].yardstick)
    bases = [name for name in board.method_order if name not in rows or not rows[name].yardstick]
    bases = list(dict.fromkeys([*bases, *(name.split("(")[0] for name in ranked)]))
    return {name: bases.index(name.split("(")[0]) for name in ranked}
