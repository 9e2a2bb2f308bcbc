"""The papers' list files: one image a line, its path and then a 0 or 1 for each label.

    images/0571_262727880.jpg 1 1 0 1 0 0 0
    images/0274_2406747202.jpg 0 0 0 0 0 0 1

A split is a folder with `train.txt`, `test.txt` (the queries) and `database.txt`. Some papers keep
the paths and the labels apart, a line for a line: `img_train.txt` and `label_train.txt`.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from datasets.errors import DatasetError, one_line
from datasets.labels import Labels

_MOST_LETTERS = 4096
"""Letters that the path of an image may have; no file system takes more."""
PARTS = ("test", "train", "database")


@dataclass(frozen=True, eq=False)
class Lists:
    """A split as its lists give it.

    Attributes
    ----------
    names : list of str
        Path of each image as it is written in the lists, with ``/``; every image once, N of them.
    labels : Labels, shape (N, C)
    parts : dict of Tensor, int64
        Row numbers of ``"test"``, ``"train"`` and ``"database"``.
    """

    names: list[str]
    labels: Labels
    parts: dict[str, Tensor]


def read_list(path: Path) -> tuple[list[str], Tensor]:
    """Read a list of lines ``path 0 1 0 ...``.

    Parameters
    ----------
    path : Path
        Text; blanks or tabs between the fields, none inside a path.

    Returns
    -------
    list of str
        Paths, with ``/``.
    Tensor, bool, shape (N, C)
        Labels.

    Raises
    ------
    DatasetError
        If the file is absent or empty, a line has another number of labels than the first, a label
        is neither 0 nor 1, or a path comes twice or leaves its folder; file and line are named.
    """
    lines = [line.split(None, 1) for line in _lines(path)]
    names = _names(path, [fields[0] if fields else b"" for fields in lines])
    return names, _labels(path, [fields[1] if len(fields) > 1 else b"" for fields in lines])


def read_pair(names: Path, labels: Path) -> tuple[list[str], Tensor]:
    """Read a list that comes in two files: a path a line, and its labels on the same line.

    Raises
    ------
    DatasetError
        As `read_list` does, and if the files have different numbers of lines.
    """
    read = _names(names, [line.strip() for line in _lines(names)])
    rows = _labels(labels, _lines(labels))
    if len(read) != len(rows):
        raise DatasetError(
            f"{labels}: {len(rows):,} lines for the {len(read):,} images of {names}; "
            "both files need a line for each image"
        )
    return read, rows


def has_lists(folder: Path) -> bool:
    """Whether a folder holds a list of any part."""
    return any(path.is_file() for part in PARTS for path in _files(folder, part))


def read_lists(folder: Path, source: str, stems: Mapping[str, str] | None = None) -> Lists:
    """Read a folder of lists.

    Parameters
    ----------
    folder : Path
        Holds a list for each of `PARTS`.
    source : str
        Where such lists are had, for the message.
    stems : mapping from str to str, optional
        Name of the list of a part, without ending; that of the part where left out.

    Returns
    -------
    Lists

    Raises
    ------
    DatasetError
        If a list is missing or broken, or two lists give an image different labels.
    """
    read: dict[str, tuple[Path, list[str], Tensor]] = {}
    missing = []
    for part in PARTS:
        single, names, labels = _files(folder, (stems or {}).get(part, part))
        if single.is_file():
            read[part] = (single, *read_list(single))
        elif names.is_file() and labels.is_file():
            read[part] = (labels, *read_pair(names, labels))
        else:
            missing.append(f"{single.name} (or {names.name} and {labels.name})")
    if missing:
        found = ", ".join(path.name for path, *_ in read.values()) or "no list"
        raise DatasetError(
            f"{folder}: {'; '.join(missing)} missing, found {found}; "
            f"the field's lists are had from {source}"
        )
    return _merged(read)


def relative(name: str) -> PurePosixPath:
    """Path of an image without the root: some lists begin at the root of their author's disk."""
    return PurePosixPath(name.lstrip("/"))


def _files(folder: Path, stem: str) -> tuple[Path, Path, Path]:
    return tuple(folder / f"{kind}{stem}.txt" for kind in ("", "img_", "label_"))  # type: ignore[return-value] # three of them


