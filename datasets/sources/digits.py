"""Handwritten digits, 1,797 grey images of 8 x 8 pixels: real data inside scikit-learn.

References
----------
E. Alpaydin and C. Kaynak, Cascading Classifiers, Kybernetika 34(4), 1998.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from datasets.contents import Contents, LoadOptions
from datasets.image_source import MemoryImages
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_


def load_digits(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Load the digits; grey levels 0..16 become 0..255, the same in all three channels.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["digits"]``.
    options : LoadOptions
        Not used: the images come with scikit-learn.

    Returns
    -------
    Contents
        1,797 rows.
    """
    table = np.loadtxt(_file(), delimiter=",")  # (N, 65): the pixels, then the digit
    grey = np.rint(table[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = torch.from_numpy(grey)[:, None].repeat(1, 3, 1, 1)
    labels = Labels.one_each(torch.from_numpy(table[:, 64]).long(), 10)
    return Contents(labels, MemoryImages(images), classes=tuple("0123456789"))


def _file() -> Path:
    """Find the table that `sklearn.datasets.load_digits` reads; importing that takes a second."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets/data/digits.csv.gz"
