"""A split of the user's own by list files, ``lists:PATH``; `datasets.files.lists` reads them.

The paths in the lists begin at PATH, or at ``--data-root``.
"""

from __future__ import annotations

from pathlib import Path

from datasets.contents import Contents, LoadOptions
from datasets.files.images import EncodedImages, FileItems, image_size
from datasets.files.lists import read_lists, relative


def load_lists(path: Path, options: LoadOptions) -> Contents:
    """Read the lists of a split; the images stay encoded.

    Parameters
    ----------
    path : Path
        Folder with ``train.txt``, ``test.txt`` and ``database.txt``.
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
    lists = read_lists(path, "the repositories of its papers")
    names = [str(relative(name)) for name in lists.names]
    roots = [root for root in (path, options.data_root) if root is not None]
    root = next((root for root in roots if (root / names[0]).is_file()), path)
    items = FileItems(root, names)
    size = image_size(items)
    note = f"lists:{path}: {len(names):,} images below {root}, kept at {size} px"
    return Contents(lists.labels, EncodedImages(items, size), parts=lists.parts, notes=(note,))
