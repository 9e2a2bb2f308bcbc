"""UC Merced land use: 2,100 aerial images of 21 scenes, with 17 further labels and captions.

One parquet file holds all of it, one row an image: ``image`` {bytes, path}, ``scene`` (string),
``labels`` (list of strings) and ``captions`` (list of strings).

References
----------
Y. Yang and S. Newsam, "Bag-of-visual-words and spatial extensions for land-use classification",
ACM GIS 2010.
B. Chaudhuri, B. Demir, S. Chaudhuri and L. Bruzzone, "Multilabel remote sensing image retrieval
using a semisupervised graph-theoretic method", IEEE TGRS 56, 2018: the labels.
B. Qu, X. Li, D. Tao and X. Lu, "Deep semantic understanding of high resolution remote sensing
image", CITS 2016: the captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import AbsentData, DatasetError
from datasets.files.hub import LocalFile, file_sha256, folders_of
from datasets.files.images import EncodedImages, image_size
from datasets.files.parquet import ParquetItems, read_column
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_

FILE = "train-00000-of-00001.parquet"
N_ROWS = 2100
SCENES = (
    *("agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral"),
    *("denseresidential", "forest", "freeway", "golfcourse", "harbor", "intersection"),
    *("mediumresidential", "mobilehomepark", "overpass", "parkinglot", "river", "runway"),
    *("sparseresidential", "storagetanks", "tenniscourt"),
)
LABELS = (
    *("airplane", "bare-soil", "buildings", "cars", "chaparral", "court", "dock", "field", "grass"),
    *("mobile-home", "pavement", "sand", "sea", "ship", "tanks", "trees", "water"),
)


def load_ucmerced(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the labels and captions of UC Merced; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["ucmerced"]``: ``scene`` takes the scenes, ``multi`` the 17 labels.
    options : LoadOptions
        Its `data_root` holds ``ucmerced/train-00000-of-00001.parquet``.

    Returns
    -------
    Contents
        2,100 rows.

    Raises
    ------
    DatasetError
        If the file is absent, corrupt, or of another form.
    """
    path = _find(options.data_root)
    scenes = _multi_hot(path, [[name] for name in _column(path, "scene", options)], SCENES)
    labels = _multi_hot(path, _column(path, "labels", options), LABELS)
    by_scene = protocol.name == "scene"
    items = ParquetItems([LocalFile(path, file_sha256(path))], "image")
    return Contents(
        labels=Labels.of(scenes if by_scene else labels),
        images=EncodedImages(items, image_size(items)),
        parts={"train": torch.arange(len(labels))},
        classes=SCENES if by_scene else LABELS,
        published={"all": (100,) * len(SCENES)} if by_scene else {},
        captions=_column(path, "captions", options),
    )


def _find(data_root: Path | None) -> Path:
    places = [] if data_root is None else [f / FILE for f in folders_of("ucmerced", data_root)]
    for place in places:
        if place.is_file():
            return place
    wanted = " or ".join(map(str, places)) or f"DIR/ucmerced/{FILE} below --data-root DIR"
    raise AbsentData(
        f"ucmerced: not found: {wanted}. No hub has all of it: write the columns image {{bytes}}, "
        "scene, labels and captions from weegee.vision.ucmerced.edu/datasets/landuse.html, "
        "bigearth.eu/datasets (labels) and github.com/201528014227051/RSICD_optimal (captions)"
    )


def _column(path: Path, column: str, options: LoadOptions) -> list[Any]:
    """Values of one column, one an image, none of them missing."""
    values = read_column(path, column)
    if len(values) > N_ROWS or (len(values) < N_ROWS and not options.allow_missing):
        raise DatasetError(f"{path}: expected {N_ROWS} rows, got {len(values)}")
    if None in values:
        raise DatasetError(f"{path}: row {values.index(None)} has no {column!r}")
    return values


def _multi_hot(path: Path, names: Sequence[Sequence[str]], classes: Sequence[str]) -> Tensor:
    """Labels, bool (N, C), of the names that each row has."""
    place = {name: i for i, name in enumerate(classes)}
    labels = torch.zeros(len(names), len(classes), dtype=torch.bool)
    for row, found in enumerate(names):
        for name in found:
            if name not in place:
                raise DatasetError(
                    f"{path}: row {row} has {name!r}, expected one of {', '.join(classes)}"
                )
            labels[row, place[name]] = True
    return labels
