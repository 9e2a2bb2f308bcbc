"""MNIST and Fashion-MNIST in the hub's parquet form: 70,000 grey images of 28 x 28 pixels each.

Rows are those of the train file, then those of the test file.

References
----------
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86, 1998.
H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv 1708.07747, 2017.
"""

from __future__ import annotations

from collections.abc import Mapping

from datasets.contents import Contents, LoadOptions
from datasets.files.hub import HubFile, HubSource, fetch
from datasets.files.images import EncodedImages
from datasets.files.parquet import ParquetItems, read_parts
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_

MNIST = HubSource(
    name="mnist",
    repo="ylecun/mnist",
    revision="77f3279092a1c1579b2250db8eafed0ad422088c",
    files=(
        HubFile(
            "mnist/train-00000-of-00001.parquet",
            "f2c01285a9f89399335b00ee4e8d499dc4e46db5e39c74903ce5618d895eb3bf",
        ),
        HubFile(
            "mnist/test-00000-of-00001.parquet",
            "d49fcf556ce25b002b302e318ce4a11098bbfe5d4499c3f35d7c72297c52374b",
        ),
    ),
)
FASHION_MNIST = HubSource(
    name="fashion_mnist",
    repo="zalando-datasets/fashion_mnist",
    revision="531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
    files=(
        HubFile("fashion_mnist/train-00000-of-00001.parquet"),
        HubFile("fashion_mnist/test-00000-of-00001.parquet"),
    ),
)
PARTS = {"train": 60_000, "test": 10_000}  # rows of each file, in the order of `files`
DIGITS = tuple("0123456789")
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
# Digits of each value in MNIST; Fashion-MNIST has equally many of each class.
N_TRAIN = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
N_TEST = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
SIZE = 28  # pixels


def load_mnist(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the labels of MNIST; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["mnist"]``.
    options : LoadOptions
        Its `data_root` holds ``mnist/train-00000-of-00001.parquet`` and
        ``mnist/test-00000-of-00001.parquet``; None downloads them.

    Returns
    -------
    Contents
        70,000 rows.

    Raises
    ------
    DatasetError
        If a file is absent, corrupt, or of another size.
    """
    return _load(MNIST, DIGITS, {"train": N_TRAIN, "test": N_TEST}, options)


def load_fashion_mnist(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the labels of Fashion-MNIST, as `load_mnist` does; its folder is ``fashion_mnist``."""
    published = {"train": (6000,) * 10, "test": (1000,) * 10}
    return _load(FASHION_MNIST, CLOTHES, published, options)


def _load(
    source: HubSource,
    classes: tuple[str, ...],
    published: Mapping[str, tuple[int, ...]],
    options: LoadOptions,
) -> Contents:
    files = fetch(source, options.data_root)
    numbers, parts = read_parts(files, PARTS, "label", len(classes), options)
    return Contents(
        labels=Labels.one_each(numbers, len(classes)),
        images=EncodedImages(ParquetItems(files, "image"), SIZE, exact=True),
        parts=parts,
        classes=classes,
        published=published,
    )
