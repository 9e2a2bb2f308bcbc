"""Figures of an earlier report, which are drawn again only if something in them has changed.

Beside the figures, ``.drawn/<stem>.json`` holds the digest of all that one was drawn from, that of
each of its files, and what the page shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl

from results.figures.by_name import Job
from results.figures.style import inline_png, inline_svg, method_styles, save
from results.gallery.row_samples import samples_path
from results.gallery.view import View
from results.store.record import RunRecord
from results.store.run_key import Address

FOLDER = ".drawn"
ROOM = Path(__file__).parents[1]


@dataclass(frozen=True)
class Files:
    """A drawn figure.

    Attributes
    ----------
    files : dict from str to bytes
        Content by format.
    inline : str
        Markup for the page.
    note : bytes
        Content of ``.drawn/<stem>.json``.
    """

    files: dict[str, bytes]
    inline: str
    note: bytes


class Keeper:
    """Draws figures of one view, or takes them from an earlier report.

    Parameters
    ----------
    view : View
    folder : Path
        Of the figures.
    formats : sequence of str
        ``pdf``, ``png`` or ``svg``.
    """

    def __init__(self, view: View, folder: Path, formats: Sequence[str]) -> None:
        self._view = view
        self._folder = folder
        self._formats = tuple(formats)
        common = (_code(), mpl.__version__, view.width, repr(method_styles(view.board)))
        compared = view.board.comparisons
        self._common = repr((common, compared.rankings if compared else ()))
        self._digests: dict[Address, str] = {}

    def take(self, job: Job) -> Files | None:
        """Return the figure as it lies there, or None if it has to be drawn."""
        try:
            note = (self._folder / FOLDER / f"{job.stem}.json").read_bytes()
            kept = json.loads(note)
            files = {f: (self._folder / f"{job.stem}.{f}").read_bytes() for f in self._formats}
            whole = all(kept["files"][f] == _sha(content) for f, content in files.items())
            if whole and kept["digest"] == self._digest(job):
                return Files(files, str(kept["inline"]), note)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # absent or damaged: it is drawn
        return None

    def draw(self, job: Job) -> Files | None:
        """Draw the figure once, for all formats and the page; None if the records lack it."""
        figure = job.make()
        if figure is None:
            return None
        shown = "png" if job.pixels else "svg"
        drawn = {form: save(figure, form) for form in dict.fromkeys((*self._formats, shown))}
        files = {form: drawn[form] for form in self._formats}
        if job.pixels:
            inline = inline_png(drawn[shown], job.caption)
        else:
            inline = inline_svg(drawn[shown], job.stem, job.caption)
        digests = {form: _sha(content) for form, content in files.items()}
        kept = {"digest": self._digest(job), "files": digests, "inline": inline}
        return Files(files, inline, json.dumps(kept).encode())

    def _digest(self, job: Job) -> str:
        """Return a digest of all that shapes a figure: what is shown, how, and the code."""
        whole = hashlib.sha256(f"{self._common} {job.stem} {job.caption}".encode())
        for section in job.sections:
            whole.update(repr(section).encode("utf-8", "surrogatepass"))
            for of_entry in self._view.runs(section).values():
                for record in of_entry:
                    whole.update(self._of_record(record).encode())
        return whole.hexdigest()

    def _of_record(self, record: RunRecord) -> str:
        place = Address(**vars(record.key), digest=record.digest)
        if place not in self._digests:
            text = json.dumps([vars(record), [*self._beside(record)]], sort_keys=True)
            self._digests[place] = _sha(text.encode())
        return self._digests[place]

    def _beside(self, record: RunRecord) -> Iterator[tuple[int, int] | None]:
        """Yield size and time of the arrays and the samples that a figure may read."""
        store = self._view.store
        if store is None:
            return
        arrays = store.locate(record).with_suffix(".safetensors")
        for path in (arrays, samples_path(store, record)):
            try:
                found = path.stat() if path else None
            except OSError:
                found = None
            yield (found.st_size, found.st_mtime_ns) if found else None


@cache
def _code() -> str:
    """Return a digest of the code that reads, arranges and draws."""
    return _sha(b"".join(path.read_bytes() for path in sorted(ROOM.rglob("*.py"))))


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
