"""Handwritten digits, 1,797 grey images of 8 x 8 pixels: real data inside scikit-learn.

References
----------
E. Alpaydin and C. Kaynak, Cascading Classifiers, Kybernetika 34(4), 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from datasets.base import MemoryImages, RetrievalDataset
from datasets.protocols import Protocol_


def load_digits(protocol: Protocol_, data_root: Path | None = None) -> RetrievalDataset:
    """Load the digits; grey levels 0..16 become 0..255, the same in all three channels.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["digits"]``.
    data_root : Path or None
        Not used: the images come with scikit-learn.

    Returns
    -------
    RetrievalDataset
        1,797 rows.

    Examples
    --------
    >>> from datasets.protocols import PROTOCOLS
    >>> digits = load_digits(PROTOCOLS["digits"]["300-1497"])
    >>> digits.images.read(digits.query[:2]).shape
    torch.Size([2, 3, 8, 8])
    """
    from sklearn import datasets as sklearn_datasets

    bunch = sklearn_datasets.load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (N, 8, 8)
    images = torch.from_numpy(grey)[:, None].repeat(1, 3, 1, 1)
    labels = torch.nn.functional.one_hot(torch.from_numpy(bunch.target).long(), 10).bool()
    split = protocol.split(labels)
    return RetrievalDataset(
        "digits", protocol, MemoryImages(images), None, labels, **split._asdict()
    )
