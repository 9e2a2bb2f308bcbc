"""Build the site: ``python docs/site/build.py``, or ``tox -e docs``.

Pages are the Markdown files of the repository, with their links led to where they stand in the
site, and those that are made from the code: a page a method, and one a door. What is published in
``results/reference`` becomes the leaderboards. Everything lies below ``build/``; a warning is an
error.
"""

from __future__ import annotations

import argparse
import inspect
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from methods import HashMethod
    from results.analysis.board import Board, Row, Section

ROOT = Path(__file__).parents[2]
SITE = Path("docs/site")
BUILD = ROOT / "build"
MOVED = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/perf/README.md": "speed.md",
}
"""Pages that lie outside of ``docs/``, and what they are called in the site."""
DOORS = (
    *("benchmarks.evaluation", "benchmarks.features", "benchmarks.grid", "benchmarks.models"),
    *("benchmarks.publish", "benchmarks.training", "datasets", "datasets.protocols", "methods"),
    "results.store",
)
REFERENCE = ROOT / "results/reference"


def main() -> int:
    """Build the site; returns the exit code of Sphinx."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=BUILD / "site", help="default: %(default)s")
    out = parser.parse_args().out
    sys.path.insert(0, str(ROOT))
    source = BUILD / "site-source"
    shutil.rmtree(source, ignore_errors=True)
    write_pages(source)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run([*command, str(source), str(out)], cwd=ROOT, check=False)
    if done.returncode == 0:
        sys.stdout.write(f"{out / 'index.html'}\n")
    return done.returncode


def write_pages(source: Path) -> None:
    """Write everything that Sphinx reads."""
    shutil.copytree(ROOT / SITE, source, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(ROOT / SITE / "conf.py", source)
    shutil.copytree(ROOT / "docs/figures", source / "figures")
    shutil.copytree(ROOT / "docs/notebooks", source / "notebooks")
    (source / "extra").mkdir()
    for path in [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in MOVED)]:
        name = path.relative_to(ROOT).as_posix()
        (source / place(name)).write_text(linked(path.read_text(), name))
    board = rendered(source / "extra")
    pages = {**method_pages(board), **door_pages(), "gallery.md": gallery_page()}
    pages["leaderboards.md"] = leaderboards(board, source / "extra")
    for name, text in pages.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)


def place(name: str) -> str:
    """Where a file of the repository stands in the site; empty if it does not.

    Examples
    --------
    >>> place("docs/flags.md"), place("benchmarks/perf/README.md"), place("tox.ini")
    ('flags.md', 'speed.md', '')
    """
    if name in MOVED:
        return MOVED[name]
    return name.removeprefix("docs/") if name.startswith("docs/") else ""


def linked(text: str, name: str) -> str:
    """Lead the links of a page of the repository to where their targets stand in the site.

    A link to a file of the code becomes its name.

    Examples
    --------
    >>> linked("[a](../README.md#x) [b](https://b.org) [c](../tox.ini)", "docs/flags.md")
    '[a](readme.md#x) [b](https://b.org) `tox.ini`'
    """

    def lead(match: re.Match[str]) -> str:
        words, target = match[1], match[2]
        path, mark, anchor = target.partition("#")
        if re.match(r"\w+:", target) or not path:
            return match[0]
        found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        there = place(found)
        return f"[{words}]({there}{mark}{anchor})" if there else f"`{found}`"

    return re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", lead, text)


def rendered(extra: Path) -> Board | None:
    """Render what is published below `extra`; returns its board, None where nothing is."""
    if not REFERENCE.is_dir():
        return None
    from benchmarks.publish.reference import published
    from results.report import Options, render_board

    with TemporaryDirectory() as folder:
        board, store = published(REFERENCE, Path(folder))
        render_board(board, store, Options(formats=("svg",)))
        shutil.copytree(store.root / "report", extra / "leaderboard")
    return board


def method_pages(board: Board | None) -> dict[str, str]:
    """Return the text of each method's page, and of the list of all, by file."""
    from benchmarks.grid.groups import GROUPS, members
    from benchmarks.grid.yardsticks import YARDSTICKS
    from methods import METHODS

    known = {**METHODS, **YARDSTICKS}
    pages = {f"methods/{name}.md": _method_page(name, cls, board) for name, cls in known.items()}
    index = ["# Methods", "", "A page each, made from the method's own file.", ""]
    for group in (group for group in GROUPS if group != "all"):
        rows = [
            f"[{known[name].title}]({name}.md) | `{name}` | {_paper(known[name].paper)}"
            for name in members(group)
        ]
        index += [f"## {group.capitalize()}", "", *_table("method | row | paper", rows)]
    index += ["```{toctree}", ":hidden:", "", *known, "```"]
    return pages | {"methods/index.md": "\n".join(index) + "\n"}


