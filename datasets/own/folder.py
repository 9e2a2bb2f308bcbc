"""A folder of images, a folder a class: ``folder:PATH``.

Where folders of ``PATH`` are called after parts, ``train`` and ``test``, and hold folders of
classes, they are the split, see `datasets.own.parts`. A file is one row, however many names lead to
it: in the folders of two classes it has both.

Hidden files and what this benchmark writes, results and caches, are no data.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.files.images import EncodedImages, FileItems, image_size
from datasets.own.labels import from_values
from datasets.own.merge import one_row_a_file
from datasets.own.parts import Parts, kind_of, says_only, split_by_name

SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".avif"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2", ".tga"),
    ]
)
"""Endings of file names that are taken for images, in lower case."""
_Number = tuple[int, int] | None
"""Device and number of a folder; None if it is not there."""
_OUTPUT = ("runs", "report", "samples")
"""Folders that a folder of results holds, beside ``plan.json``."""


def load_folder(path: Path, options: LoadOptions) -> Contents:
    """List the images of a folder; none is decoded, and few are opened, for their size.

    Parameters
    ----------
    path : Path
        Folder of folders of classes, or of parts with such folders.
    options : LoadOptions
        Its cache is no data, wherever it lies.

    Returns
    -------
    Contents
        Rows in the order of their paths; a file in folders below its class belongs to it too.

    Raises
    ------
    DatasetError
        If the folder cannot be read, holds no images, or its parts make no split.
    """
    who = f"folder:{path}"
    if not path.is_dir():
        raise DatasetError(f"{who}: no such folder")
    tree = _walk(who, path, options.cache)
    images = [_Image.of(name) for name in tree.files if _is_image(name)]
    parts = _parts(who, tree.folders, images)
    if parts is not None:
        images = [image.below_part() for image in images if image.label in parts.of]
    images = [image for image in images if image.label]
    if not images:
        raise DatasetError(
            f"{who}: found no images in folders of classes; put them into PATH/CLASS/, or "
            f"PATH/train/CLASS/ and PATH/test/CLASS/, as {', '.join(sorted(SUFFIXES)[:4])}, ..."
        )
    part_of = [parts.of[image.part] if parts else "" for image in images]
    rows = np.arange(len(images))
    labels, classes = from_values(who, np.array([image.label for image in images]), rows, len(rows))
    items, labels, split, merged = one_row_a_file(
        who,
        FileItems(path, [image.name for image in images]),
        labels,
        {
            part: torch.from_numpy(np.flatnonzero(np.array(part_of) == part))
            for part in dict.fromkeys(part_of)
            if part
        },
    )
    size = image_size(items)
    used = {image.name for image in images}
    others = [name for name in tree.files if name not in used]
    if parts is not None:  # what parts leave out is told already
        others = [name for name in others if name.partition("/")[0] in parts.of]
    return Contents(
        labels=labels,
        images=EncodedImages(items, size),
        parts=split,
        classes=classes,
        notes=(
            _counts(who, len(items), split, len(classes), size),
            *(parts.notes if parts else _odd_classes(who, images)),
            *merged,
            *_left_out(others),
            *(f"{who}: {what}" for what in tree.skipped),
        ),
    )


def image_names(path: Path, cache: Path | None = None) -> list[str]:
    """List the images of a folder, at any depth, by their paths below it, sorted.

    Hidden names and what this benchmark writes are left out, as of a data set.

    Raises
    ------
    DatasetError
        If the folder cannot be read.
    """
    return [name for name in _walk(f"folder {path}", path, cache).files if _is_image(name)]


class _Image(NamedTuple):
    """Path of an image, and the folders that say what it is; empty text where there is none."""

    name: str
    part: str
    label: str
    inner: str

    @classmethod
    def of(cls, name: str) -> _Image:
        """Take the first folder for the class."""
        folders = [*name.split("/")[:-1], "", ""]
        return cls(name, "", folders[0], folders[1])

    def below_part(self) -> _Image:
        """Take the first folder for the part, and the next for the class."""
        return _Image(self.name, self.label, self.inner, "")


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - of text, many times


# ---- what is a part


def _parts(who: str, folders: Sequence[str], images: Sequence[_Image]) -> Parts | None:
    """Read the folders as parts of a split; None if they are classes."""
    direct = Counter(image.label for image in images if not image.inner)
    below = Counter(image.label for image in images if image.inner)
    holds_folders = {name: below[name] > direct[name] for name in folders}
    named = [n for n in folders if kind_of(n) and (holds_folders[n] or says_only(n))]
    kinds = {kind_of(name) for name in named}
    complete = "train" in kinds and len(kinds - {"train", "database"}) > 0
    if complete or any(holds_folders[n] for n in named) or (named and named == list(folders)):
        return split_by_name(who, "folders", folders)
    return None


def _odd_classes(who: str, images: Sequence[_Image]) -> tuple[str, ...]:
    """Say where classes look like parts of a split that were not understood."""
    notes = []
    inner: dict[str, set[str]] = {}
    for image in images:
        inner.setdefault(image.label, set()).add(image.inner)
    named = [name for name in inner if says_only(name)]
    if named:
        notes.append(f"{who}: folder {named[0]} is taken for a class, not for a part of a split")
    within = sorted(set().union(*inner.values()) - {""})
    if within and all(map(says_only, within)):
        notes.append(
            f"{who}: folders {', '.join(within[:3])} inside of classes are not read as parts of a "
            "split; put the classes inside of the parts"
        )
    elif len(inner) > 1 and all("" not in own for own in inner.values()):
        shared = sorted(set.intersection(*inner.values()))
        if shared:
            notes.append(
                f"{who}: folders {', '.join(list(inner)[:3])} are taken for classes, though each "
                f"holds {', '.join(shared[:3])}; parts of a split are called train, test, ..."
            )
    return tuple(notes)


# ---- what is data


class _Tree(NamedTuple):
    """What lies below a folder: paths with ``/``, sorted, and what was not entered."""

    folders: list[str]
    files: list[str]
    skipped: list[str]


def _walk(who: str, root: Path, cache: Path | None) -> _Tree:
    """List a folder through links, but for hidden names and what is no data.

    A folder is entered once for every folder of the first two levels, which may be parts and
    classes, and never from inside of itself.
    """
    tree = _Tree([], [], [])
    caches = {_number(cache)} - {None}
    waiting: list[tuple[str, str, tuple[_Number, ...], set[_Number]]]
    waiting = [(str(root), "", (_number(root),), set())]
    while waiting:
        place, inner, above, entered = waiting.pop()
        try:
            with os.scandir(place) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except OSError as error:
            raise DatasetError(f"{who}: cannot be read ({one_line(error)})") from error
        output = _OUTPUT if {"runs", "plan.json"} <= {entry.name for entry in entries} else ()
        for entry in entries:
            name = inner + entry.name
            if not _is_folder(entry):
                if _may_be_file(entry):
                    tree.files.append(name)
                else:
                    tree.skipped.append(f"{name} is a pipe, a socket or a device, and left out")
                continue
            number = _number(Path(entry.path))
            if entry.name in output or number in caches:
                tree.skipped.append(f"{name} is output of this benchmark, and no data")
            elif number in above:
                tree.skipped.append(f"{name} leads back to a folder above it, and is left out")
            elif len(above) < 3 or number not in entered:
                if not inner:
                    tree.folders.append(name)
                once = {number} if len(above) < 3 else entered
                once.add(number)
                waiting.append((entry.path, f"{name}/", (*above, number), once))
    for names in tree:
        names.sort()
    return tree


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere, round and round
        return False


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link to one that is missing: that is told as such."""
    try:
        if not entry.is_file():
            entry.stat()
            return False
    except OSError:
        pass
    return True


def _number(path: Path | None) -> _Number:
    """Look a folder up through links."""
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)


def _counts(who: str, n: int, split: Mapping[str, Tensor], n_classes: int, size: int) -> str:
    parts = ", ".join(f"{len(rows):,} {part}" for part, rows in split.items())
    where = f" ({parts})" if parts else ""
    return f"{who}: {n:,} images{where}, {n_classes} classes, kept at {size} px, their median side"


def _left_out(others: list[str]) -> tuple[str, ...]:
    if not others:
        return ()
    return (f"{len(others):,} files are not images in a class and left out: {others[0]}, ...",)
