"""MS COCO 2014, training and validation images with at least one of 80 kinds of objects.

Rows are the training images, then the validation images, each in the order of their names; an
image without any object is no member.

References
----------
T.-Y. Lin, M. Maire, S. Belongie, J. Hays, P. Perona, D. Ramanan, P. Dollár, C. L. Zitnick,
"Microsoft COCO: Common objects in context", ECCV 2014.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.files.places import Place, tails
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_

PLACE = Place("mscoco", ("mscoco", "coco", "COCO_2014"), "cocodataset.org (2014 train and val)")
FOLDERS = {"train": "train2014", "val": "val2014"}
N_CLASSES = 80


def load_mscoco(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read which objects are in which image; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["mscoco"]``.
    options : LoadOptions
        Below its `data_root`: ``annotations/instances_{train,val}2014.json``, ``train2014`` and
        ``val2014``; or the papers' lists in place of the annotations.

    Returns
    -------
    Contents
        122,218 rows.

    Raises
    ------
    DatasetError
        If files are absent or are not COCO's.
    """
    if protocol.rule == "as listed":
        return PLACE.listed(protocol, options, lambda lists: tails(lists.names, "", "images/"))
    files = [f"annotations/instances_{folder}.json" for folder in FOLDERS.values()]
    root = PLACE.find(options.data_root, *files)
    names: list[str] = []
    labels: list[Tensor] = []
    parts: dict[str, Tensor] = {}
    classes: tuple[str, ...] = ()
    dropped = 0
    for (part, folder), file in zip(FOLDERS.items(), files, strict=True):
        classes, own, found = _instances(root / file)
        members = found.any(1)
        parts[part] = torch.arange(len(names), len(names) + int(members.sum()))
        names += [f"{folder}/{own[row]}" for row in members.nonzero()[:, 0].tolist()]
        labels.append(found[members])
        dropped += len(own) - len(parts[part])
    return Contents(
        labels=Labels.of(torch.cat(labels)),
        images=PLACE.images(root, ([prefix + n for n in names] for prefix in ("", "images/"))),
        parts=parts,
        classes=classes,
        notes=(f"{dropped:,} images without any object are left out",),
    )


def _instances(path: Path) -> tuple[tuple[str, ...], list[str], Tensor]:
    """Names of classes and images, and which classes are in which image, bool (N, C)."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            content = json.load(file, object_hook=_slim)
        categories = sorted(content["categories"], key=lambda category: int(category["id"]))
        images = sorted(content["images"], key=lambda image: str(image["file_name"]))
        column = {category["id"]: c for c, category in enumerate(categories)}
        row = {image["id"]: r for r, image in enumerate(images)}
        pairs = [(row[image], column[category]) for image, category in content["annotations"]]
        names = [str(image["file_name"]) for image in images]
        classes = tuple(str(category["name"]) for category in categories)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: not COCO's annotations of objects ({one_line(repr(error))}); unpack "
            "annotations_trainval2014.zip again"
        ) from error
    if len(classes) != N_CLASSES:
        raise DatasetError(f"{path}: expected {N_CLASSES} categories, found {len(classes)}")
    for name in names:
        if "/" in name or "\\" in name:
            raise DatasetError(f"{path}: image name {name!r} is not a name of a file alone")
    labels = torch.zeros(len(names), N_CLASSES, dtype=torch.bool)
    if pairs:
        labels[tuple(torch.tensor(pairs).T)] = True
    return classes, names, labels


def _slim(entry: dict[str, Any]) -> Any:
    """Keep image and class of an annotation; outlines fill most of the file, and memory."""
    if "image_id" in entry and "category_id" in entry:
        return entry["image_id"], entry["category_id"]
    return entry