def _table(head: str, rows: Iterable[str]) -> list[str]:
    """Lines of a Markdown table, given its lines without their ends."""
    rule = "---|" * (head.count("|") + 1)
    return [f"| {head} |", f"|{rule}", *(f"| {row} |" for row in rows), ""]


def _paper(paper: str) -> str:
    """Write a paper with its address as a link."""
    return re.sub(r"(.*), (https?://\S+)$", r"[\1](\2)", paper)


def _method_page(name: str, cls: type[HashMethod], board: Board | None) -> str:
    from methods.papers import bibtex

    module = inspect.getmodule(cls)
    head = inspect.cleandoc((module.__doc__ if module else "") or cls.__doc__ or "")
    lines = [f"# {cls.title}", "", _paper(cls.paper), "", head, ""]
    lines += ["## Run", "", "```bash", f"python -m benchmarks.run --methods {name}", "```", ""]
    lines += [*_recipes(name, cls), *_results(name, board)]
    if entry := bibtex().get(name):
        lines += ["## Cite", "", "```bibtex", entry, "```", ""]
    return "\n".join(lines) + "\n"


def _recipes(name: str, cls: type[HashMethod]) -> list[str]:
    """Tables of how a method is trained; nothing of a closed form."""
    from benchmarks.grid.listing import recipes_of

    lines = []
    for mode, values, source in recipes_of(name, cls):
        rows = (f"`{setting}` | `{value}`" for setting, value in values.items())
        title = mode if " " in mode else f"`{mode}`"
        lines += [f"### Recipe, {title}", "", f"From: {source}.", ""]
        lines += _table("setting | value", rows)
    return lines


def _results(name: str, board: Board | None) -> list[str]:
    """Tables of what is published of a method: its rows, and the health of its codes."""
    lines: list[str] = []
    for section in board.sections if board else ():
        found = [row for row in section.rows if row.method.partition("(")[0] == name]
        if not found:
            continue
        health = [name for name in section.further if name.startswith(("bits.", "codes."))]
        rows = []
        for row in found:
            cells = {section.metric: [_record(section, row, bits) for bits in section.bits]}
            cells |= {name: [row.mean(name, bits) for bits in section.bits] for name in health}
            rows += [" | ".join([f"{row.title}: {name}", *of]) for name, of in cells.items()]
        head = " | ".join(["metric", *section.columns])
        lines += [f"### {section.title}", "", *_table(head, rows)]
    return ["## Published results", "", *lines] if lines else []


def _record(section: Section, row: Row, bits: int) -> str:
    """Return an entry that leads to its record on the page of the leaderboards."""
    text = section.entry(row, bits)
    lengths = {length for _, length in row.cells}
    if not lengths & {bits, 0}:
        return text
    place = "/".join([*section.table, row.method, str(bits if bits in lengths else 0)])
    return f'<a href="../leaderboard/index.html#record={quote(place, safe="")}">{text}</a>'


def door_pages() -> dict[str, str]:
    """Return a page for each door of the packages, and the list of them, by file."""
    pages = {
        f"api/{door}.md": f"# `{door}`\n\n```{{eval-rst}}\n.. automodule:: {door}\n"
        "   :imported-members:\n```\n"
        for door in DOORS
    }
    index = "# API\n\nWhat a notebook imports, room by room.\n\n```{toctree}\n\n%s\n```\n"
    return pages | {"api/index.md": index % "\n".join(DOORS)}


def gallery_page() -> str:
    """Return the page that lists the notebooks."""
    names = sorted(path.stem for path in (ROOT / "docs/notebooks").glob("*.ipynb"))
    entries = "\n".join(f"notebooks/{name}" for name in names)
    return f"# Notebooks\n\nOne a use; the tests run them.\n\n```{{toctree}}\n\n{entries}\n```\n"


def leaderboards(board: Board | None, extra: Path) -> str:
    """Return the page of the leaderboards, from what `rendered` has put below `extra`."""
    if board is None:
        return (
            "# Leaderboards\n\nNothing is published with this version yet. "
            "[Published numbers](publishing.md) tells how a leaderboard is made and checked.\n"
        )
    from benchmarks.publish.blocks import suites

    head = (
        '# Leaderboards\n\n<a href="leaderboard/index.html">All entries in one page</a> that '
        "sorts, filters by data set, protocol, backbone, kind and code length, opens the records "
        "of each, and draws charts. Anyone can [make these numbers again](publishing.md#verify), "
        "read them [as data](schema.md), and see [what we learnt](what-we-learnt.md)."
        "\n\n## Suites\n\n"
    )
    table = (extra / "leaderboard/leaderboard.md").read_text()
    return f"{head}{suites(board)}\n\n" + re.sub(r"^# .*\n", "", table, count=1)


if __name__ == "__main__":
    sys.exit(main())
