"""How well the codes of two views of an image agree: a criterion that sees no label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.counts import Codes, evaluate
from benchmarks.evaluation.metrics import mean_average_precision
from benchmarks.evaluation.packing import PackedBits

AGREEMENT = "views.agreement"
"""Its name among the metrics of a record."""
VIEW_CODES = "view_codes"
"""Its codes among the arrays of a record, uint8, shape (2, N, bytes)."""


def view_agreement(codes: NDArray[np.uint8], n_bits: int) -> float:
    """Mean reciprocal rank of an image's second view, by its first, among those of all images.

    It is 1 where every image's second view is nearest to its first. Views at equal distance are in
    each order equally often: where all codes are equal, it is the mean of 1, 1/2, ..., 1/N.

    Parameters
    ----------
    codes : ndarray, uint8, shape (2, N, bytes)
        Packed codes of both views of N images.
    n_bits : int
        Code length K.

    Examples
    --------
    >>> view_agreement(np.array([[[0], [255]], [[1], [254]]], np.uint8), 8)
    1.0
    >>> view_agreement(np.zeros((2, 2, 1), np.uint8), 8)
    0.75
    """
    images = np.arange(codes.shape[1])  # each a class of its own
    one, other = (Codes(PackedBits(rows, n_bits), images) for rows in codes)
    return mean_average_precision(evaluate(one, other, device="cpu"))
