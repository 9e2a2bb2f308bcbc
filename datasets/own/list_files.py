"""A split of the user's own by list files, ``lists:PATH``; `datasets.files.lists` reads them.

The lists may be called as any parts are, see `datasets.own.parts`. The paths in them begin at PATH,
or at ``--data-root``.
"""

from __future__ import annotations

from pathlib import Path

import torch

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.files.images import EncodedImages, FileItems, image_size
from datasets.files.lists import read_lists, relative
from datasets.own.merge import one_row_a_file
from datasets.own.parts import says_only, split_by_name


def load_lists(path: Path, options: LoadOptions) -> Contents:
    """Read the lists of a split; the images stay encoded.

    Parameters
    ----------
    path : Path
        Folder with lists of training rows, queries and the database.
    options : LoadOptions
        Its `data_root` is where the paths begin if the first image is not below `path`.

    Returns
    -------
    Contents

    Raises
    ------
    DatasetError
        If a list is missing or broken.
    """
    who = f"lists:{path}"
    files, notes = _files(who, path)
    lists = read_lists(path, "the repositories of its papers", files)
    names = [str(relative(name)) for name in lists.names]
    roots = [root for root in (path, options.data_root) if root is not None]
    root = next((root for root in roots if (root / names[0]).is_file()), path)
    items = FileItems(root, names)
    first = items.same_files()
    again = (first != torch.arange(len(first))).nonzero()[:, 0]
    differ = lists.labels[again].dense() != lists.labels[first[again]].dense()
    other = again[differ.any(1)]
    if len(other):
        a, b = (names[i] for i in (int(other[0]), int(first[other[0]])))
        raise DatasetError(f"{who}: {a} and {b} are one file, and have other labels")
    items, labels, parts, merged = one_row_a_file(who, items, lists.labels, lists.parts)
    size = image_size(items)
    note = f"{who}: {len(items):,} images below {root}, kept at {size} px, their median side"
    return Contents(labels, EncodedImages(items, size), parts=parts, notes=(note, *notes, *merged))


def _files(who: str, path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Name of the list of each part, without ending, and what the user should know of others."""
    texts = sorted({file.stem for file in path.glob("*.txt") if not file.name.startswith(".")})
    stems = dict.fromkeys(stem.removeprefix("img_").removeprefix("label_") for stem in texts)
    lists = [stem for stem in stems if says_only(stem)]
    others = [stem for stem in stems if stem not in lists]
    notes = (f"{who}: not read, as no list of a part: {', '.join(others[:3])}",) if others else ()
    read = split_by_name(who, "lists", lists)
    names: dict[str, str] = {}
    for stem, part in read.of.items():
        if part and names.setdefault(part, stem) != stem:
            raise DatasetError(f"{who}: {names[part]}.txt and {stem}.txt are lists of one part")
    return names, (*read.notes, *notes)
