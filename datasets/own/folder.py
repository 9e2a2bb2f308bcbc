"""A folder of images, a folder a class: ``folder:PATH``.

Where ``PATH/train`` and one of ``PATH/query``, ``PATH/test`` and ``PATH/val`` are there, each with
its folders of classes, they are the split: what trains is the database, or ``PATH/database`` is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.files.images import EncodedImages, FileItems, image_size
from datasets.own.labels import from_values

SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".avif"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2", ".tga"),
    ]
)
"""Endings of file names that are taken for images, in lower case."""
QUERY_PARTS = ("query", "test", "val")
"""Folders that may hold the queries; the first that is there does."""


def load_folder(path: Path, options: LoadOptions) -> Contents:
    """List the images of a folder; none is decoded but the first, for its size.

    Parameters
    ----------
    path : Path
        Folder of folders of classes, or of parts with such folders.
    options : LoadOptions

    Returns
    -------
    Contents
        Rows in the order of their paths; a file in folders below its class belongs to it too.

    Raises
    ------
    DatasetError
        If the folder cannot be read or holds no images.
    """
    if not path.is_dir():
        raise DatasetError(f"folder:{path}: no such folder")
    query = next((name for name in QUERY_PARTS if (path / name).is_dir()), None)
    named = {"train": "train", query: "test", "database": "database"}
    parts = {folder: part for folder, part in named.items() if folder and (path / folder).is_dir()}
    if query is None or "train" not in parts:
        parts = {"": ""}
    files: list[tuple[str, str, str]] = []  # part, class, path below the folder
    others: list[str] = []
    for folder, part in parts.items():
        for name in _below(path, folder):
            inner = name.split("/")[1 if folder else 0 :]
            if len(inner) > 1 and os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122
                files.append((part, inner[0], name))
            else:
                others.append(name)
    if not files:
        raise DatasetError(
            f"folder:{path}: found no images in folders of classes; put them into PATH/CLASS/, "
            f"as {', '.join(sorted(SUFFIXES)[:4])}, ..."
        )
    names = [name for _, _, name in files]
    classes = np.array([label for _, label, _ in files])
    labels, class_names = from_values(f"folder:{path}", classes, np.arange(len(files)), len(files))
    rows = {
        part: torch.tensor([i for i, file in enumerate(files) if file[0] == part]).long()
        for part in parts.values()
        if part
    }
    items = FileItems(path, names)
    size = image_size(items)
    return Contents(
        labels=labels,
        images=EncodedImages(items, size),
        parts=rows,
        classes=class_names,
        notes=(_note(path, files, len(class_names), size), *_left_out(others)),
    )


def _below(root: Path, folder: str) -> Iterator[str]:
    """Paths below `root` of all files in a folder, with ``/``, sorted; hidden ones left out."""

    def refuse(error: OSError) -> None:
        raise DatasetError(f"folder:{root}: cannot be read ({one_line(error)})") from error

    found = []
    for where, folders, names in os.walk(root / folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inner = Path(where).relative_to(root)
        found += [(inner / name).as_posix() for name in names if not name.startswith(".")]
    return iter(sorted(found))


def _note(path: Path, files: list[tuple[str, str, str]], n_classes: int, size: int) -> str:
    parts = Counter(part for part, _, _ in files)
    split = ", ".join(f"{n:,} {part}" for part, n in parts.items() if part)
    where = f" ({split})" if split else ""
    return f"folder:{path}: {len(files):,} images{where}, {n_classes} classes, kept at {size} px"


def _left_out(others: list[str]) -> tuple[str, ...]:
    if not others:
        return ()
    return (f"{len(others):,} files are not images in a class and left out: {others[0]}, ...",)
