"""Fetch the labels and thumbnails that the report shows from a loaded data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from datasets.base import RetrievalDataset
from datasets.digests import tensor_digest
from datasets.errors import DatasetError
from results.analysis.board import Board
from results.gallery.row_samples import THUMBNAIL, Samples, write_samples
from results.gallery.shown_queries import NeededRows, rows_needed
from results.gallery.view import View
from results.store.record import RunRecord
from results.store.store import ResultStore

Load = Callable[[RunRecord], RetrievalDataset | None]
"""The data set of a record; None where it is not at hand."""


def keep_samples(store: ResultStore, board: Board, load: Load) -> list[str]:
    """Keep what the gallery and the maps of codes need of the data sets, where it is lacking.

    Returns
    -------
    list of str
        Data sets that could not be read, one line each.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    lost = []
    for need in rows_needed(View(board, store)):
        name = f"{need.record.dataset}/{need.record.protocol}"
        try:
            data = load(need.record)
            if data is not None and _fits(data, need.record):
                write_samples(store, need.record, samples_of(data, need))
            elif data is not None:
                lost.append(f"{name}: has other labels than its records; no gallery of it")
        except DatasetError as error:
            lost.append(f"{name}: {error}")
    return lost


def known(datasets: Sequence[RetrievalDataset]) -> Load:
    """Return a loader that gives what is loaded already, and nothing else."""
    by_name = {data.protocol.label: data for data in datasets}
    return lambda record: by_name.get(f"{record.dataset}/{record.protocol}")


def samples_of(data: RetrievalDataset, need: NeededRows) -> Samples:
    """Take some rows of a data set: their labels by name, and thumbnails where it has images."""
    image_rows = need.image_rows if data.images is not None else need.image_rows[:0]
    images: NDArray[np.uint8] = np.zeros((0, 1, 1, 3), np.uint8)
    if data.images is not None and len(image_rows):
        images = thumbnails(data.images.read(torch.from_numpy(image_rows)))
    labels = data.labels[torch.from_numpy(need.rows)].dense().numpy()
    return Samples(need.rows, labels, image_rows, images, data.classes)


def thumbnails(images: Tensor) -> NDArray[np.uint8]:
    """Shrink images, uint8 (N, 3, H, W), to at most THUMBNAIL pixels a side; uint8 (N, h, w, 3)."""
    height, width = images.shape[-2:]
    scale = THUMBNAIL / max(height, width)
    if scale < 1:
        size = max(1, round(height * scale)), max(1, round(width * scale))
        small = interpolate(images.float(), size, mode="bilinear", antialias=True)
        images = small.round().clamp(0, 255).byte()
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def _fits(data: RetrievalDataset, record: RunRecord) -> bool:
    return record.protocol_info.get("labels") == tensor_digest(data.labels)
