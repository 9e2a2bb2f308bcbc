"""Makers of small data of a user's own, for tests."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks import run
from datasets import load
from datasets.contents import LoadOptions
from datasets.errors import DatasetError

RNG = np.random.default_rng(0)


def png(size=8):
    file = io.BytesIO()
    pixels = RNG.integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def tree(root, n=10, classes=("crow", "owl"), part=""):
    for name in classes:
        folder = root / part / name
        folder.mkdir(parents=True)
        for i in range(n):
            (folder / f"{i:03}.png").write_bytes(png())
    return root


def table(path, labels, images=None, **more):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = images or [png() for _ in labels]
    cells = pa.array([{"bytes": image, "path": None} for image in images], kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"img": cells, "label": labels, **more}), path)
    return path


def features(path, n=40, **changes):
    classes = np.arange(n) % 4
    x = np.eye(4)[classes] + 0.1 * RNG.normal(size=(n, 4))
    np.savez(path, **{"features": x.astype(np.float32), "labels": classes, **changes})
    return path


def refusal(name, **options):
    with pytest.raises(DatasetError) as caught:
        load(name, LoadOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def call(folder, *arguments):
    small = ["--methods", "lsh", "--bits", "8", "--seeds", "1", "--backbone", "pixels"]
    return run.main(
        [*arguments, *small, "--out", f"{folder}/out", "--cache", f"{folder}/cache", "--no-report"]
    )
