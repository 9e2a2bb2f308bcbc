"""Every output of a report, rebuilt from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from results.files import write_atomic
from results.sections import Board, build
from results.store import ResultStore, StoreError
from results.tables import leaderboard_latex, leaderboard_markdown, leaderboard_plain

if TYPE_CHECKING:
    import pandas as pd

FIGURES = {
    "map_against_bits": "Retrieval quality against code length",
    "precision_recall": "Precision against recall by Hamming radius, at the longest codes",
}


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


def render(store: ResultStore, method_order: Sequence[str] = ()) -> list[Path]:
    """Write ``report/``: the tables, the figures and the page.

    Every file appears whole, under a temporary name first. A figure that the records no longer give
    is removed.

    Parameters
    ----------
    store : ResultStore
        Read once.
    method_order : sequence of str
        Order of rows and colours; methods that it lacks follow by the alphabet.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    StoreError
        If the store is empty or the folder cannot be written.
    """
    return render_board(load_board(store, method_order), store.root / "report")


def render_board(board: Board, folder: Path) -> list[Path]:
    """Write the outputs of a board that is loaded already; see `render`."""
    from results.page import page

    contents: dict[str, bytes] = {
        "runs.csv": _csv(board.runs),
        "leaderboard.csv": _csv(board.leaderboard),
        "leaderboard.md": leaderboard_markdown(board).encode(),
        "leaderboard.tex": leaderboard_latex(board).encode(),
    }
    pictures, inlined = _draw(board)
    contents |= pictures
    contents["index.html"] = page(board, inlined, tuple(contents)).encode()
    try:
        for name, content in contents.items():
            write_atomic(folder / name, content)
        for name in FIGURES:
            for form in ("pdf", "png"):
                if f"figures/{name}.{form}" not in contents:
                    (folder / "figures" / f"{name}.{form}").unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"report folder {folder}: cannot be written ({error.strerror}); "
            "make it writable or choose another output folder with --out"
        ) from error
    return [folder / name for name in contents]


def _draw(board: Board) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the figures as files, by path, and as SVG for the page, by caption."""
    files: dict[str, bytes] = {}
    inlined: dict[str, str] = {}
    if not board.sections:
        return files, inlined
    from results import figures  # matplotlib takes half a second to import

    for name, caption in FIGURES.items():
        figure = getattr(figures, name)(board)
        if figure is not None:
            files[f"figures/{name}.pdf"] = figures.save(figure, "pdf")
            files[f"figures/{name}.png"] = figures.save(figure, "png")
            inlined[caption] = figures.inline_svg(figure, name)
    return files, inlined


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()
