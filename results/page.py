"""The report as one self-contained page: tables and figures in a single file, no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from results.sections import TIES, Board
from results.tables import EMPTY

TEMPLATES = Path(__file__).parent / "templates"


def page(board: Board, figures: Mapping[str, str], files: tuple[str, ...] = ()) -> str:
    """Return ``index.html``.

    Parameters
    ----------
    board : Board
        What is shown; every name in it is escaped.
    figures : mapping from str to str
        Caption to SVG element, inlined as it is.
    files : tuple of str
        Paths of the other outputs beside the page, offered as links.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html.jinja").render(
        board=board,
        # Drawn by results.figures from escaped text: the only markup that is let through.
        figures={caption: Markup(svg) for caption, svg in figures.items()},
        files=files,
        ties=TIES,
        empty=EMPTY,
    )
