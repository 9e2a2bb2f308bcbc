"""The report as one self-contained page: tables, figures and gallery in a single file, no network.

The page forbids itself any request, and any script but its own, by a content security policy
that names their digests.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from results.analysis.board import TIES, Board
from results.page.data import page_data
from results.page.markdown_html import markdown_html
from results.page.overview import overviews
from results.page.thumbnails import Gallery
from results.tables.comparisons import statistics_markdown
from results.tables.markup import EMPTY, TEMPLATES, template

SCRIPTS = ("theme.js", "page.js", "charts.js")
"""The first runs before the page is drawn, so that no theme flashes by."""


def page_html(
    board: Board,
    figures: Mapping[str, str],
    files: Sequence[str] = (),
    galleries: Sequence[Gallery] = (),
) -> str:
    """Return ``index.html``.

    Parameters
    ----------
    board : Board
        What is shown; every name in it is escaped.
    figures : mapping from str to str
        Caption to SVG or image element, inlined as it is.
    files : sequence of str
        Paths of the other outputs beside the page, offered as links.
    galleries : sequence of Gallery
        One for each section that has thumbnails.
    """
    scripts = [(TEMPLATES / name).read_text() for name in SCRIPTS]
    return template("index.html.jinja").render(
        board=board,
        # Drawn by results.figures.by_name from escaped text: the only markup that is let through,
        # beside the style and the scripts, which are files of ours.
        figures={caption: Markup(drawn) for caption, drawn in figures.items()},
        files=files,
        galleries=galleries,
        overviews=overviews(board),
        statistics=markdown_html(statistics_markdown(board)[2:]),
        data=page_data(board),
        ties=TIES,
        empty=EMPTY,
        style=Markup((TEMPLATES / "page.css").read_text()),
        scripts=[Markup(script) for script in scripts],
        policy=policy(scripts),
    )


def policy(scripts: Sequence[str]) -> str:
    """Return a content security policy that lets nothing be fetched and only `scripts` run."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    sources = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
