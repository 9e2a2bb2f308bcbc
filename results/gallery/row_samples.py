"""Labels and thumbnails of a few rows of a data set, for the gallery and the maps of codes.

A record holds neither labels nor images, and a report is made without the data set. So a run, which
has the data set at hand, keeps the few rows that the report will show (`rows_needed` says which) in
``samples/<dataset>/<protocol>/<labels8>.safetensors``. `labels8` begins the digest of all labels,
so that two copies of a data set never mix.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from results.store.files import tensor_file, write_atomic
from results.store.record import RunRecord
from results.store.run_key import folder_name
from results.store.store import ResultStore, StoreError

THUMBNAIL = 64
"""Height and width of a thumbnail in pixels, at most."""


@dataclass(frozen=True)
class Samples:
    """Some rows of a data set.

    Attributes
    ----------
    rows : ndarray, int64, shape (R,)
        Row numbers whose labels are here, ascending.
    labels : ndarray, bool, shape (R, C)
    image_rows : ndarray, int64, shape (I,)
        Row numbers whose thumbnails are here, ascending; none where the data set has no images.
    images : ndarray, uint8, shape (I, H, W, 3)
    classes : tuple of str
        Names of the C classes; empty where they have none.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.bool_]
    image_rows: NDArray[np.int64]
    images: NDArray[np.uint8]
    classes: tuple[str, ...] = ()

    def labels_of(self, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Return the labels of some rows, bool (n, C), or None where one is missing."""
        places = _places(self.rows, rows)
        return None if places is None else self.labels[places]

    def images_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint8] | None:
        """Return the thumbnails of some rows, uint8 (n, H, W, 3), or None where one is missing."""
        places = _places(self.image_rows, rows)
        return None if places is None else self.images[places]


def read_samples(store: ResultStore, record: RunRecord) -> Samples | None:
    """Return what is kept of a record's data set; None if nothing is, or nothing that fits."""
    path = samples_path(store, record)
    if path is None or not path.is_file():
        return None
    try:
        arrays = safetensors.numpy.load_file(path)
        classes = json.loads(arrays.pop("classes").tobytes())
        samples = Samples(**arrays, classes=tuple(map(str, classes)))
    except (OSError, KeyError, TypeError, ValueError, RecursionError, safetensors.SafetensorError):
        return None  # a picture fewer; the next run writes it anew
    right = (
        samples.labels.shape[:1] == samples.rows.shape
        and samples.images.shape[:1] == samples.image_rows.shape
        and samples.labels.ndim == 2
        and samples.images.ndim == 4
        and samples.images.dtype == np.uint8
        and samples.labels.dtype == np.bool_
        and len(samples.classes) in (0, samples.labels.shape[1])
    )
    return samples if right else None


def write_samples(store: ResultStore, record: RunRecord, samples: Samples) -> Path | None:
    """Keep samples of a record's data set in place of those that were there.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    path = samples_path(store, record)
    if path is None:
        return None
    classes = np.frombuffer(json.dumps(samples.classes).encode(), np.uint8)
    arrays = vars(samples) | {"classes": classes}
    try:
        write_atomic(path, tensor_file(arrays))
    except OSError as error:
        raise StoreError(f"{path.name}: cannot be written ({error.strerror})") from error
    return path


def samples_path(store: ResultStore, record: RunRecord) -> Path | None:
    """Path of the samples of a record's data set; None where its labels have no digest."""
    digest = record.protocol_info.get("labels")
    if not isinstance(digest, str):  # of a record before labels were digested
        return None
    folder = store.root / "samples" / folder_name(record.dataset) / folder_name(record.protocol)
    return folder / f"{folder_name(digest[:8])}.safetensors"


def _places(have: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    places = np.searchsorted(have, rows)
    if not len(have) or not np.array_equal(have[np.minimum(places, len(have) - 1)], rows):
        return None
    return places
