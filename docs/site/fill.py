"""Fill in what is published: ``python docs/site/fill.py``.

README and pages hold marks, see `benchmarks.publish.pages`. What stands between them is written
again from ``results/reference``; where nothing is published, what needs it stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.analysis.board import Board

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results/reference"


def main() -> int:
    """Fill in the pages; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    default = REFERENCE.relative_to(ROOT)
    parser.add_argument("--reference", type=Path, default=REFERENCE, help=f"default: {default}")
    reference = parser.parse_args().reference
    sys.path.insert(0, str(ROOT))
    from benchmarks.publish.bundle import BundleError
    from benchmarks.publish.pages import PageError

    try:
        board = read(reference)
        if board is None:
            sys.stderr.write(f"{reference}: nothing is published there\n")
        contents = {path: fill(path, board).encode() for path in pages()}
        for path, content in (contents | figures(board)).items():
            if not path.is_file() or content != path.read_bytes():
                path.write_bytes(content)
                sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    except (BundleError, PageError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def read(reference: Path) -> Board | None:
    """Read what is published in a folder; None where nothing is."""
    from benchmarks.publish.reference import published

    if not reference.is_dir():
        return None
    with TemporaryDirectory() as folder:
        return published(reference, Path(folder))[0]


def pages() -> list[Path]:
    """Return the pages of the repository that may hold marks."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*/*.md")])


def fill(page: Path, board: Board | None) -> str:
    """Return a page filled in; raises PageError, naming the page."""
    from benchmarks.publish.blocks import blocks_of
    from benchmarks.publish.pages import PageError, filled

    try:
        return filled(page.read_text(), blocks_of(board))
    except PageError as error:
        raise PageError(f"{page.relative_to(ROOT)}: {error}") from error


def figures(board: Board | None) -> dict[Path, bytes]:
    """Return the figures that are not drawn from what is published, by their files."""
    from benchmarks.publish.learnt.figures import FIGURES, draw, is_current

    found: dict[Path, bytes] = {}
    for name, drawing in FIGURES.items() if board else ():
        path, points = ROOT / f"docs/figures/{name}.svg", drawing.points(board)
        if any(points.values()) and not is_current(path, points):
            found[path] = draw(drawing, points)
    return found


if __name__ == "__main__":
    sys.exit(main())
