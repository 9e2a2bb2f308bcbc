"""PASCAL VOC 2012, the 11,540 images of its classification task with 20 kinds of objects.

Rows are the images of ``<class>_trainval.txt`` that show one class at least, in the order of their
names. An object that is marked as difficult alone (a 0 in the file) gives no label.

References
----------
M. Everingham, S. M. A. Eslami, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman, "The PASCAL
visual object classes challenge: A retrospective", IJCV 2015.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.files.places import Place, tails
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_

PLACE = Place(
    "voc2012",
    ("voc2012", "VOC2012"),
    "host.robots.ox.ac.uk/pascal/VOC/voc2012 (VOCtrainval_11-May-2012.tar)",
)
# Images of each class in the complete set.
CLASSES = {
    **{"aeroplane": 670, "bicycle": 552, "bird": 765, "boat": 508, "bottle": 706, "bus": 421},
    **{"car": 1161, "cat": 1080, "chair": 1119, "cow": 303, "diningtable": 538, "dog": 1286},
    **{"horse": 482, "motorbike": 526, "person": 4087, "pottedplant": 527, "sheep": 325},
    **{"sofa": 507, "train": 544, "tvmonitor": 575},
}
DEVKIT = "VOCdevkit/VOC2012"


def load_voc2012(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read which classes are in which image; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["voc2012"]``.
    options : LoadOptions
        Below its `data_root`: ``VOCdevkit/VOC2012`` with ``ImageSets/Main/<class>_trainval.txt``
        and ``JPEGImages``; or the papers' lists in place of the image sets.

    Returns
    -------
    Contents
        11,540 rows.

    Raises
    ------
    DatasetError
        If files are absent or are not VOC's.
    """
    published = {"all": tuple(CLASSES.values())}
    if protocol.rule == "as listed":
        contents = PLACE.listed(protocol, options, lambda lists: tails(lists.names, ""))
        return replace(contents, classes=tuple(CLASSES), published=published)
    sets = [f"{DEVKIT}/ImageSets/Main/{name}_trainval.txt" for name in CLASSES]
    root = PLACE.find(options.data_root, *sets)
    shown = [_shown(root / path) for path in sets]
    names = sorted(set().union(*shown))
    labels = torch.tensor([[name in of_class for of_class in shown] for name in names])
    paths = [f"{DEVKIT}/JPEGImages/{name}.jpg" for name in names]
    return Contents(
        labels=Labels.of(labels),
        images=PLACE.images(root, [paths]),
        classes=tuple(CLASSES),
        published=published,
    )


def _shown(path: Path) -> set[str]:
    """Names of the images that show a class: lines ``name 1``, not ``name 0`` or ``name -1``."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)})") from error
    shown = set()
    for number, line in enumerate(lines, start=1):
        name, _, flag = line.strip().partition(" ")
        if flag.strip() not in ("1", "0", "-1") or "/" in name or "\\" in name:
            raise DatasetError(
                f"{path} line {number}: expected an image's name and 1, 0 or -1, got {line!r}"
            )
        if flag.strip() == "1":
            shown.add(name)
    return shown
