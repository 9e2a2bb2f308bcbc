"""What is relevant under a protocol of neighbours: given by the data set, or found and kept."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
from pathlib import Path

import safetensors
import safetensors.numpy
from torch import Tensor

from benchmarks.evaluation import neighbours
from benchmarks.evaluation.neighbours import DISTANCES, Neighbours, find_neighbours
from benchmarks.evaluation.scoring import most_neighbours
from datasets.base import RetrievalDataset
from datasets.digests import code_digest, tensor_digest
from datasets.errors import DatasetError
from datasets.features import Features
from datasets.progress import Progress, silent
from results.store.files import tensor_file, write_atomic


def truth_of(
    data: RetrievalDataset,
    features: Tensor | Features | None = None,
    cache: Path | None = None,
    key: str = "",
    progress: Progress = silent,
) -> Neighbours | None:
    """Find the neighbours that a protocol takes for relevant; None where labels decide.

    Parameters
    ----------
    data : RetrievalDataset
    features : Tensor or Features, shape (N, D), optional
        Of all its items, on any device; those that the data set brings where left out.
    cache : Path, optional
        Folder that keeps what was found, under `key`.
    key : str
        Digest of the features.
    progress : callable

    Raises
    ------
    DatasetError
        If there are no features, or their neighbours are not defined.
    """
    if not data.protocol.neighbours:
        return None
    if data.neighbours is not None:
        return Neighbours.given(data.neighbours.numpy())
    features = data.features if features is None else features
    if features is None:
        raise DatasetError(
            f"{data.protocol.label}: neighbours are found by features, and it has images only; run "
            "it with a backbone"
        )
    k, distance = most_neighbours(data), DISTANCES[data.protocol.distance]
    text = json.dumps([key, tensor_digest(data.query, data.database), k, distance, _code()])
    path = None
    if cache is not None:
        path = (
            cache / "neighbours" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"
        )
        if (kept := _read(path)) is not None:
            return kept
    features = Features.of(features)
    query, database = features[data.query.to(features.device)], features.select(data.database)
    try:
        found = find_neighbours(query, database, k, distance, progress)
    except ValueError as error:
        raise DatasetError(f"{data.protocol.label}: {error}") from error
    if path is not None:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time alone
            write_atomic(path, tensor_file(vars(found)))
    return found


def _code() -> str:
    return code_digest(inspect.getsource(neighbours))


def _read(path: Path) -> Neighbours | None:
    with contextlib.suppress(OSError, safetensors.SafetensorError, TypeError):
        return Neighbours(**safetensors.numpy.load_file(path))
    return None
