"""The pictures of the page: a section's thumbnails in one sheet, and where each lies in it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib.image
import numpy as np
from numpy.typing import NDArray

from results.gallery.shown_queries import Exhibit, exhibits
from results.gallery.view import View

COARSE = 24  # pixels a side, below which a thumbnail is drawn without smoothing
PNG_BYTES = 2**17  # of pixels; larger sheets become JPEG


class Sheet:
    """Thumbnails of some rows, side by side in one picture."""

    def __init__(self, rows: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        self.images = images
        self.coarse = images.shape[1] < COARSE
        self.across = math.ceil(math.sqrt(len(rows)))
        self.down = math.ceil(len(rows) / self.across)
        self._places = {int(row): divmod(n, self.across) for n, row in enumerate(rows)}

    def place(self, row: int) -> tuple[float, float]:
        """Return where a row's thumbnail lies, in percent from the left and from the top."""
        y, x = self._places[row]
        return 100 * x / max(self.across - 1, 1), 100 * y / max(self.down - 1, 1)

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


@dataclass(frozen=True)
class Gallery:
    """Best and worst queries of each method of a section; all their thumbnails lie in one sheet."""

    title: str
    sheet: Sheet
    exhibits: tuple[Exhibit, ...]


def galleries(view: View) -> Iterator[Gallery]:
    """Yield the gallery of each section that has thumbnails."""
    for section in view.board.sections:
        shown = tuple(exhibits(view, section))
        if not shown:
            continue
        answers = [a for e in shown for a in (*e.best, *e.worst)]
        rows = np.unique(np.concatenate([[a.row, *a.found] for a in answers]).astype(np.int64))
        samples = view.samples(shown[0].record)
        images = None if samples is None else samples.images_of(rows)
        if images is not None:
            yield Gallery(section.title, Sheet(rows, images), shown)
