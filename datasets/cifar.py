"""CIFAR-10 in the hub's parquet form: 60,000 colour images of 32 x 32 pixels in 10 classes.

Rows are those of the train file, then those of the test file.

References
----------
A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

from pathlib import Path

import torch

from datasets.base import DatasetError, RetrievalDataset
from datasets.hierarchy import lcs_similarity, nested_tree
from datasets.hub import HubFile, HubSource, fetch
from datasets.parquet import ParquetImages, read_classes
from datasets.protocols import Protocol_

CIFAR10 = HubSource(
    name="cifar10",
    repo="uoft-cs/cifar10",
    revision="0b2714987fa478483af9968de7c934580d0bb9a2",
    files=(
        HubFile(
            "plain_text/train-00000-of-00001.parquet",
            "8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883",
        ),
        HubFile(
            "plain_text/test-00000-of-00001.parquet",
            "841389e6f2d64f28bf17310e430aebac20ec3ba611a3c5e231dc93c645ce84de",
        ),
    ),
)
PARTS = {"train": 50_000, "test": 10_000}  # rows of each file, in the order of `files`
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
# The hypernyms of WordNet 3.0 (Princeton University) that set the classes apart.
WORDNET: dict[str, object] = {
    "vehicle": {
        "craft": {"airplane": {}, "ship": {}},
        "motor vehicle": {"automobile": {}, "truck": {}},
    },
    "vertebrate": {
        "bird": {},
        "frog": {},
        "placental": {
            "carnivore": {"cat": {}, "dog": {}},
            "ungulate": {"deer": {}, "horse": {}},
        },
    },
}
SIZE = 32  # pixels


def load_cifar10(protocol: Protocol_, data_root: Path | None) -> RetrievalDataset:
    """Load CIFAR-10; the images are decoded when the first is read.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["cifar10"]``.
    data_root : Path or None
        Folder that holds ``cifar10/train-00000-of-00001.parquet`` and
        ``cifar10/test-00000-of-00001.parquet``; None downloads them.

    Returns
    -------
    RetrievalDataset
        60,000 rows.

    Raises
    ------
    DatasetError
        If a file is absent, corrupt, or not CIFAR-10.
    """
    files = fetch(CIFAR10, data_root)
    images = ParquetImages(files, "img", SIZE)
    classes, parts, start = [], {}, 0
    for (part, n_rows), file in zip(PARTS.items(), files, strict=True):
        classes.append(read_classes(file.path, "label", len(CLASSES)))
        if len(classes[-1]) != n_rows:
            raise DatasetError(f"{file.path}: expected {n_rows} rows, got {len(classes[-1])}")
        parts[part] = torch.arange(start, start + n_rows)
        start += n_rows
    labels = torch.nn.functional.one_hot(torch.cat(classes), len(CLASSES)).bool()
    split = protocol.split(labels, parts)
    hierarchy = lcs_similarity(nested_tree(WORDNET), CLASSES)
    return RetrievalDataset(
        "cifar10", protocol, images, None, labels, **split._asdict(), hierarchy=hierarchy
    )
