"""Curves of several runs as one: the mean over seeds, point by point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from results.store.record import RunRecord

Points = NDArray[np.float64]


def mean_curve(runs: Sequence[RunRecord], curve: str, names: Sequence[str]) -> Points | None:
    """Return the lists `names` of a curve, float64, shape (len(names), P), averaged over runs.

    Radii at which every ball is empty are left out. Runs whose lists are longer or shorter than
    those of the first do not count. None without any run.
    """
    curves = [run.curves[curve] for run in runs if set(names) <= set(run.curves.get(curve, ()))]
    points = [np.array([of_run[name] for name in names], dtype=np.float64) for of_run in curves]
    same = [p for p in points if p.shape == points[0].shape]
    if not same:
        return None
    mean: Points = np.mean(same, axis=0)
    values = mean[[name != "radius" for name in names]]
    return mean[:, values.any(axis=0)]
