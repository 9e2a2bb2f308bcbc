"""Every output of a report, rebuilt from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from results.sections import Board, build
from results.store import ResultStore, StoreError, write_atomic
from results.tables import leaderboard_latex, leaderboard_markdown, leaderboard_plain
from results.view import View, Width

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("pdf", "png", "svg")


@dataclass(frozen=True)
class Options:
    """What a report draws.

    Attributes
    ----------
    figures : tuple of str
        Names of `results.figures.FIGURES`; none for all. Files of others stay as they are.
    formats : tuple of str
        Of `FORMATS`.
    width : "column" or "page"
    """

    figures: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("pdf", "png")
    width: Width = "page"


def load_board(store: ResultStore, method_order: Sequence[str] = ()) -> Board:
    """Read the store once and arrange it.

    Raises
    ------
    StoreError
        If the store holds nothing at all. A store that holds only failed or unreadable cells gives
        a board without sections whose notes name them.
    """
    scan = store.scan()
    if not any(scan):
        raise StoreError(
            f"no records under {store.runs}; run `python -m benchmarks.run --methods all` first, "
            "or name the folder that holds them with --out"
        )
    return build(scan, method_order)


def leaderboard_text(store: ResultStore, method_order: Sequence[str] = ()) -> str:
    """Return the leaderboard for a terminal, read from the store."""
    return leaderboard_plain(load_board(store, method_order))


def render(
    store: ResultStore, method_order: Sequence[str] = (), options: Options | None = None
) -> list[Path]:
    """Write ``report/``: the tables, the figures and the page.

    Every file appears whole, under a temporary name first. A figure that the records no longer give
    is removed.

    Parameters
    ----------
    store : ResultStore
        Read once.
    method_order : sequence of str
        Order of rows and colours; methods that it lacks follow by the alphabet.
    options : Options, optional
        Which figures, and how.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    StoreError
        If the store is empty or the folder cannot be written.
    """
    return render_board(load_board(store, method_order), store, options)


def render_board(board: Board, store: ResultStore, options: Options | None = None) -> list[Path]:
    """Write the outputs of a board that is loaded already; see `render`."""
    from results.page import page
    from results.page_gallery import galleries

    options = options or Options()
    view = View(board, store, options.width)
    folder = store.root / "report"

    contents: dict[str, bytes] = {
        "runs.csv": _csv(board.runs),
        "leaderboard.csv": _csv(board.leaderboard),
        "leaderboard.md": leaderboard_markdown(board).encode(),
        "leaderboard.tex": leaderboard_latex(board).encode(),
    }
    pictures, inlined = _draw(view, options)
    contents["index.html"] = page(board, inlined, tuple(contents), tuple(galleries(view))).encode()
    contents |= pictures
    try:
        for name, content in contents.items():
            write_atomic(folder / name, content)
        for path in (folder / "figures").glob("*"):
            if f"figures/{path.name}" not in contents and _is_stale(path, options):
                path.unlink()
    except OSError as error:
        raise StoreError(
            f"report folder {folder}: cannot be written ({error.strerror}); "
            "make it writable or choose another output folder with --out"
        ) from error
    return [folder / name for name in contents]


def _draw(view: View, options: Options) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the figures as files, by path, and as markup for the page, by caption."""
    files: dict[str, bytes] = {}
    inlined: dict[str, str] = {}
    if not view.board.sections:
        return files, inlined
    from results import figures  # matplotlib takes half a second to import

    for name in options.figures or figures.FIGURES:
        for drawn in figures.draw(view, name):
            for form in options.formats:
                files[f"figures/{drawn.stem}.{form}"] = figures.save(drawn.figure, form)
            inline = figures.inline_png if drawn.pixels else figures.inline_svg
            inlined[drawn.caption] = inline(drawn.figure, drawn.stem, drawn.caption)
    return files, inlined


def _is_stale(path: Path, options: Options) -> bool:
    """Whether a file is a figure that this report would have drawn if the records gave it."""
    if path.suffix.removeprefix(".") not in FORMATS:
        return False
    wanted = options.figures or (path.stem.split("-")[0],)
    return path.stem.split("-")[0] in wanted


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()