def _merged(read: dict[str, tuple[Path, list[str], Tensor]]) -> Lists:
    """One row an image, whichever lists it is in."""
    width = None
    for path, _, labels in read.values():
        width = width or (path, labels.shape[1])
        if labels.shape[1] != width[1]:
            raise DatasetError(
                f"{path}: {labels.shape[1]} labels a line, {width[0]} has {width[1]}; "
                "the lists of one split have the same labels"
            )
    row_of: dict[str, int] = {}
    parts = {}
    for part, (_, names, _) in read.items():
        parts[part] = torch.tensor([row_of.setdefault(name, len(row_of)) for name in names])
    merged = torch.zeros(len(row_of), width[1] if width else 0, dtype=torch.bool)
    known = torch.zeros(len(row_of), dtype=torch.bool)
    for part, (path, names, labels) in read.items():
        rows = parts[part]
        other = known[rows] & (merged[rows] != labels).any(1)
        if other.any():
            line = int(other.nonzero()[0, 0])
            raise DatasetError(
                f"{path} line {line + 1}: {names[line]} has other labels than in another list "
                "of this split; an image has the same labels everywhere"
            )
        merged[rows], known[rows] = labels, True
    return Lists(list(row_of), Labels.of(merged), parts)


def _lines(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)})") from error
    lines = content.removeprefix(codecs.BOM_UTF8).rstrip().splitlines()
    if not lines:
        raise DatasetError(f"{path}: the file is empty; expected a line for each image")
    return lines


def _names(path: Path, raw: Sequence[bytes]) -> list[str]:
    """Paths with ``/``, each once and none above its folder."""
    try:
        names = b"\n".join(raw).decode().replace("\\", "/").split("\n")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a text file in UTF-8 ({one_line(error)})") from error
    names = list(map(_shortest, names))
    first: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if len(name) > _MOST_LETTERS or "\0" in name:
            raise DatasetError(
                f"{path} line {line}: a path has at most {_MOST_LETTERS:,} letters and no NUL, got "
                f"{name[:40]!r} of {len(name):,}"
            )
        if not name:
            raise DatasetError(f"{path} line {line}: no path; every line is an image")
        if ".." in name and ".." in name.split("/"):
            raise DatasetError(f"{path} line {line}: {name} leaves its folder; '..' is refused")
        if first.setdefault(name, line) != line:
            raise DatasetError(
                f"{path} line {line}: {name} is on line {first[name]} already; "
                "an image is in a list once"
            )
    return names


def _shortest(name: str) -> str:
    """Path without what leads nowhere: ``a/./b`` and ``a//b`` are ``a/b``."""
    if "//" not in name and "./" not in name:
        return name
    root = "/" if name.startswith("/") else ""
    return root + "/".join(step for step in name.split("/") if step not in ("", "."))


def _labels(path: Path, lines: Sequence[bytes]) -> Tensor:
    """Fields of lines as labels, bool (N, C)."""
    rows = [_one_byte_each(line.strip()) for line in lines]
    width = len(rows[0])
    wrong = next((i for i, row in enumerate(rows) if not 1 <= len(row) == width), None)
    if wrong is not None:
        raise DatasetError(
            f"{path} line {wrong + 1}: {len(rows[wrong])} labels, line 1 has {width}; every line "
            "has the same number, at least one, after a path without blanks"
        )
    flat = np.frombuffer(b"".join(rows), np.uint8)
    bad = (flat != ord("0")) & (flat != ord("1"))
    if bad.any():
        row, column = divmod(int(bad.argmax()), width)
        field = lines[row].split()[column].decode(errors="replace")
        raise DatasetError(f"{path} line {row + 1}: a label is 0 or 1, got {field!r}")
    return torch.from_numpy((flat == ord("1")).reshape(-1, width))


def _one_byte_each(line: bytes) -> bytes:
    """Fields of a line, a byte each; a longer one becomes a question mark."""
    digits = line[::2]
    if line[1::2].isspace() and len(digits.split()) == 1:  # blanks and digits in turn, as is usual
        return digits
    return b"".join(field if len(field) == 1 else b"?" for field in line.split())
