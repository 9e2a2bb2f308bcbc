"""CIFAR-10 in the hub's parquet form: 60,000 colour images of 32 x 32 pixels in 10 classes.

Rows are those of the train file, then those of the test file.

References
----------
A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

from datasets.contents import Contents, LoadOptions
from datasets.files.hub import HubFile, HubSource, fetch
from datasets.files.images import EncodedImages
from datasets.files.parquet import ParquetItems, read_parts
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_
from datasets.sources.class_tree import lcs_similarity, nested_tree

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


def load_cifar10(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the labels of CIFAR-10; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["cifar10"]``.
    options : LoadOptions
        Its `data_root` holds ``cifar10/train-00000-of-00001.parquet`` and
        ``cifar10/test-00000-of-00001.parquet``; None downloads them.

    Returns
    -------
    Contents
        60,000 rows.

    Raises
    ------
    DatasetError
        If a file is absent, corrupt, or not CIFAR-10.
    """
    files = fetch(CIFAR10, options.data_root)
    items = ParquetItems(files, "img")
    classes, parts = read_parts(files, PARTS, "label", len(CLASSES), options)
    return Contents(
        labels=Labels.one_each(classes, len(CLASSES)),
        images=EncodedImages(items, SIZE, exact=True),
        parts=parts,
        classes=CLASSES,
        published={"train": (5000,) * 10, "test": (1000,) * 10},
        hierarchy=lcs_similarity(nested_tree(WORDNET), CLASSES),
    )
