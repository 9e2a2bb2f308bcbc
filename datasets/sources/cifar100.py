"""CIFAR-100 in the hub's parquet form: 60,000 colour images of 32 x 32 pixels.

Each image has one of 100 fine labels, five of which make one of 20 coarse labels. Rows are those
of the train file, then those of the test file.

References
----------
A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.files.hub import HubFile, HubSource, fetch
from datasets.files.images import EncodedImages
from datasets.files.parquet import ParquetItems, read_parts
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_
from datasets.sources.published_trees import CIFAR100 as TREE
from datasets.sources.published_trees import tree_similarity

CIFAR100 = HubSource(
    name="cifar100",
    repo="uoft-cs/cifar100",
    revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
    files=(
        HubFile(
            "cifar100/train-00000-of-00001.parquet",
            "694865d6b990e234804f01268586c41e88bcbbb75e20858432c05ad4081aca23",
        ),
        HubFile(
            "cifar100/test-00000-of-00001.parquet",
            "98776c529bb146a9c791229df74a5cf076be9b43d82dbbd334b6a7788d73dc68",
        ),
    ),
)
PARTS = {"train": 50_000, "test": 10_000}  # rows of each file, in the order of `files`
COARSE = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
"""The 20 coarse classes in the order of their numbers, and the fine ones of each."""
FINE = tuple(sorted(" ".join(COARSE.values()).split()))
"""The 100 fine classes in the order of their numbers."""
SIZE = 32  # pixels


def load_cifar100(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the labels of CIFAR-100, fine or coarse; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["cifar100"]``; those named ``coarse-...`` take the coarse labels.
    options : LoadOptions
        Its `data_root` holds ``cifar100/train-00000-of-00001.parquet`` and
        ``cifar100/test-00000-of-00001.parquet``; None downloads them.

    Returns
    -------
    Contents
        60,000 rows; with fine labels also the similarity of classes in a tree.

    Raises
    ------
    DatasetError
        If a file is absent, corrupt, or not CIFAR-100.
    """
    files = fetch(CIFAR100, options.data_root)
    images = EncodedImages(ParquetItems(files, "img"), SIZE, exact=True)
    fine, parts = read_parts(files, PARTS, "fine_label", len(FINE), options)
    coarse, _ = read_parts(files, PARTS, "coarse_label", len(COARSE), options)
    _require_nested(fine, coarse)
    if protocol.name.startswith("coarse-"):
        return Contents(
            labels=Labels.one_each(coarse, len(COARSE)),
            images=images,
            parts=parts,
            classes=tuple(COARSE),
            published={"train": (2500,) * 20, "test": (500,) * 20},
        )
    leaves = [str(number) for number in range(len(FINE))]
    hierarchy, notes = tree_similarity(TREE, "cifar100", leaves, options)
    return Contents(
        labels=Labels.one_each(fine, len(FINE)),
        images=images,
        parts=parts,
        classes=FINE,
        published={"train": (500,) * 100, "test": (100,) * 100},
        hierarchy=hierarchy,
        notes=notes,
    )


def _require_nested(fine: Tensor, coarse: Tensor) -> None:
    """Refuse labels that are numbered otherwise: the tree goes by these numbers."""
    above = {name: i for i, names in enumerate(COARSE.values()) for name in names.split()}
    expected = torch.tensor([above[name] for name in FINE])[fine]
    wrong = coarse != expected
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        raise DatasetError(
            f"cifar100: row {row} has fine_label {int(fine[row])} ({FINE[fine[row]]}), whose "
            f"coarse_label is {int(expected[row])}, got {int(coarse[row])}; number the labels as "
            "the published copy does"
        )
