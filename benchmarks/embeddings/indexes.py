"""What is timed: indexes over stored codes, and what stands beside them over the vectors.

Each has a parameter that trades recall for speed, whose values are measured apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.neighbours import Distance
from benchmarks.models.binary_index import binary_index

SETTINGS: dict[str, tuple[str, tuple[int, ...]]] = {
    "flat": ("", ()),
    "hnsw": ("hnsw.efSearch", (16, 64, 256)),
    "ivf": ("nprobe", (1, 4, 16)),
    "multihash": ("nflip", (0, 1, 2)),
}
"""Of each kind of index over codes, the attribute of faiss that is turned, and its values."""
FLOAT, PQ4 = "float flat", "4-bit PQ fast scan"
"""Indexes over the vectors: all are compared in full; and as codes of 4 bits a part."""


@dataclass(frozen=True)
class Built:
    """An index that can be searched.

    Attributes
    ----------
    kind : str
        Key of `SETTINGS`, or one of `FLOAT` and `PQ4`.
    search : callable
        From queries and a number of candidates to their rows, -1 where it found fewer.
    seconds : float
        That building took.
    size : int
        Bytes, as it is written to a file.
    turn : callable
        Sets the parameter.
    settings : tuple of int
        Its values; none where there is no parameter.
    parameter : str
    """

    kind: str
    search: Callable[[NDArray[Any], int], NDArray[np.int64]]
    seconds: float
    size: int
    turn: Callable[[int], None] = lambda _: None
    settings: tuple[int, ...] = ()
    parameter: str = ""


def over_codes(codes: NDArray[np.uint8]) -> Iterator[Built]:
    """Yield an index of each kind over packed codes, uint8 (N, ceil(K / 8))."""
    import faiss

    for kind, (attribute, values) in SETTINGS.items():
        started = time.perf_counter()
        index = binary_index(kind, 8 * codes.shape[1], len(codes))
        if not index.is_trained:
            index.train(codes)
        index.add(codes)
        seconds = time.perf_counter() - started
        size = len(faiss.serialize_index_binary(index))
        *path, name = attribute.split(".")
        yield Built(kind, _rows(index), seconds, size, _turning(index, path, name), values, name)


def over_vectors(
    vectors: NDArray[np.float32], bits: tuple[int, ...], distance: Distance
) -> Iterator[tuple[int, Built]]:
    """Yield the size in bits of an item, and an index over vectors that are `comparable`.

    The quantiser rotates the vectors at random first, into as many dimensions as its parts of 4
    bits divide; lengths of fewer dimensions than parts have none.
    """
    import faiss

    metric = faiss.METRIC_INNER_PRODUCT if distance == "ip" else faiss.METRIC_L2
    n, width = vectors.shape
    flat = faiss.IndexFlat(width, metric)
    yield 32 * width, _built(FLOAT, flat, vectors)
    for size in bits:
        parts = size // 4
        turned = math.ceil(width / parts) * parts
        if size % 8 == 0 and parts <= width and n >= 16:  # centroids of a part
            made = f"RR{turned},PQ{parts}x4fs"
            yield size, _built(PQ4, faiss.index_factory(width, made, metric), vectors)


def comparable(vectors: NDArray[Any], distance: Distance) -> NDArray[np.float32]:
    """Return vectors, float32 (N, D), whose squared distance or product ranks as `distance` does.

    Those of the cosine are scaled to unit length.
    """
    x = np.ascontiguousarray(vectors, dtype=np.float32)
    if distance != "cosine":
        return x
    norms: NDArray[np.float32] = np.linalg.norm(x, axis=1, keepdims=True)
    return x / norms


def _built(kind: str, index: Any, vectors: NDArray[np.float32]) -> Built:
    import faiss

    started = time.perf_counter()
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    seconds = time.perf_counter() - started
    return Built(kind, _rows(index), seconds, len(faiss.serialize_index(index)))


def _rows(index: Any) -> Callable[[NDArray[Any], int], NDArray[np.int64]]:
    def search(queries: NDArray[Any], n: int) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = index.search(queries, n)[1]
        return rows

    return search


def _turning(index: Any, path: list[str], name: str) -> Callable[[int], None]:
    def turn(value: int) -> None:
        of = index
        for step in path:
            of = getattr(of, step)
        setattr(of, name, value)

    return turn
