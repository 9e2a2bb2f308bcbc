"""NUS-WIDE: 269,648 photographs from Flickr, tagged by hand with 81 concepts.

`nuswide81` has the images with at least one concept, `nuswide21` those with at least one of the 21
most frequent concepts. Rows are in the order of ``ImageList/Imagelist.txt``.

References
----------
T.-S. Chua, J. Tang, R. Hong, H. Li, Z. Luo, Y. Zheng, "NUS-WIDE: A real-world web image database
from National University of Singapore", CIVR 2009.
"""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.files.places import Place, tails
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_

PAGE = "lms.comp.nus.edu.sg/research/NUS-WIDE.htm (github.com/NExTplusplus/NUS-WIDE)"
FREQUENT = (
    *("animal", "beach", "buildings", "clouds", "flowers", "grass", "lake", "mountain", "ocean"),
    *("person", "plants", "reflection", "road", "rocks", "sky", "snow", "sunset", "tree"),
    *("vehicle", "water", "window"),
)
N_CONCEPTS = 81
IMAGES, CONCEPTS = "ImageList/Imagelist.txt", "Groundtruth/AllLabels"
PREFIXES = ("Flickr/", "images/", "")


def load_nuswide21(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the images with one of the 21 most frequent concepts, 195,834 rows; see `_load`."""
    return _load(Place("nuswide21", ("nuswide21", "nuswide", "NUS-WIDE"), PAGE), protocol, options)


def load_nuswide81(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the images with one of all 81 concepts, 209,347 rows; see `_load`."""
    return _load(Place("nuswide81", ("nuswide81", "nuswide", "NUS-WIDE"), PAGE), protocol, options)


def _load(place: Place, protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the official files, or the papers' lists where the protocol is one of lists.

    Parameters
    ----------
    place : Place
        Of `nuswide21` or `nuswide81`.
    protocol : Protocol_
    options : LoadOptions
        Below its `data_root`: ``Groundtruth/AllLabels/Labels_<concept>.txt``,
        ``ImageList/Imagelist.txt`` and the images in ``Flickr`` or ``images``; or lists.

    Raises
    ------
    DatasetError
        If files are absent or do not belong together.
    """
    if protocol.rule == "as listed":
        return place.listed(protocol, options, lambda lists: tails(lists.names, "", *PREFIXES[:2]))
    root = place.find(options.data_root, IMAGES, CONCEPTS)
    concepts = FREQUENT if place.name == "nuswide21" else _all_concepts(root)
    place.find(options.data_root, *(_file(concept) for concept in concepts))
    names = _image_list(root / IMAGES)
    labels = np.stack([_flags(root / _file(c), len(names)) for c in concepts], axis=1)
    members = np.flatnonzero(labels.any(1))
    paths = [names[row] for row in members.tolist()]
    if not paths:
        raise DatasetError(f"{root / CONCEPTS}: no image has any of the {len(concepts)} concepts")
    readings = ([prefix + path for path in paths] for prefix in PREFIXES)
    return Contents(
        labels=Labels.of(torch.from_numpy(labels[members])),
        images=place.images(root, readings),
        classes=concepts,
        notes=(f"{len(names) - len(paths):,} of {len(names):,} images have none of the concepts",),
    )


def _file(concept: str) -> str:
    return f"{CONCEPTS}/Labels_{concept}.txt"


def _all_concepts(root: Path) -> tuple[str, ...]:
    """Concepts that there is a file for, in the order of the alphabet."""
    found = (path.stem.removeprefix("Labels_") for path in (root / CONCEPTS).glob("Labels_*.txt"))
    concepts = tuple(sorted(found))
    if len(concepts) != N_CONCEPTS:
        raise DatasetError(
            f"{root / CONCEPTS}: expected {N_CONCEPTS} files Labels_<concept>.txt, found "
            f"{len(concepts)}; unpack Groundtruth.zip again"
        )
    return concepts


def _image_list(path: Path) -> list[str]:
    names = _read(path).decode(errors="replace").replace("\\", "/").split()
    for line, name in enumerate(names, start=1):
        if name.startswith("/") or (".." in name and ".." in name.split("/")):
            raise DatasetError(f"{path} line {line}: {name} leaves its folder; '..' is refused")
    return names


def _flags(path: Path, n_images: int) -> NDArray[np.bool_]:
    """Read a 0 or 1 for each image, bool (n_images,)."""
    content = np.frombuffer(_read(path), np.uint8)
    flags = content[content > ord(" ")]  # all but line ends and blanks
    wrong = (flags != ord("0")) & (flags != ord("1"))
    if wrong.any():
        line = 1 + np.count_nonzero(
            content[: np.flatnonzero(content > ord(" "))[wrong.argmax()]] == 10
        )
        raise DatasetError(f"{path} line {line}: expected 0 or 1, got {chr(flags[wrong][0])!r}")
    if len(flags) != n_images:
        raise DatasetError(
            f"{path}: {len(flags):,} flags for the {n_images:,} images of {IMAGES}; "
            "the files are of different copies"
        )
    return np.equal(flags, ord("1"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)})") from error
