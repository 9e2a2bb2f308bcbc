"""Answer queries from an index, as text and as a page with thumbnails."""

from __future__ import annotations

import argparse
import base64
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.models.config import ModelError
from benchmarks.models.hasher import Hasher
from benchmarks.models.images import find_images, hash_images
from benchmarks.models.index import ImageIndex
from datasets.errors import DatasetError, printable
from datasets.files.decode import Item, decode
from datasets.files.hub import LocalFile
from datasets.files.parquet import ParquetItems
from results.store.files import write_atomic
from results.tables.markup import template

SIDE = 160
"""Of a thumbnail, in pixels."""


@dataclass(frozen=True)
class Match:
    """An image that was found: its path, Hamming distance, and cosine where it was re-ranked."""

    name: str
    distance: int
    cosine: float | None


@dataclass(frozen=True)
class Answer:
    """What was found for an image, nearest first."""

    query: str
    matches: tuple[Match, ...]


def search(options: argparse.Namespace) -> list[Answer]:
    """Search with the flags of `benchmarks.search`.

    Raises
    ------
    ModelError, DatasetError, DeviceError
        If the index or its model cannot be read, or an image cannot be decoded.
    """
    for flag, value in (("-k", options.k), ("--rerank", options.rerank)):
        if value is not None and value < 1:
            raise ModelError(f"{flag}: must be at least 1, got {value}")
    index = ImageIndex.load(options.index)
    hasher = Hasher.load(
        options.model or index.model,
        device=options.device,
        backbone=options.backbone,
        method=options.method,
    )
    index.require_model(hasher)
    found = find_images(options.images, options.image_column)
    queries = hash_images(hasher, found, keep_inputs=True)
    distances, rows = index.search(queries.codes, options.k * (options.rerank or 1))
    cosines: np.ndarray | None = None
    if options.rerank and queries.inputs is not None:
        distance_of = [dict(zip(*pair, strict=True)) for pair in zip(rows, distances, strict=True)]
        cosines, rows = index.reranked(queries.inputs.astype(np.float32), rows, options.k)
        distances = np.array(
            [[of[row] for row in some] for of, some in zip(distance_of, rows, strict=True)]
        )
    return [
        Answer(
            name,
            tuple(
                Match(
                    index.names[row],
                    int(distances[q, place]),
                    None if cosines is None else float(cosines[q, place]),
                )
                for place, row in enumerate(rows[q])
                if row >= 0
            ),
        )
        for q, name in enumerate(queries.names)
    ]


def text_of(answers: Sequence[Answer]) -> Iterator[str]:
    """Yield lines for a terminal: distance, cosine where there is one, path."""
    for answer in answers:
        yield shown(answer.query)
        for match in answer.matches:
            cosine = "" if match.cosine is None else f"  {match.cosine:.3f}"
            yield f"{match.distance:>5}{cosine}  {shown(match.name)}"


def shown(name: str) -> str:
    """Show a path, from the current folder on where it lies below it, as `printable` text."""
    below = os.path.relpath(name)
    return printable(name if below.startswith(os.pardir) else below)


def write_page(path: Path, answers: Sequence[Answer], column: str = "image") -> None:
    """Write a page that needs no network: each query and what was found, with thumbnails.

    Raises
    ------
    ModelError
        If the disk refuses.
    """
    text = template("search.html.jinja").render(
        answers=answers, shown=shown, thumbnail=lambda name: _thumbnail(name, column)
    )
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; choose another file with --html") from error


def _thumbnail(name: str, column: str) -> str:
    """Return a picture as text; empty where the image is gone."""
    from PIL import Image

    file, _, row = name.rpartition(":")
    item: Item | None = None
    try:
        if file.endswith(".parquet") and row.isdecimal():
            item = next(ParquetItems([LocalFile(Path(file), "")], column).items(int(row)), None)
        elif Path(name).is_file():
            item = name, Path(name)
        if item is None:
            return ""
        pixels = decode(item, SIDE, exact=False)
    except (DatasetError, OSError, ValueError):
        return ""
    shown = io.BytesIO()
    Image.fromarray(pixels).save(shown, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(shown.getvalue()).decode()}"
