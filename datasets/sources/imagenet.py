"""ImageNet of ILSVRC 2012: all of its 1,000 classes, and the 100 classes of HashNet's lists.

`imagenet` reads the folders ``train/<wnid>`` and ``val/<wnid>``; rows are the training images, then
the validation images, each in the order of their class and name. `imagenet100` reads HashNet's
lists and finds their images in the same folders, or in its own.

References
----------
O. Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV 2015.
Z. Cao, M. Long, J. Wang, P. S. Yu, "HashNet: Deep learning to hash by continuation", ICCV 2017.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import torch

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.files.images import EncodedImages, FileItems
from datasets.files.lists import Lists
from datasets.files.places import Place, tails
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_
from datasets.sources.published_trees import ILSVRC, tree_similarity

PAGE = "image-net.org (ILSVRC 2012)"
IMAGENET = Place("imagenet", ("imagenet", "ILSVRC2012", "ILSVRC"), PAGE)
IMAGENET100 = Place("imagenet100", ("imagenet100", *IMAGENET.folders), PAGE)
N_CLASSES = 1000
_WNID = re.compile(r"n\d{8}")


def load_imagenet(protocol: Protocol_, options: LoadOptions) -> Contents:
    """List the images of all 1,000 classes; they stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["imagenet"]``.
    options : LoadOptions
        Below its `data_root`: ``train/<wnid>/*.JPEG`` and ``val/<wnid>/*.JPEG``; the class tree
        where `tree_similarity` looks for it.

    Returns
    -------
    Contents
        1,331,167 rows, and the similarity of classes in WordNet's tree.

    Raises
    ------
    DatasetError
        If a folder is absent.
    """
    root = IMAGENET.find(options.data_root, "train", "val")
    wnids = tuple(sorted(f.name for f in os.scandir(root / "train") if _WNID.fullmatch(f.name)))
    if len(wnids) != N_CLASSES and not (wnids and options.allow_missing):
        raise DatasetError(
            f"{root / 'train'}: expected {N_CLASSES:,} folders n01440764/ and the like, found "
            f"{len(wnids):,}; --allow-missing goes on with the classes that are there"
        )
    names: list[str] = []
    classes: list[int] = []
    parts = {}
    for part, folder in {"train": "train", "test": "val"}.items():
        start = len(names)
        for c, wnid in enumerate(wnids):
            own = _jpegs(root, f"{folder}/{wnid}")
            names += own
            classes += [c] * len(own)
        parts[part] = torch.arange(start, len(names))
        if start == len(names):
            raise DatasetError(
                f"{root / folder}: no image in its class folders; sort the images into "
                f"{folder}/<wnid>/*.JPEG"
            )
    hierarchy, notes = tree_similarity(ILSVRC, IMAGENET.name, wnids, options)
    return Contents(
        labels=Labels.one_each(torch.tensor(classes), len(wnids)),
        images=EncodedImages(FileItems(root, names)),
        parts=parts,
        classes=wnids,
        published={"test": (50,) * N_CLASSES} if len(wnids) == N_CLASSES else {},
        hierarchy=hierarchy,
        notes=notes,
    )


def load_imagenet100(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read HashNet's lists; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["imagenet100"]``.
    options : LoadOptions
        Below its `data_root`: the lists, and the images as the lists have them or as `imagenet`
        has them.

    Returns
    -------
    Contents
        133,503 rows.

    Raises
    ------
    DatasetError
        If lists or all images are absent.
    """
    return IMAGENET100.listed(protocol, options, _readings)


def _readings(lists: Lists) -> Iterator[Sequence[str]]:
    """As the lists have them; below ``train/<wnid>`` and ``val``; below ``val/<wnid>`` too."""
    yield from tails(lists.names, "")
    files = [PurePosixPath(name).name for name in lists.names]
    columns = lists.labels.dense().int().argmax(1).tolist()
    # A training image is named n01440764_7250.JPEG: it tells the class of its label's column.
    wnid_of = {c: f[:9] for c, f in zip(columns, files, strict=True) if _WNID.match(f)}
    for val in ("val/", "val/{}/"):
        yield [
            (f"train/{f[:9]}/" if _WNID.match(f) else val.format(wnid_of.get(c, ""))) + f
            for c, f in zip(columns, files, strict=True)
        ]


def _jpegs(root: Path, folder: str) -> list[str]:
    """Paths of the images of a class below `root`, in the order of their names."""
    try:
        found = sorted(
            f.name
            for f in os.scandir(root / folder)
            if f.name.lower().endswith((".jpeg", ".jpg", ".png")) and not f.name.startswith(".")
        )
    except FileNotFoundError:
        return []
    return [f"{folder}/{name}" for name in found]
