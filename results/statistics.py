"""Spread over seeds."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


def mean_interval(
    mean: np.ndarray, std: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Student-t interval of a mean, 95 %, over n independent values.

    Parameters
    ----------
    mean, std : ndarray, float64, shape (M,)
        Sample mean and sample standard deviation (n - 1 in the denominator).
    n : ndarray, int64, shape (M,)
        Number of values.

    Returns
    -------
    low, high : ndarray, float64, shape (M,)
        NaN where n is 1: one value has no spread.

    Examples
    --------
    >>> low, high = mean_interval(np.array([2.0]), np.array([1.0]), np.array([3]))
    >>> print(low.round(3), high.round(3))
    [-0.484] [4.484]
    """
    degrees = np.where(n > 1, n - 1, 1)
    quantile = stdtrit(degrees, (1 + CONFIDENCE) / 2)
    half = np.where(n > 1, quantile * std / np.sqrt(n), np.nan)
    return mean - half, mean + half
