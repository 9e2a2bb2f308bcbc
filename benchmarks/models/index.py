"""An index of hashed images: a folder with codes, paths and a binary index of faiss.

====================  =============================================================================
``index.json``        model, code length, kind of index, and a digest of the codes
``names.json``        paths, in the order of the rows
``codes.npy``         packed codes, uint8 (N, ceil(K / 8))
``inputs.npy``        what the method took of each image, float16 (N, ...), for re-ranking
``index.faiss``       a binary index of faiss over the codes
====================  =============================================================================
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.models.folder import ModelError
from benchmarks.models.hasher import Hasher
from benchmarks.models.images import Hashed
from datasets.errors import one_line
from results.store.files import write_atomic

FLAT_UP_TO = 200_000
"""Codes up to which all are compared; a scan of so many takes about a millisecond."""
HNSW_UP_TO = 10_000_000
KINDS = ("auto", "flat", "hnsw", "multihash")


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """Hashed images that can be searched.

    Attributes
    ----------
    model : str
        Folder of the model that hashed them.
    record : str
        Digest of that model's cell: codes of other models mean other things.
    n_bits : int
    kind : "flat", "hnsw" or "multihash"
    names : list of str
    codes : ndarray, uint8, shape (N, ceil(K / 8))
    inputs : ndarray, float16, shape (N, ...)
    """

    model: str
    record: str
    n_bits: int
    kind: str
    names: list[str]
    codes: NDArray[np.uint8]
    inputs: NDArray[np.float16]

    @classmethod
    def empty(cls, model: Path, hasher: Hasher, kind: str) -> ImageIndex:
        """Begin an index of the codes of a model."""
        codes = np.empty((0, -(-hasher.n_bits // 8)), np.uint8)
        inputs = np.empty((0, hasher.model.config.in_dim), np.float16)
        place = str(model.resolve()) if model.is_dir() else str(model)
        return cls(place, hasher.model.config.record, hasher.n_bits, kind, [], codes, inputs)

    def added(self, hashed: Hashed) -> ImageIndex:
        """Return the index with more images; one of a name that is there replaces it."""
        if not hashed.names:
            return self
        kept = self.without(hashed.names)
        inputs = hashed.inputs if hashed.inputs is not None else kept.inputs[:0]
        return self._with(
            [*kept.names, *hashed.names],
            np.concatenate([kept.codes, hashed.codes]),
            inputs if not kept.names else np.concatenate([kept.inputs, inputs]),
        )

    def without(self, names: Sequence[str]) -> ImageIndex:
        """Return the index without some images."""
        gone = set(names)
        rows = [row for row, name in enumerate(self.names) if name not in gone]
        return self._with([self.names[row] for row in rows], self.codes[rows], self.inputs[rows])

    def require_model(self, hasher: Hasher) -> None:
        """Raise ModelError unless a model is the one whose codes these are."""
        if hasher.model.config.record != self.record:
            raise ModelError(
                f"index: its codes are of model {self.record[:8]}, got model "
                f"{hasher.model.config.record[:8]}; give {self.model}, or index the images again"
            )

    def save(self, folder: Path) -> None:
        """Write the index; ``index.json`` comes last.

        Raises
        ------
        ModelError
            If faiss is not installed, or the folder cannot be written.
        """
        kind = _chosen(self.kind, len(self.names))
        about = {
            "model": self.model,
            "record": self.record,
            "bits": self.n_bits,
            "kind": self.kind,
            "codes": hashlib.sha256(self.codes.tobytes()).hexdigest(),
        }
        files = {
            "names.json": json.dumps(self.names).encode(),
            "codes.npy": _npy(self.codes),
            "inputs.npy": _npy(self.inputs),
            "index.faiss": _built(self.codes, kind),
            "index.json": json.dumps(about, indent=1).encode(),
        }
        try:
            for name, data in files.items():
                write_atomic(folder / name, data)
        except OSError as error:
            raise ModelError(f"index {folder}: {error.strerror}; choose another folder") from error

    @classmethod
    def load(cls, folder: Path) -> ImageIndex:
        """Read an index.

        Raises
        ------
        ModelError
            If it is not whole.
        """
        try:
            about = json.loads((folder / "index.json").read_text())
            names = json.loads((folder / "names.json").read_text())
            codes, inputs = (
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in ("codes", "inputs")
            )
            digest = hashlib.sha256(codes.tobytes()).hexdigest()
            if digest != about["codes"] or not len(names) == len(codes) == len(inputs):
                raise ValueError("its files do not belong together")
            model, record, bits, kind = (about[k] for k in ("model", "record", "bits", "kind"))
            return cls(model, record, bits, kind, names, codes, inputs)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"index {folder}: cannot be read ({one_line(error)}); write it anew with "
                "benchmarks.index"
            ) from error

    def search(
        self, folder: Path, codes: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Find the k nearest images of each query by Hamming distance.

        Returns
        -------
        distances : ndarray, int32, shape (Q, k)
        rows : ndarray, int64, shape (Q, k)
            -1 where an approximate index found fewer.
        """
        faiss = _faiss()
        try:
            index = faiss.read_index_binary(str(folder / "index.faiss"))
        except RuntimeError as error:
            raise ModelError(
                f"index {folder}: index.faiss cannot be read; write it anew with benchmarks.index"
            ) from error
        distances, rows = index.search(np.ascontiguousarray(codes), min(k, len(self.names)))
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
        found = _unit(self.inputs[rows].reshape(*rows.shape, -1))  # (Q, C, D)
        cosines = np.einsum("qcd,qd->qc", found, _unit(inputs.reshape(len(inputs), -1)))
        cosines[rows < 0] = -np.inf
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(cosines, order, 1), np.take_along_axis(rows, order, 1)

    def _with(
        self, names: list[str], codes: NDArray[np.uint8], inputs: NDArray[np.float16]
    ) -> ImageIndex:
        return ImageIndex(self.model, self.record, self.n_bits, self.kind, names, codes, inputs)


def _unit(x: NDArray[Any]) -> NDArray[np.float64]:
    x = x.astype(np.float64)
    norms: NDArray[np.float64] = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(norms > 0, norms, 1)


def _chosen(kind: str, n: int) -> str:
    """Choose the kind of index by the number of codes."""
    if kind != "auto":
        return kind
    return "flat" if n <= FLAT_UP_TO else "hnsw" if n <= HNSW_UP_TO else "multihash"


def _built(codes: NDArray[np.uint8], kind: str) -> bytes:
    faiss = _faiss()
    width = 8 * codes.shape[1]
    if kind == "flat":
        index = faiss.IndexBinaryFlat(width)
    elif kind == "hnsw":
        index = faiss.IndexBinaryHNSW(width, 32)
    else:
        bits = min(16, width)  # of a hash table's key
        index = faiss.IndexBinaryMultiHash(width, width // bits, bits)
        index.nflip = 2
    index.add(np.ascontiguousarray(codes))
    data: bytes = faiss.serialize_index_binary(index).tobytes()
    return data


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ModelError("index: needs faiss; pip install 'hashbench[faiss]'") from error
    return faiss
