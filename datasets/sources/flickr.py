"""MIRFlickr-25K: 25,000 photographs from Flickr with 24 labels, 14 of them also in a strict sense.

Rows are ``im1.jpg`` to ``im25000.jpg``. An image has a label if it may be said to show it
(``sea.txt``); for 14 labels a second file lists the images that mainly do (``sea_r1.txt``). The
protocols of 24 labels know the first kind, those of 38 labels count both.

24,581 images have one of the 24 labels. The 20,015 of some papers also had to have frequent tags
as text, so no annotation tells which they are: their lists do.

References
----------
M. J. Huiskes, M. S. Lew, "The MIR Flickr retrieval evaluation", MIR 2008.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.files.places import Place, tails
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_

PLACE = Place(
    "flickr25k",
    ("flickr25k", "mirflickr25k", "mirflickr"),
    "press.liacs.nl/mirflickr (mirflickr25k.zip, mirflickr25k_annotations_v080.zip)",
)
N_IMAGES = 25_000
# Items of each label in the complete set.
POTENTIAL = {
    **{"animals": 3216, "baby": 259, "bird": 742, "car": 1177, "clouds": 3700, "dog": 684},
    **{"female": 6184, "flower": 1823, "food": 990, "indoor": 8313, "lake": 791, "male": 6081},
    **{"night": 2711, "people": 10_373, "plant_life": 8763, "portrait": 3931, "river": 894},
    **{"sea": 1322, "sky": 7912, "structures": 9992, "sunset": 2135, "transport": 2895},
    **{"tree": 4683, "water": 3331},
}
RELEVANT = {
    **{"baby_r1": 116, "bird_r1": 484, "car_r1": 380, "clouds_r1": 1350, "dog_r1": 590},
    **{"female_r1": 3982, "flower_r1": 1077, "male_r1": 3647, "night_r1": 669},
    **{"people_r1": 7849, "portrait_r1": 3829, "river_r1": 149, "sea_r1": 214, "tree_r1": 668},
}
ALL_38 = dict(sorted({**POTENTIAL, **RELEVANT}.items()))  # the order of the lists' columns
ANNOTATIONS = ("annotations", "mirflickr25k_annotations_v080")
PREFIXES = ("mirflickr/", "images/", "")


def load_flickr25k(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the labels; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["flickr25k"]``.
    options : LoadOptions
        Below its `data_root`: ``annotations/<label>.txt`` and ``mirflickr/im<number>.jpg``; or the
        papers' lists in place of the annotations.

    Returns
    -------
    Contents
        25,000 rows, 24 labels; or what the lists have.

    Raises
    ------
    DatasetError
        If files are absent or are not MIRFlickr's.
    """
    if protocol.rule == "as listed":
        return _listed(protocol, options)
    folder = _annotations(options.data_root)
    names = [f"im{number}.jpg" for number in range(1, N_IMAGES + 1)]
    labels = torch.stack([_marked(folder / f"{label}.txt") for label in POTENTIAL], dim=1)
    return Contents(
        labels=Labels.of(labels),
        images=PLACE.images(folder.parent, ([prefix + n for n in names] for prefix in PREFIXES)),
        classes=tuple(POTENTIAL),
        published={"all": tuple(POTENTIAL.values())},
    )


def _listed(protocol: Protocol_, options: LoadOptions) -> Contents:
    contents = PLACE.listed(protocol, options, lambda lists: tails(lists.names, "", *PREFIXES[:2]))
    if contents.labels.n_classes != len(ALL_38):
        return contents
    return replace(contents, classes=tuple(ALL_38), published={"all": tuple(ALL_38.values())})


def _annotations(data_root: Path | None) -> Path:
    """Folder of the annotations, under either name."""
    for name in ANNOTATIONS:
        for root in PLACE.candidates(data_root):
            if (root / name).is_dir():
                PLACE.find(data_root, *(f"{name}/{label}.txt" for label in POTENTIAL))
                return root / name
    return PLACE.find(data_root, ANNOTATIONS[0]) / ANNOTATIONS[0]


def _marked(path: Path) -> Tensor:
    """Images whose numbers, from 1 on, a file lists; bool (25,000,)."""
    try:
        numbers = [int(line) for line in path.read_text(encoding="utf-8-sig").split()]
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: expected the number of an image a line ({one_line(error)})"
        ) from error
    wrong = next((n for n in numbers if not 1 <= n <= N_IMAGES), None)
    if wrong is not None:
        raise DatasetError(f"{path}: image numbers are 1..{N_IMAGES}, found {wrong}")
    marked = torch.zeros(N_IMAGES, dtype=torch.bool)
    marked[torch.tensor(numbers, dtype=torch.int64) - 1] = True
    return marked
