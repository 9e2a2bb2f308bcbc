"""What was compared, as rows of ``statistics.csv`` and as a part of ``leaderboard.md``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from results.analysis.board import HEADINGS, Board, Column, Comparisons, Pair, Ranking, Section
from results.analysis.ranking import areas
from results.analysis.variance import Variance, variances
from results.store.run_key import Table
from results.tables.markup import markdown_escape

COLUMNS = [
    *("statistic", "dataset", "protocol", "backbone", "bits", "metric", "truth", "kind", "method"),
    *("other", "n", "value", "ci_low", "ci_high", "p", "p_holm"),
]


def statistics_frame(board: Board) -> pd.DataFrame:
    """Return ``statistics.csv``, one row a statistic.

    ``difference``: that of `method` over `other` in one column, n queries; without interval and p
    where one of them has too few seeds, or all too few queries, for a test.
    ``area under bits``: n code lengths. Over n data sets: ``mean rank``, ``mean rank without`` the
    data set that is named, ``friedman`` (the value is chi-squared) and ``wilcoxon`` (the mean
    difference of areas). ``variance share``: that of the part `other` over n entries.
    """
    comparisons = board.comparisons or Comparisons()
    rows = [
        *(row for column in comparisons.columns for row in _column_rows(column)),
        *(row for section in board.sections for row in _area_rows(section)),
        *(row for ranking in comparisons.rankings for row in _ranking_rows(ranking)),
        *(row for variance in variances(board) for row in _variance_rows(variance)),
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"bits": "Int64", "n": "Int64"})


def _column_rows(column: Column) -> Iterator[dict[str, Any]]:
    place = _place(column.section) | {"bits": column.bits, "kind": column.kind}
    for pair in column.pairs:
        yield {"statistic": "difference"} | place | _pair(pair)


def _area_rows(section: Section) -> Iterator[dict[str, Any]]:
    kinds = {row.method: row.kind for row in section.rows}
    for method, (area, lengths) in areas(section).items():
        row = {"statistic": "area under bits", "kind": kinds[method], "method": method}
        yield row | _place(section) | {"n": len(lengths), "value": area}


def _ranking_rows(ranking: Ranking) -> Iterator[dict[str, Any]]:
    n = len(ranking.datasets)
    base: dict[str, Any] = {"truth": ranking.truth, "kind": ranking.kind, "n": n}
    intervals = ranking.intervals or [(None, None)] * len(ranking.methods)
    ranked = zip(ranking.methods, ranking.mean_ranks, intervals, strict=True)
    for method, mean_rank, (low, high) in ranked:
        row = base | {"statistic": "mean rank", "method": method, "value": mean_rank}
        yield row | {"ci_low": low, "ci_high": high}
    for dataset, without in ranking.without.items():
        left = {"statistic": "mean rank without", "dataset": dataset, "n": n - 1}
        for method, mean_rank in zip(ranking.methods, without, strict=True):
            yield base | left | {"method": method, "value": mean_rank}
    if ranking.friedman is not None:
        value, p = ranking.friedman
        yield base | {"statistic": "friedman", "value": value, "p": p}
    for signed in ranking.pairs:
        yield base | {"statistic": "wilcoxon"} | _pair(signed)


def _variance_rows(variance: Variance) -> Iterator[dict[str, Any]]:
    names = ("dataset", "protocol", "metric")
    base = {name: getattr(variance, name) for name in names} | {"n": variance.means.size}
    for part, share in variance.shares.items():
        truth = Table(variance.dataset, variance.protocol, "").truth
        row = {"statistic": "variance share", "truth": truth, "kind": "method", "other": part}
        yield base | row | {"value": share}


def _place(section: Section) -> dict[str, Any]:
    names = ("dataset", "protocol", "backbone", "metric")
    return {name: getattr(section, name) for name in names} | {"truth": section.table.truth}


def _pair(pair: Pair) -> dict[str, Any]:
    value, low, high, p = pair.difference
    names = {"method": pair.first, "other": pair.second, "n": pair.n, "p_holm": pair.p_holm}
    return names | {"value": value, "ci_low": low, "ci_high": high, "p": p}


def statistics_markdown(board: Board) -> list[str]:
    """Return the lines of the section "Statistics"; none where nothing was compared."""
    comparisons = board.comparisons or Comparisons()
    lines: list[str] = []
    for ranking in comparisons.rankings:
        lines += _ranking_lines(ranking, board)
    for variance in variances(board) if comparisons.columns else ():
        lines += _variance_lines(variance, board) if variance.shares else []
    titles = dict.fromkeys(column.section.title for column in comparisons.columns)
    for title in titles:
        lines += _gap_lines([c for c in comparisons.columns if c.section.title == title])
    return ["## Statistics", "", *lines] if lines else []


def _ranking_lines(ranking: Ranking, board: Board) -> list[str]:
    def shown(names: Sequence[str]) -> list[str]:
        return [markdown_escape(board.title(name)) for name in names]

    heading = HEADINGS[ranking.kind]
    which = " by neighbours" if ranking.truth == "neighbours" else ""
    which += f" of rows that {heading}" if heading else ""
    n = len(ranking.datasets)
    over = f"{n} data sets" if n > 1 else "one data set"
    lines = [
        f"Mean ranks{markdown_escape(which)} over {over}, by the area under the line of the metric "
        "against log2 bits:",
        "",
        f"| over | {' | '.join(shown(ranking.methods))} |",
        f"| --- |{' ---: |' * len(ranking.methods)}",
        _rank_line("all", ranking.mean_ranks),
    ]
    if ranking.intervals:
        ends = [f"{low:.2f} to {high:.2f}" for low, high in ranking.intervals]
        lines += [f"| 95 % interval, data sets drawn again | {' | '.join(ends)} |"]
    for name, ranks in ranking.without.items():
        lines += [_rank_line(f"all but {markdown_escape(name)}", ranks)]
    lines += [""]
    said = []
    if ranking.without and not ranking.first_without:
        said += [f"{shown(ranking.methods)[0]} is first whichever data set is left out."]
    for name, others in ranking.first_without.items():
        said += [f"Without {markdown_escape(name)}, {' and '.join(shown(others))} is first."]
    if ranking.friedman is not None:
        statistic, p = ranking.friedman
        said += [f"Friedman: chi-squared {statistic:.2f}, p {_p(p)}."]
    said += [f"Not told apart: {', '.join(shown(group))}." for group in ranking.alike]
    said += [ranking.undecided] if ranking.undecided else []
    if ranking.left_out:
        said += [f"Left out, for gaps: {'; '.join(shown(ranking.left_out))}."]
    return [*lines, " ".join(said), ""]


def _rank_line(over: str, ranks: Sequence[float]) -> str:
    return f"| {over} | {' | '.join(f'{rank:.2f}' for rank in ranks)} |"


def _variance_lines(variance: Variance, board: Board) -> list[str]:
    """Return how large each part of the spread is, and the means of backbones side by side."""
    title = markdown_escape(f"{variance.dataset} / {variance.protocol}")
    size = " x ".join(map(str, variance.means.shape))
    lines = [
        f"{title}: shares of the spread of {markdown_escape(variance.metric)} over {size} methods, "
        f"backbones and code lengths, {variance.seeds} seeds each.",
        "",
        f"| {' | '.join(variance.shares)} |",
        f"|{' ---: |' * len(variance.shares)}",
        f"| {' | '.join(f'{share:.1%}' for share in variance.shares.values())} |",
        "",
    ]
    if len(variance.backbones) == 1:
        return lines
    columns = [f"{b}, {n} bits" for b in variance.backbones for n in variance.bits]
    lines += [
        f"| method | {' | '.join(map(markdown_escape, columns))} |",
        f"| --- |{' ---: |' * len(columns)}",
    ]
    for name, means in zip(variance.methods, variance.means, strict=True):
        entries = " | ".join(f"{mean:.3f}" for mean in means.ravel())
        lines += [f"| {markdown_escape(board.title(name))} | {entries} |"]
    return [*lines, ""]


def _gap_lines(columns: list[Column]) -> list[str]:
    """Return how far every method is behind the best of each column."""
    shown = [column for column in columns if column.pairs]
    lines: list[str] = []
    for kind in dict.fromkeys(column.kind for column in shown):
        of_kind = [column for column in shown if column.kind == kind]
        rows = [row for row in of_kind[0].section.rows if row.kind == kind]
        heading = f" ({HEADINGS[kind]})" if HEADINGS[kind] else ""
        title = markdown_escape(f"{of_kind[0].section.title}{heading}")
        lines += [
            f"{title}: behind the best of the column, with the 95 % interval over seeds and "
            "queries where there are enough of both; in bold where it is significant after Holm's "
            "correction. Area: under the line of the metric against log2 bits, per doubling.",
            "",
            f"| method | {' | '.join(f'{column.bits} bits' for column in of_kind)} | area |",
            f"| --- |{' ---: |' * (len(of_kind) + 1)}",
        ]
        for row in rows:
            entries = [_gap(column, row.method) for column in of_kind]
            area = areas(of_kind[0].section).get(row.method)
            entries += ["-" if area is None else f"{area[0]:.3f}"]
            lines += [f"| {markdown_escape(row.title)} | {' | '.join(entries)} |"]
        lines += [""]
    return lines


def _gap(column: Column, method: str) -> str:
    best = column.pairs[0].first
    if method == best:
        return "best"
    pair = column.pair(best, method)
    if pair is None:
        return "-"
    value, low, high, p = pair.difference
    entry = f"{value:.3f}" if math.isnan(p) else f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return f"**{entry}**" if pair.significant else entry


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
