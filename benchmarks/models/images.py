"""Images that a user names: files, folders, patterns and parquet files, as rows to be hashed."""

from __future__ import annotations

import glob
import hashlib
import io
import itertools
import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.models.config import ModelError
from benchmarks.models.hasher import BLOCK, Hasher
from datasets.errors import DatasetError
from datasets.files.hub import LocalFile, file_sha256
from datasets.files.images import Encoded, FileItems
from datasets.files.parquet import ParquetItems
from datasets.own.folder import image_names
from datasets.progress import Progress, silent
from results.store.files import write_atomic


@dataclass(frozen=True, eq=False)
class Found:
    """Images of one place.

    Attributes
    ----------
    names : list of str
        A path each; of a row of a parquet file its path, a colon and the row.
    encoded : Encoded
        The images, in the same order.
    """

    names: list[str]
    encoded: Encoded


def find_images(texts: Sequence[str], column: str = "image") -> list[Found]:
    """Find the images that a user names, in the order given; those of a folder are sorted.

    Parameters
    ----------
    texts : sequence of str
        Files, folders (at any depth), patterns such as ``photos/**/*.jpg``, and ``.parquet`` files.
    column : str
        Of the parquet files, a struct with a field ``bytes``.

    Raises
    ------
    ModelError, DatasetError
        If nothing has the name, or it cannot be read.
    """
    found: list[Found] = []
    files = itertools.chain.from_iterable(map(_named, texts))
    for is_table, names in itertools.groupby(files, lambda name: name.endswith(".parquet")):
        if is_table:
            found += (_table(name, column) for name in names)
        else:
            kept = list(names)
            items = FileItems(Path("/"), [str(Path(name).absolute()) for name in kept])
            found.append(Found(kept, items))
    return found


def _table(name: str, column: str) -> Found:
    path = Path(name)
    items = ParquetItems([LocalFile(path, file_sha256(path))], column)
    return Found([f"{name}:{row}" for row in range(len(items))], items)


def _named(text: str) -> list[str]:
    """Images of a folder, files of a pattern, or the one of a name."""
    mode = _mode(text)
    if stat.S_ISDIR(mode):
        names = [str(Path(text) / name) for name in image_names(Path(text))]
    elif mode:
        names = [text]
    else:
        names = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - patterns may be absolute
    files = [name for name in names if stat.S_ISREG(_mode(name))]
    if not files:
        raise ModelError(f"{text}: no image there; give files, folders or patterns")
    return files


def _mode(name: str) -> int:
    """Say what bears a name, as `os.stat` does; 0 for nothing."""
    try:
        return Path(name).stat().st_mode
    except (OSError, ValueError):
        return 0


@dataclass(frozen=True, eq=False)
class Hashed:
    """Codes of images.

    Attributes
    ----------
    names : list of str
    codes : ndarray, uint8, shape (N, ceil(K / 8))
    inputs : ndarray, float16, shape (N, ...), or None
        What the method took of each image, where it was asked for.
    broken : list of str
        What is wrong with the images that were left out, a line each.
    """

    names: list[str]
    codes: NDArray[np.uint8]
    inputs: NDArray[np.float16] | None
    broken: list[str]


def hash_images(
    hasher: Hasher,
    found: Sequence[Found],
    *,
    skip_broken: bool = False,
    keep_inputs: bool = False,
    progress: Progress = silent,
) -> Hashed:
    """Hash images block by block, so that memory does not grow with their number.

    Raises
    ------
    DatasetError
        If an image cannot be decoded and `skip_broken` is not set; it is named.
    """
    names: list[str] = []
    codes = [np.empty((0, -(-hasher.n_bits // 8)), np.uint8)]
    inputs: list[NDArray[np.float16]] = []
    broken: list[str] = []
    total = sum(len(each.names) for each in found)
    for block_names, encoded in _blocks(found):
        try:
            part = hasher.features(encoded)
        except DatasetError:
            if not skip_broken:
                raise
            wrong = hasher.problems(encoded)
            broken += wrong.values()
            rows = [row for row in range(len(encoded)) if row not in wrong]
            block_names = [block_names[row] for row in rows]
            part = hasher.features(encoded.subset(torch.tensor(rows).long()))
        names += block_names
        codes.append(hasher.encode(part))
        if keep_inputs and len(part):
            inputs.append(part.astype(np.float16))
        progress("images hashed", len(names) + len(broken), total)
    kept = np.concatenate(inputs) if inputs else None
    return Hashed(names, np.concatenate(codes), kept, broken)


def _blocks(found: Sequence[Found]) -> Iterator[tuple[list[str], Encoded]]:
    for each in found:
        for start in range(0, len(each.names), BLOCK):
            rows = torch.arange(start, min(start + BLOCK, len(each.names)))
            yield each.names[start : start + BLOCK], each.encoded.subset(rows)


def write_codes(path: Path, hasher: Hasher, hashed: Hashed) -> None:
    """Write codes as a ``.npy`` file, and beside it a JSON file with what they are of.

    Raises
    ------
    ModelError
        If the disk refuses.
    """
    data = npy(hashed.codes)
    about = {
        "record": hasher.model.config.record,
        "bits": hasher.n_bits,
        "bit_order": hasher.bit_order,
        "sha256": hashlib.sha256(data).hexdigest(),
        "paths": hashed.names,
    }
    try:
        write_atomic(path, data)
        write_atomic(path.with_suffix(".json"), json.dumps(about).encode())
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; choose another file with --out") from error


def npy(array: NDArray[Any]) -> bytes:
    """Return an array as a ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
