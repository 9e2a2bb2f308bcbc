"""Parquet files in the hub's form, for the tests of data sets."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(pixels):
    """Pixels, uint8 (H, W, 3) or (H, W), as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def noise(n, size, seed=0, channels=(3,)):
    """Different images, uint8 (n, size, size, 3)."""
    shape = (n, size, size, *channels)
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, shape, np.uint8)


def write_parquet(path, images, image="image", metadata=None, **columns):
    """Write encoded images under the column `image`, beside other columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = pa.array([{"bytes": encoded, "path": None} for encoded in images], IMAGE)
    table = pa.table({image: cells, **columns}).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=50)
    return path
