"""The gallery of the page: thumbnails of a section in one sheet, and where each lies in it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib.image
import numpy as np
from numpy.typing import NDArray

from results.gallery.shown_queries import Answer, Exhibit, exhibits
from results.gallery.view import View

COARSE = 24  # pixels a side, below which a thumbnail is drawn without smoothing
PNG_BYTES = 2**17  # of pixels; larger sheets become JPEG


@dataclass(frozen=True)
class Picture:
    """A thumbnail: where it lies in the sheet, in percent, and what is said of it."""

    x: float
    y: float
    text: str
    right: bool | None = None  # None of a query


@dataclass(frozen=True)
class Line:
    """A query and what was found first."""

    ap: float
    query: Picture
    found: tuple[Picture, ...]


@dataclass(frozen=True)
class Shelf:
    """The gallery of one method."""

    method: str
    about: str
    best: tuple[Line, ...]
    worst: tuple[Line, ...]


@dataclass(frozen=True)
class Gallery:
    """The gallery of one section; all its thumbnails lie in one sheet."""

    title: str
    sheet: str  # a data URI
    width: float  # of the sheet, in percent of a thumbnail
    height: float
    coarse: bool  # thumbnails of so few pixels that they are drawn without smoothing
    shelves: tuple[Shelf, ...]


def galleries(view: View) -> Iterator[Gallery]:
    """Yield the gallery of each section that has thumbnails."""
    for section in view.board.sections:
        shown = exhibits(view, section)
        if not shown:
            continue
        answers = [a for e in shown for a in (*e.best, *e.worst)]
        rows = np.unique(np.concatenate([[a.row, *a.found] for a in answers]).astype(np.int64))
        samples = view.samples(shown[0].record)
        images = None if samples is None else samples.images_of(rows)
        if images is None:
            continue
        sheet = Sheet(rows, images)
        yield Gallery(
            section.title,
            sheet.uri(),
            100 * sheet.across,
            100 * sheet.down,
            coarse=images.shape[1] < COARSE,
            shelves=tuple(_shelf(exhibit, sheet) for exhibit in shown),
        )


class Sheet:
    """Thumbnails of some rows, side by side in one picture."""

    def __init__(self, rows: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        self.images = images
        self.across = math.ceil(math.sqrt(len(rows)))
        self.down = math.ceil(len(rows) / self.across)
        self._places = {int(row): divmod(n, self.across) for n, row in enumerate(rows)}

    def picture(self, row: int, text: str, right: bool | None = None) -> Picture:
        """Return where a row's thumbnail lies."""
        y, x = self._places[row]
        return Picture(
            x=100 * x / max(self.across - 1, 1),
            y=100 * y / max(self.down - 1, 1),
            text=text,
            right=right,
        )

    def uri(self) -> str:
        """Return the picture; a large one as JPEG."""
        _, height, width, _ = self.images.shape
        sheet = np.zeros((self.down * height, self.across * width, 3), np.uint8)
        for number, image in enumerate(self.images):
            y, x = divmod(number, self.across)
            sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = image
        form: str = "png" if sheet.size < PNG_BYTES else "jpeg"
        file = io.BytesIO()
        quality = {} if form == "png" else {"quality": 85}
        matplotlib.image.imsave(file, sheet, format=form, pil_kwargs=quality)
        return f"data:image/{form};base64,{base64.b64encode(file.getvalue()).decode()}"


def _shelf(exhibit: Exhibit, sheet: Sheet) -> Shelf:
    record = exhibit.record
    return Shelf(
        record.method,
        f"{record.bits} bits, seed {record.seed}",
        tuple(_line(answer, sheet) for answer in exhibit.best),
        tuple(_line(answer, sheet) for answer in exhibit.worst),
    )


def _line(answer: Answer, sheet: Sheet) -> Line:
    found = zip(
        answer.found.tolist(), answer.distances.tolist(), answer.right.tolist(), strict=True
    )
    pictures = [
        sheet.picture(row, f"{'right' if right else 'wrong'}, distance {bits}", right)
        for row, bits, right in found
    ]
    return Line(answer.ap, sheet.picture(answer.row, f"query {answer.row}"), tuple(pictures))
