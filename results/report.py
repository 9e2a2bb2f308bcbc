"""Write the report of a results folder, tables, figures and page, from its records alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from results.analysis.arrange import LearntFrom, build, least_checked
from results.analysis.board import About, Board
from results.analysis.comparisons import compare
from results.analysis.per_query import query_aps
from results.choices import COLUMNS, FILES, FORMATS
from results.gallery.view import View, Width
from results.store.files import write_atomic
from results.store.planned_grid import gaps, standings
from results.store.run_key import Table
from results.store.store import ResultStore, StoreError
from results.tables.comparisons import statistics_frame
from results.tables.csv_file import csv_file
from results.tables.leaderboard import leaderboard_latex, leaderboard_markdown
from results.tables.leaderboard_parquet import NAME as PARQUET
from results.tables.leaderboard_parquet import leaderboard_parquet
from results.tables.published import published_frame, published_markdown

if TYPE_CHECKING:
    import pandas as pd

REPORT = "report"
Say = Callable[[str], None]
"""Takes a line on what is going on."""


@dataclass(frozen=True)
class Options:
    """What a report shows.

    Attributes
    ----------
    columns : tuple of str
        Keys of `results.choices.COLUMNS`: what the tables show besides.
    figures : tuple of str
        Names of `results.choices.CAPTIONS`; none for all. Files of others stay as they are.
    formats : tuple of str
        Of `results.choices.FORMATS`.
    width : "column" or "page"
    """

    columns: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    formats: tuple[str, ...] = FILES
    width: Width = "page"


def load_board(
    store: ResultStore,
    method_order: Sequence[str] = (),
    about: Mapping[str, About] = MappingProxyType({}),
    tables: Collection[Table] | None = None,
    learnt_from: LearntFrom = lambda backbone: "",
) -> Board:
    """Read the store, arrange what it holds and test what differs.

    Parameters
    ----------
    store : ResultStore
    method_order : sequence of str
        Of the rows of every table.
    about : mapping from str to About, optional
        Title, paper and BibTeX of each method of the suite, by the name of its row.
    tables : collection of Table, optional
        Those to take; all where left out.
    learnt_from : callable, optional
        Says what the backbone of a table was trained on.

    Raises
    ------
    StoreError
        If the store holds nothing at all, or only records of another schema. A store that holds
        only failed or unreadable cells gives a board without sections whose notes name them.
    """
    scan = store.scan()
    try:
        unfinished = gaps(standings(store, scan))
    except StoreError as error:
        unfinished = [f"Plan: {error}"]
    if not any(scan[:3]):
        nothing = (
            f"no records under {store.runs}; run a grid first, or name the folder that holds them "
            "with --out"
        )
        raise StoreError(*(scan.outdated or [nothing]))
    scan = scan if tables is None else scan.of(tables)
    board = build(scan, method_order, about, learnt_from)
    values, notes = query_aps(store, board.records)
    whole = replace(board, notes=(*board.notes, *unfinished, *notes))
    return compare(whole, values)


def render_board(
    board: Board, store: ResultStore, options: Options | None = None, say: Say = lambda _: None
) -> list[Path]:
    """Write ``report/``: the tables, the figures and the page.

    Every file appears whole, under a temporary name first. A figure that the records no longer give
    is removed.

    Parameters
    ----------
    board : Board
        As `load_board` gives it.
    store : ResultStore
        The board's; figures of codes and the gallery read its arrays and samples.
    options : Options, optional
        What the tables and figures show.
    say : callable, optional
        Told what is drawn, before it is: figures that have changed since the last report.

    Returns
    -------
    list of Path
        The files of the report.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    from results.page.render import page_html
    from results.page.thumbnails import galleries

    options = options or Options()
    view = View(board, store, options.width)
    folder = store.root / REPORT

    contents = csv_tables(board, options.columns) | {
        "leaderboard.md": leaderboard_markdown(board, options.columns).encode(),
        "leaderboard.tex": leaderboard_latex(board, options.columns).encode(),
        "published.md": published_markdown(board).encode(),
    }
    if find_spec("pyarrow"):  # an extra
        contents[PARQUET] = leaderboard_parquet(board)
    if bibtex := _cited(board):
        contents["papers.bib"] = bibtex.encode()
    pictures, inlined = _draw(view, options, say)
    contents["index.html"] = page_html(
        board, inlined, tuple(contents), tuple(galleries(view))
    ).encode()
    contents |= pictures
    try:
        for name, content in contents.items():
            write_atomic(folder / name, content)
        for path in (folder / "figures").rglob("*"):
            if path.relative_to(folder).as_posix() not in contents and _is_stale(path, options):
                path.unlink()
    except OSError as error:
        raise StoreError(
            f"report folder {folder}: cannot be written ({error.strerror}); "
            "make it writable or choose another output folder with --out"
        ) from error
    return [folder / name for name in contents if "/." not in name]


def csv_tables(board: Board, columns: Sequence[str] = ()) -> dict[str, bytes]:
    """Return the CSV files of a report, by name; `columns` as `Options` has them."""
    return {
        "runs.csv": csv_file(board.runs),
        "leaderboard.csv": csv_file(_with_checks(board, _with_costs(board, columns))),
        "statistics.csv": csv_file(statistics_frame(board)),
        "published.csv": csv_file(published_frame(board)),
    }


def _draw(view: View, options: Options, say: Say) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the figures as files, by path, and as markup for the page, by caption."""
    files: dict[str, bytes] = {}
    inlined: dict[str, str] = {}
    if not view.board.sections or view.store is None:
        return files, inlined
    from results.figures import by_name, kept  # matplotlib takes half a second to import

    keeper = kept.Keeper(view, view.store.root / REPORT / "figures", options.formats)
    for name in options.figures or by_name.FIGURES:
        for job in by_name.jobs(view, name):
            figure = keeper.take(job)
            if figure is None:
                say(f"drawing {job.stem}")
                figure = keeper.draw(job)
            if figure is not None:
                stems = {f"figures/{job.stem}.{form}": of for form, of in figure.files.items()}
                files |= stems | {f"figures/{kept.FOLDER}/{job.stem}.json": figure.note}
                inlined[job.caption] = figure.inline
    return files, inlined


def _cited(board: Board) -> str:
    """Return ``papers.bib``, the entries of all methods of the suite that a board shows."""
    names = dict.fromkeys(name.partition("(")[0] for name in board.titles)
    entries = [board.about[name].bibtex for name in names if name in board.about]
    return "\n".join(f"{entry}\n" for entry in entries if entry)


def _with_costs(board: Board, columns: Sequence[str]) -> pd.DataFrame:
    """Return the leaderboard with a row for each cost that was asked for."""
    import pandas as pd

    metrics = [metric for name in columns for _, metric in COLUMNS[name]]
    costs = board.costs[board.costs["metric"].isin(metrics)]
    return pd.concat([board.leaderboard, costs]) if len(costs) else board.leaderboard


def _with_checks(board: Board, table: pd.DataFrame) -> pd.DataFrame:
    """Return a leaderboard that says how much was checked of each row."""
    return table.assign(checked=table["method"].map(least_checked(board.records)))


def _is_stale(path: Path, options: Options) -> bool:
    """Whether a file is a figure that this report would have drawn if the records gave it."""
    if path.suffix.removeprefix(".") not in (*FORMATS, "json"):
        return False
    wanted = options.figures or (path.stem.split("-")[0],)
    return path.stem.split("-")[0] in wanted
