"""Tiny ImageNet in the hub's parquet form: 110,000 images of 64 x 64 pixels in 200 classes.

Rows are those of the train file, then those of the valid file, whose images are the queries: the
labels of the test images were never published. A network trained with ImageNet's labels has seen
these classes, and many of these images at full size.

References
----------
Y. Le and X. Yang, "Tiny ImageNet visual recognition challenge", Stanford CS 231N, 2015.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.files.hub import HubFile, HubSource, fetch
from datasets.files.images import EncodedImages
from datasets.files.parquet import ParquetItems, class_names, read_parts
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_
from datasets.sources.published_trees import ILSVRC, tree_similarity

TINY_IMAGENET = HubSource(
    name="tiny_imagenet",
    repo="zh-plus/tiny-imagenet",
    revision="5a77092c28e51558c5586e9c5eb71a7e17a5e43f",
    files=(
        HubFile("data/train-00000-of-00001-1359597a978bc4fa.parquet"),
        HubFile("data/valid-00000-of-00001-70d52db3c749a935.parquet"),
    ),
)
PARTS = {"train": 100_000, "test": 10_000}  # rows of each file, in the order of `files`
_IDS = """
n01443537 n01629819 n01641577 n01644900 n01698640 n01742172 n01768244 n01770393 n01774384 n01774750
n01784675 n01855672 n01882714 n01910747 n01917289 n01944390 n01945685 n01950731 n01983481 n01984695
n02002724 n02056570 n02058221 n02074367 n02085620 n02094433 n02099601 n02099712 n02106662 n02113799
n02123045 n02123394 n02124075 n02125311 n02129165 n02132136 n02165456 n02190166 n02206856 n02226429
n02231487 n02233338 n02236044 n02268443 n02279972 n02281406 n02321529 n02364673 n02395406 n02403003
n02410509 n02415577 n02423022 n02437312 n02480495 n02481823 n02486410 n02504458 n02509815 n02666196
n02669723 n02699494 n02730930 n02769748 n02788148 n02791270 n02793495 n02795169 n02802426 n02808440
n02814533 n02814860 n02815834 n02823428 n02837789 n02841315 n02843684 n02883205 n02892201 n02906734
n02909870 n02917067 n02927161 n02948072 n02950826 n02963159 n02977058 n02988304 n02999410 n03014705
n03026506 n03042490 n03085013 n03089624 n03100240 n03126707 n03160309 n03179701 n03201208 n03250847
n03255030 n03355925 n03388043 n03393912 n03400231 n03404251 n03424325 n03444034 n03447447 n03544143
n03584254 n03599486 n03617480 n03637318 n03649909 n03662601 n03670208 n03706229 n03733131 n03763968
n03770439 n03796401 n03804744 n03814639 n03837869 n03838899 n03854065 n03891332 n03902125 n03930313
n03937543 n03970156 n03976657 n03977966 n03980874 n03983396 n03992509 n04008634 n04023962 n04067472
n04070727 n04074963 n04099969 n04118538 n04133789 n04146614 n04149813 n04179913 n04251144 n04254777
n04259630 n04265275 n04275548 n04285008 n04311004 n04328186 n04356056 n04366367 n04371430 n04376876
n04398044 n04399382 n04417672 n04456115 n04465501 n04486054 n04487081 n04501370 n04507155 n04532106
n04532670 n04540053 n04560804 n04562935 n04596742 n04597913 n06596364 n07579787 n07583066 n07614500
n07615774 n07695742 n07711569 n07715103 n07720875 n07734744 n07747607 n07749582 n07753592 n07768694
n07871810 n07873807 n07875152 n07920052 n09193705 n09246464 n09256479 n09332890 n09428293 n12267677
"""
CLASSES = tuple(_IDS.split())
"""WordNet 3.0 ids of the classes, as in ILSVRC, in their order."""
# The hub's copy has the ids of another WordNet for these, and numbers its classes by those.
OTHER_IDS = {
    **{"n02666347": "n02666196", "n03373237": "n02190166", "n04465666": "n04465501"},
    **{"n04598010": "n04597913", "n07056680": "n04067472", "n07646821": "n01855672"},
    **{"n07647870": "n03250847", "n07657664": "n07579787", "n07975909": "n02206856"},
    **{"n08496334": "n02730930", "n08620881": "n03976657", "n08742578": "n02085620"},
    **{"n12520864": "n02906734", "n13001041": "n07734744", "n13652335": "n03804744"},
    **{"n13652994": "n02999410", "n13719102": "n01945685", "n14991210": "n07747607"},
}
HUB_CLASSES = tuple(sorted({*CLASSES} - {*OTHER_IDS.values()} | {*OTHER_IDS}))
"""The ids of the hub's copy in the order of its class numbers."""
SIZE = 64  # pixels


def load_tiny_imagenet(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the labels of Tiny ImageNet; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["tiny_imagenet"]``.
    options : LoadOptions
        Its `data_root` holds ``tiny_imagenet/train-00000-of-00001.parquet`` and
        ``tiny_imagenet/valid-00000-of-00001.parquet``, by these names or by those of the hub; None
        downloads them. A file without names of classes is taken to number those of ILSVRC.

    Returns
    -------
    Contents
        110,000 rows, labelled in the order of `CLASSES`, and the similarity of classes in
        WordNet's tree.

    Raises
    ------
    DatasetError
        If a file is absent, corrupt, or of another size.
    """
    files = fetch(TINY_IMAGENET, options.data_root)
    numbers, parts = read_parts(files, PARTS, "label", len(CLASSES), options)
    for file, rows in zip(files, parts.values(), strict=True):
        numbers[rows] = _numbering(file.path, options)[numbers[rows]]
    hierarchy, notes = tree_similarity(ILSVRC, "tiny_imagenet", CLASSES, options)
    return Contents(
        labels=Labels.one_each(numbers, len(CLASSES)),
        images=EncodedImages(ParquetItems(files, "image"), SIZE, exact=True),
        parts=parts,
        classes=CLASSES,
        published={"train": (500,) * 200, "test": (50,) * 200},
        hierarchy=hierarchy,
        notes=notes,
    )


def _numbering(path: Path, options: LoadOptions) -> Tensor:
    """Position in `CLASSES` of each class that a file numbers, int64 (200,)."""
    unstated = CLASSES if options.data_root else HUB_CLASSES
    names = class_names(path, "label") or unstated
    ids = [OTHER_IDS.get(name, name) for name in names]
    if sorted(ids) != sorted(CLASSES):
        wrong = sorted({*ids} - {*CLASSES}) or ["fewer"]
        raise DatasetError(
            f"{path}: expected the {len(CLASSES)} classes of Tiny ImageNet by WordNet id, "
            f"got {len(names)}, among them {wrong[0]}"
        )
    return torch.tensor([CLASSES.index(name) for name in ids])
