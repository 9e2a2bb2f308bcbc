"""An index of hashed images: a folder with codes, paths and a binary index of faiss.

=======================  ==========================================================================
``index.json``           model, code length, kind of index, and the names of the other files
``names-DIGEST.json``    absolute paths, in the order of the rows
``codes-DIGEST.npy``     packed codes, uint8 (N, ceil(K / 8))
``inputs-DIGEST.npy``    what the method took of each image, float16 (N, ...), for re-ranking
``index-DIGEST.faiss``   a binary index of faiss over the codes, where not all are compared
=======================  ==========================================================================

Files are named by the digests of what they hold and never changed. ``index.json`` is renamed into
place when those it names are there, so whoever reads sees one state or the next; a call that was
killed changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from benchmarks.models.binary_index import binary_index
from benchmarks.models.config import ModelError
from benchmarks.models.hasher import Hasher
from benchmarks.models.images import Hashed, npy
from benchmarks.models.room import require_room
from datasets.errors import need, one_line
from results.store.files import write_atomic

FLAT_UP_TO = 200_000
"""Codes up to which all are compared; a scan of so many takes about a millisecond."""
HNSW_UP_TO = 10_000_000
KINDS = ("auto", "flat", "hnsw", "multihash")
INDEX = "index.json"
LOCK = "index.lock"
_DIGITS = 16
"""Of a digest, in the name of a file."""
_FILE = re.compile(rf"(names|codes|inputs|index)-([0-9a-f]{{{_DIGITS}}})\.(json|npy|faiss)")
_ATTEMPTS = 5
"""To read an index that is being changed."""


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """Hashed images that can be searched.

    Attributes
    ----------
    model : str
        Folder of the model that hashed them, or its place on the hub.
    record : str
        Digest of that model's cell: codes of other models mean other things.
    n_bits : int
    kind : one of `KINDS`
    names : list of str
        Absolute paths; of a row of a parquet file its path, a colon and the row.
    codes : ndarray, uint8, shape (N, ceil(K / 8))
    inputs : ndarray, float16, shape (N, ...)
    graph : index of faiss, or None
        What was read for these codes, where not all are compared.
    """

    model: str
    record: str
    n_bits: int
    kind: str
    names: list[str]
    codes: NDArray[np.uint8]
    inputs: NDArray[np.float16]
    graph: Any = None

    @classmethod
    def empty(cls, model: str, hasher: Hasher) -> Self:
        """Begin an index of the codes of a model."""
        codes = np.empty((0, -(-hasher.n_bits // 8)), np.uint8)
        inputs = np.empty((0, hasher.model.config.in_dim), np.float16)
        place = os.path.abspath(model) if Path(model).is_dir() else model  # noqa: PTH100 - as names
        return cls(place, hasher.model.config.record, hasher.n_bits, "auto", [], codes, inputs)

    def added(self, hashed: Hashed) -> ImageIndex:
        """Return the index with more images; of those of one name the last is kept."""
        last = {name: row for row, name in enumerate(map(full_name, hashed.names))}
        if not last:
            return self
        assert hashed.inputs is not None, "kept for the index"
        kept, rows = self.without(list(last)), list(last.values())
        inputs = hashed.inputs[rows]
        return replace(
            self,
            names=[*kept.names, *last],
            codes=np.concatenate([kept.codes, hashed.codes[rows]]),
            inputs=np.concatenate([kept.inputs, inputs]) if kept.names else inputs,
            graph=None,
        )

    def without(self, names: Sequence[str]) -> ImageIndex:
        """Return the index without some images."""
        gone = set(names)
        rows = [row for row, name in enumerate(self.names) if name not in gone]
        left = [self.names[row] for row in rows]
        codes, inputs = self.codes[rows], self.inputs[rows]
        return replace(self, names=left, codes=codes, inputs=inputs, graph=None)

    def require_model(self, hasher: Hasher) -> None:
        """Raise ModelError unless a model is the one whose codes these are."""
        if hasher.model.config.record != self.record:
            raise ModelError(
                f"index: its codes are of model {self.record[:8]}, got model "
                f"{hasher.model.config.record[:8]}; give {self.model}, or index the images again"
            )

    def save(self, folder: Path) -> None:
        """Write the index, and remove what it was before.

        Raises
        ------
        ModelError
            If faiss is not installed, or the folder cannot be written.
        """
        contents = {
            "names.json": json.dumps(self.names).encode(),
            "codes.npy": npy(self.codes),
            "inputs.npy": npy(self.inputs),
        }
        if self._chosen != "flat":
            graph = _built(self.codes, self._chosen)
            contents["index.faiss"] = _faiss().serialize_index_binary(graph).tobytes()
        files = {}
        for name, data in contents.items():
            stem, dot, suffix = name.partition(".")
            digest = hashlib.sha256(data).hexdigest()[:_DIGITS]
            files[name] = f"{stem}-{digest}{dot}{suffix}"
        about = {"model": self.model, "record": self.record, "bits": self.n_bits}
        about |= {"kind": self.kind, "files": files}
        try:
            for name, data in contents.items():
                write_atomic(folder / files[name], data)
            write_atomic(folder / INDEX, json.dumps(about, indent=1).encode())
        except OSError as error:
            raise ModelError(f"index {folder}: {error.strerror}; choose another folder") from error
        for path in folder.iterdir():
            if _FILE.fullmatch(path.name) and path.name not in files.values():
                with contextlib.suppress(OSError):  # it is in nobody's way
                    path.unlink()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an index.

        Raises
        ------
        ModelError
            If it is not whole.
        """
        if not (folder / INDEX).is_file():
            raise ModelError(f"index {folder}: no {INDEX}; write one with benchmarks.index")
        for _ in range(_ATTEMPTS):
            try:
                return cls._read(folder)
            except FileNotFoundError as error:  # a call that writes removes what was before
                missing = error
            except _DAMAGED as error:
                raise _unreadable(folder, error) from error
        raise _unreadable(folder, missing)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        about = json.loads((folder / INDEX).read_bytes())
        files = about["files"]
        for name, file in files.items():
            told = _FILE.fullmatch(file)
            if told is None:
                raise ValueError(f"{file} is no name of {name}")
            if name != "inputs.npy":  # which may be large; a wrong one orders wrongly, no more
                with (folder / file).open("rb") as opened:
                    if hashlib.file_digest(opened, "sha256").hexdigest()[:_DIGITS] != told[2]:
                        raise ValueError(f"{file} was altered")
        names = json.loads((folder / files["names.json"]).read_bytes())
        codes, inputs = (
            np.load(folder / files[name], mmap_mode="r", allow_pickle=False)
            for name in ("codes.npy", "inputs.npy")
        )
        model, record, bits, kind = (about[name] for name in ("model", "record", "bits", "kind"))
        index = cls(model, record, bits, kind, names, codes, inputs)
        index._check()
        if "index.faiss" not in files:
            return index
        graph = _faiss().read_index_binary(str(folder / files["index.faiss"]))
        if (graph.d, graph.ntotal) != (8 * codes.shape[1], len(names)):
            raise ValueError(f"{files['index.faiss']} is of other codes")
        return replace(index, graph=graph)

    def _check(self) -> None:
        """Raise ValueError unless this is what `save` writes."""
        texts = [self.model, self.record, self.kind, *self.names]
        if not isinstance(self.names, list) or not all(isinstance(text, str) for text in texts):
            raise TypeError("names must be texts")
        if not all(map(os.path.isabs, self.names)):
            raise ValueError("names must be absolute paths")
        shapes = [(self.codes.dtype, self.codes.shape[1:]), self.inputs.dtype]
        if shapes != [(np.uint8, (-(-self.n_bits // 8),)), np.float16] or self.kind not in KINDS:
            raise ValueError(f"bits, kind and arrays do not fit: {self.n_bits}, {self.kind!r}")
        if not len(self.names) == len(self.codes) == len(self.inputs):
            raise ValueError("its files do not belong together")

    def search(
        self, codes: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Find the k nearest images of each query by Hamming distance.

        Returns
        -------
        distances : ndarray, int32, shape (Q, k)
        rows : ndarray, int64, shape (Q, k)
            -1 where an approximate index found fewer.

        Raises
        ------
        ModelError
            If there is nothing to find.
        """
        if not self.names:
            raise ModelError("index: holds no image; add some with benchmarks.index")
        graph = _built(self.codes, "flat") if self.graph is None else self.graph
        distances, rows = graph.search(np.ascontiguousarray(codes), min(k, len(self.names)))
        return distances, rows

    def reranked(
        self, inputs: NDArray[np.float32], rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Order candidates of each query by the cosine of what the method took of the images.

        Returns
        -------
        cosines : ndarray, float64, shape (Q, k)
        rows : ndarray, int64, shape (Q, k)
        """
        cosines = np.empty(rows.shape)
        for query, of, near in zip(inputs, rows, cosines, strict=True):
            near[:] = _unit(self.inputs[of].reshape(len(of), -1)) @ _unit(query.ravel())
        cosines[rows < 0] = -np.inf
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(cosines, order, 1), np.take_along_axis(rows, order, 1)

    @property
    def _chosen(self) -> str:
        """Kind of index, chosen by the number of codes where the user leaves it open."""
        n = len(self.names)
        if self.kind != "auto":
            return self.kind
        return "flat" if n <= FLAT_UP_TO else "hnsw" if n <= HNSW_UP_TO else "multihash"


def full_name(name: str) -> str:
    """Return the absolute path of an image, or of a row of a file."""
    return os.path.abspath(name)  # noqa: PTH100 - Path keeps ..


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other call changes an index, and keep others from it.

    Raises
    ------
    ModelError
        If the folder cannot be written, or holds something else.
    """
    require_room(folder, "index", {INDEX, LOCK})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire()
    except OSError as error:
        raise ModelError(f"index {folder}: {error.strerror}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


_DAMAGED = (OSError, EOFError, ValueError, AttributeError, LookupError, TypeError, RuntimeError)


def _unreadable(folder: Path, error: BaseException) -> ModelError:
    return ModelError(
        f"index {folder}: cannot be read ({type(error).__name__}: {one_line(error)}); write it "
        "anew with benchmarks.index"
    )


def _unit(x: NDArray[Any]) -> NDArray[np.float64]:
    x = x.astype(np.float64)
    norms: NDArray[np.float64] = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(norms > 0, norms, 1)


def _built(codes: NDArray[np.uint8], kind: str) -> Any:
    """Build an index of faiss, which ships no types."""
    _faiss()
    index = binary_index(kind, 8 * codes.shape[1], len(codes))
    index.add(np.ascontiguousarray(codes))
    return index


def _faiss() -> Any:
    need(ModelError, "index", "faiss")
    import faiss

    return faiss
