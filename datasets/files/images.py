"""Encoded images of any number: decoded by worker processes, resized once, kept on disk.

A pass over all of them writes a memory-mapped uint8 array, so memory does not grow with the data
set; see `datasets.files.disk` for how a pass that was interrupted goes on.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import os
import stat
import statistics
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor
from numpy.typing import NDArray
from torch import Tensor

import datasets.files.decode
from datasets.digests import code_digest, first_of_equals
from datasets.errors import printable
from datasets.files.decode import RULES, Item, decode_all, longer_side, problems
from datasets.files.disk import disk_array
from datasets.image_source import ImageSource
from datasets.progress import Progress, silent

T = TypeVar("T")

STORED_SIZE = 256
"""Height and width, in pixels, at which images of many sizes are kept."""
_CHUNK = 64
"""Images that a worker takes at a time."""
_END = 4096
"""Bytes at either end of a file that are looked at."""
ABSENT = "absent"
_SAMPLE = 256
"""Images whose size is looked at, to choose the one at which all are kept."""
_FEW = 1024
"""Images below which starting workers takes longer than decoding."""
_MOST_WORKERS = 8
"""Worker processes; each takes about 150 MiB, torch included."""
_IN_MEMORY = 2**30
"""Bytes of pixels that may be decoded into memory where there is no folder to keep them in."""


class Encoded(ABC):
    """Encoded images by row number.

    Attributes
    ----------
    kind : str
        Where they lie: ``"files"``.
    fingerprints : sequence of str
        What tells these images from any others, without decoding one.
    """

    kind: str
    fingerprints: Sequence[str]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def items(self, start: int = 0) -> Iterator[Item]:
        """Yield names and encoded images from row `start` on, in the order of the rows."""

    @abstractmethod
    def subset(self, rows: Tensor) -> Encoded:
        """Keep some rows, int64 (n,), ascending."""

    def absent(self) -> Tensor:
        """Rows that have no image, int64 (n,); found without decoding."""
        return torch.empty(0, dtype=torch.int64)

    def originals(self) -> Tensor:
        """Row of the first image of the same bytes, of every row; int64 (N,)."""
        return first_of_equals(_digest(content) for _, content in self.items())

    def name(self, row: int) -> str:
        """Name of one image, for messages."""
        return next(iter(self.items(row)))[0]


class FileItems(Encoded):
    """Images in files of their own.

    Parameters
    ----------
    root : Path
        Folder that the names start from.
    names : sequence of str
        Paths below it, with ``/``; one a row.

    Notes
    -----
    A file is told from others by its name, its size, and its first and last 4 KiB: images of one
    size are told apart, and a set of any size is listed in seconds. What this cannot see is a file
    that was replaced by one of the same size, beginning and end.

    What is no regular file, a pipe or a device, is absent: it is never waited for.
    """

    kind = "files"

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.names = list(names)
        # Many at a time, for disks and networks that take long to answer.
        chunks = [self.names[i : i + _CHUNK] for i in range(0, len(self.names), _CHUNK)]
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda chunk: [_look(f"{root}/{name}") for name in chunk], chunks)
            looks = [look for part in found for look in part]
        self.fingerprints = [
            f"{name}:{look.text}" for name, look in zip(self.names, looks, strict=True)
        ]
        self._inodes = np.array([look.inode for look in looks], np.uint64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.names)

    def items(self, start: int = 0) -> Iterator[Item]:
        """Yield paths, see `Encoded.items`; the workers read them."""
        for row in range(start, len(self.names)):  # no slice: names are asked for one by one
            path = self.root / self.names[row]
            yield printable(str(path)), path

    def subset(self, rows: Tensor) -> FileItems:
        """Keep some files."""
        kept = copy.copy(self)
        kept.names = [self.names[i] for i in rows.tolist()]
        kept.fingerprints = [self.fingerprints[i] for i in rows.tolist()]
        kept._inodes = self._inodes[rows.numpy()]
        return kept

    def same_files(self) -> Tensor:
        """Row of the first name of the same file, of every row; int64 (N,).

        One file has several names by links, hard or symbolic, and by ways to write a path.
        """
        missing = self._inodes[:, 1] == 0  # also where a file system does not number its files
        keys = zip(self._inodes.tolist(), missing.tolist(), strict=True)
        return first_of_equals(None if none else tuple(inode) for inode, none in keys)

    def originals(self) -> Tensor:
        """Row of the first image of the same bytes; only files that look the same are read."""
        named = zip(self.names, self.fingerprints, strict=True)
        looks = [text[len(name) + 1 :] for name, text in named]
        alike = Counter(looks)
        whole: list[Hashable] = []
        for row, look in enumerate(looks):
            if look == ABSENT:
                whole.append(None)
            elif alike[look] > 1 and int(look.partition(":")[0]) > 2 * _END:
                whole.append(_digest(self.root / self.names[row]))
            else:  # the ends are all of it, or tell it apart
                whole.append(look)
        return first_of_equals(whole)

    def absent(self) -> Tensor:
        """Rows whose file is not there, or empty."""
        none = f":{ABSENT}"
        rows = [i for i, look in enumerate(self.fingerprints) if look.endswith(none)]
        return torch.tensor(rows).long()


class EncodedImages(ImageSource):
    """Images that are decoded in one pass when the first is read.

    Parameters
    ----------
    encoded : Encoded
        Where they come from.
    size : int
        Height and width at which they are kept, in pixels.
    exact : bool
        Whether an image of another size is an error; else it is stretched.
    centre : bool
        Whether the largest square in its centre is scaled instead.
    """

    def __init__(
        self,
        encoded: Encoded,
        size: int = STORED_SIZE,
        *,
        exact: bool = False,
        centre: bool = False,
    ) -> None:
        self.encoded = encoded
        self.size = size
        self._exact, self._centre = exact, centre
        self._pixels: NDArray[np.uint8] | Path | None = None
        text = " ".join([encoded.kind, str(size), f"rules {RULES}", *encoded.fingerprints])
        text += " centre" if centre else ""
        self.digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

    def __len__(self) -> int:
        return len(self.encoded)

    def prepare(self, folder: Path, progress: Progress) -> None:
        """Decode all images into a file of `folder`, or find it there."""
        key = hashlib.sha256((self.digest + _decoder()).encode()).hexdigest()
        stem = folder / f"{self.size}px" / key[:24]
        what = f"pixels of {len(self):,} images"
        self._pixels = disk_array(stem, what, len(self), self._blocks, progress).path

    def read(self, rows: Tensor) -> Tensor:
        """Read some images, see `ImageSource.read`; the first call decodes all of them."""
        if self._pixels is None:
            n_bytes = len(self) * 3 * self.size**2
            if n_bytes > _IN_MEMORY:
                raise RuntimeError(
                    f"EncodedImages.read: {n_bytes / 2**30:.1f} GiB of pixels are kept on disk; "
                    "call prepare with a folder first"
                )
            self._pixels = np.concatenate(list(self._blocks(0)))
        pixels = self._pixels
        if isinstance(pixels, Path):  # opened for each call, so that no pages pile up
            pixels = np.load(pixels, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(pixels[rows.numpy()])

    def name(self, row: int) -> str:
        """Name of one image, for messages."""
        return self.encoded.name(row)

    def absent(self) -> Tensor:
        """Rows that have no image, int64 (n,)."""
        return self.encoded.absent()

    def originals(self) -> Tensor:
        """Row of the first image of the same bytes, int64 (N,)."""
        return self.encoded.originals()

    def subset(self, rows: Tensor) -> EncodedImages:
        """Keep some rows."""
        how = {"exact": self._exact, "centre": self._centre}
        return EncodedImages(self.encoded.subset(rows), self.size, **how)

    def undistorted(self) -> EncodedImages:
        """Squares from the centres of the images, where they would be stretched."""
        return self if self._exact else EncodedImages(self.encoded, self.size, centre=True)

    def problems(self, progress: Progress = silent) -> dict[int, str]:
        """Decode every image and say what is wrong with which row."""
        check = partial(problems, size=self.size, exact=self._exact)
        found: dict[int, str] = {}
        done = 0
        for part in self._chunks(check, 0):
            found |= {done + i: reason for i, reason in enumerate(part) if reason is not None}
            done += len(part)
            progress("images checked", done, len(self))
        return found

    def _blocks(self, start: int) -> Iterator[NDArray[Any]]:
        decode = partial(decode_all, size=self.size, exact=self._exact, centre=self._centre)
        return self._chunks(decode, start)

    def _chunks(self, work: Callable[[Sequence[Item]], T], start: int) -> Iterator[T]:
        """Do some work on chunks of rows, by as many processes as there are cores, in order."""
        items = self.encoded.items(start)
        chunks = iter(lambda: list(islice(items, _CHUNK)), [])
        n_workers = min(cpu_count(), _MOST_WORKERS)
        if len(self) - start < _FEW or n_workers == 1:
            return map(work, chunks)
        return _in_order(work, chunks, n_workers)


def _in_order(
    work: Callable[[Sequence[Item]], T], chunks: Iterable[Sequence[Item]], n_workers: int
) -> Iterator[T]:
    """Results of worker processes in the order of the chunks, few of them at a time in memory."""
    workers = ProcessPoolExecutor(n_workers)  # its own: joblib keeps one of another kind to reuse
    waiting: deque[Future[T]] = deque()
    try:
        for chunk in chunks:
            waiting.append(workers.submit(work, chunk))
            if len(waiting) == 2 * n_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        workers.shutdown(wait=True)  # killing workers races with the executor's own thread


def image_size(encoded: Encoded, most: int = STORED_SIZE) -> int:
    """Size at which images of many sizes are kept: the median of their longer sides, in pixels.

    Parameters
    ----------
    encoded : Encoded
        Of more than `_SAMPLE` images, as many are looked at, spread over all rows.
    most : int
        The size is no larger; it is this one where no image can be opened.
    """
    n = len(encoded)
    rows = torch.arange(min(n, _SAMPLE)) * n // max(1, min(n, _SAMPLE))
    sides = [side for item in encoded.subset(rows).items() if (side := longer_side(item))]
    return min(most, statistics.median_high(sides)) if sides else most


def _digest(content: bytes | Path | None) -> bytes | None:
    """Digest of an image's bytes; None where there are none to be read."""
    try:
        content = content.read_bytes() if isinstance(content, Path) else content
    except OSError:
        return None
    return hashlib.blake2b(content, digest_size=16).digest() if content else None


class _Look(NamedTuple):
    """What a file looks like from outside: size and ends as text, device and number."""

    text: str
    inode: tuple[int, int]


_NOTHING = _Look(ABSENT, (0, 0))


def _look(path: str) -> _Look:
    """Size of a file and a digest of its two ends, `ABSENT` if it is none, or empty."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return _NOTHING
            size = status.st_size
            ends = os.pread(file, _END, 0)
            if size > _END:
                ends += os.pread(file, _END, max(_END, size - _END))
        finally:
            os.close(file)
    except (OSError, ValueError):  # a name may hold what no file's does
        return _NOTHING
    if not size:
        return _NOTHING
    text = f"{size}:{hashlib.sha256(ends).hexdigest()[:16]}"
    return _Look(text, (status.st_dev, status.st_ino % 2**64))


def _decoder() -> str:
    """Digest of the code that makes pixels: other code, other pixels."""
    return code_digest(inspect.getsource(datasets.files.decode))
