"""Answer queries from an index, as text and as a page with thumbnails."""

from __future__ import annotations

import argparse
import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.models.folder import ModelError
from benchmarks.models.hasher import Hasher
from benchmarks.models.images import find_images, hash_images
from benchmarks.models.index import ImageIndex
from datasets.errors import DatasetError, printable
from datasets.files.decode import decode
from datasets.files.hub import LocalFile
from datasets.files.parquet import ParquetItems
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
        options.model or index.model, device=options.device, backbone=options.backbone
    )
    index.require_model(hasher)
    found = find_images(options.images, options.image_column)
    queries = hash_images(hasher, found, keep_inputs=True)
    distances, rows = index.search(options.index, queries.codes, options.k * (options.rerank or 1))
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
        yield printable(answer.query)
        for match in answer.matches:
            cosine = "" if match.cosine is None else f"  {match.cosine:.3f}"
            yield f"{match.distance:>5}{cosine}  {printable(match.name)}"


def write_page(path: Path, answers: Sequence[Answer], column: str = "image") -> None:
    """Write a page that needs no network: each query and what was found, with thumbnails."""
    text = template("search.html.jinja").render(
        answers=answers, thumbnail=lambda name: _thumbnail(name, column)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _thumbnail(name: str, column: str) -> str:
    """Return a picture as text; empty where the image is gone."""
    from PIL import Image

    file, _, row = name.rpartition(":")
    try:
        item: tuple[str, bytes | Path | None] = (name, Path(name))
        if file.endswith(".parquet") and row.isdecimal():
            item = next(iter(ParquetItems([LocalFile(Path(file), "")], column).items(int(row))))
        pixels = decode(item, SIDE, exact=False)
    except DatasetError:
        return ""
    shown = io.BytesIO()
    Image.fromarray(pixels).save(shown, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(shown.getvalue()).decode()}"
