"""Hash features with NumPy alone: no torch, no HashBench.

    python encode.py FEATURES.npy CODES.npy

It reads ``head.npz`` beside it. Features are numbers (N, D) as the model's backbone gives them;
codes are uint8 (N, ceil(K / 8)), the first bit of a code the highest of its first byte.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Head = dict[str, NDArray[Any]]

HEAD = Path(__file__).with_name("head.npz")
ROWS = 8192  # at a time


def read_head(path: Path = HEAD) -> Head:
    """Return the layers of the head: the mean to take off, then matrices (out, in) and offsets."""
    with np.load(path, allow_pickle=False) as head:
        return {name: head[name] for name in head.files}


def scores(features: NDArray[Any], head: Head) -> NDArray[Any]:
    """Give real values of features, float32 (N, D) -> (N, K)."""
    x: NDArray[Any] = np.asarray(features, np.float32)
    if x.ndim != 2 or x.shape[1] != head["mean"].size:
        raise ValueError(f"expected features (N, {head['mean'].size}), got {x.shape}")
    x = x - head["mean"]
    n_layers = sum(name.startswith("weight") for name in head)
    for layer in range(n_layers):
        x = x @ head[f"weight{layer}"].T + head[f"bias{layer}"]
        if layer < n_layers - 1:
            x = np.maximum(x, 0)
    return x


def encode(features: NDArray[Any], head: Head | None = None) -> NDArray[np.uint8]:
    """Pack codes of features, float (N, D) -> uint8 (N, ceil(K / 8)); a bit is score > 0."""
    head = read_head() if head is None else head
    parts = [
        np.packbits(scores(features[i : i + ROWS], head) > 0, axis=1)
        for i in range(0, len(features), ROWS)
    ]
    return np.concatenate(parts) if parts else np.empty((0, 0), np.uint8)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python encode.py FEATURES.npy CODES.npy")
    np.save(sys.argv[2], encode(np.load(sys.argv[1], allow_pickle=False)), allow_pickle=False)
