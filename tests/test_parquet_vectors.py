"""Vectors in columns of lists, in .npy files and in HDF5 files that need not lie in memory."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from datasets import load
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.files.parquet_vectors import read_lists
from datasets.files.vectors import read_vectors
from datasets.own import ann_file

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 6)).astype(np.float32)
Q = RNG.normal(size=(8, 6)).astype(np.float32)
NEAR = ((Q[:, None] - X) ** 2).sum(-1).argsort(1)[:, :12]


def write(path, rows, kind=None, name="emb", **columns):
    lists = pa.array([row.tolist() for row in rows], pa.list_(kind or pa.float32()))
    pq.write_table(pa.table({**columns, name: lists}), path, row_group_size=25)
    return path


@pytest.fixture
def folder(tmp_path):
    """The layout of VectorDBBench: shuffled rows in two files, neighbours by the ids of rows."""
    place, ids = tmp_path / "small", RNG.permutation(90) + 1000
    place.mkdir()
    for part, rows in enumerate((range(50), range(50, 90))):
        path = place / f"shuffle_train-0{part}-of-02.parquet"
        write(path, X[list(rows)], id=pa.array(ids[list(rows)]))
    write(place / "test.parquet", Q, id=pa.array(range(8)))
    write(place / "neighbors.parquet", ids[NEAR], pa.int64(), "neighbors_id", id=pa.array(range(8)))
    write(place / "scalar_labels.parquet", X)
    return place


@pytest.mark.parametrize("cached", [True, False])
def test_files_of_vectordbbench_are_read(folder, tmp_path, cached):
    data = load(f"vectors:{folder}", LoadOptions(cache=tmp_path / "cache" if cached else None))
    np.testing.assert_array_equal(data.features[data.database], X)
    np.testing.assert_array_equal(data.features[data.query], Q)
    np.testing.assert_array_equal(data.neighbours, NEAR)
    assert data.protocol.sizes == "8 queries, 90 train, 90 database, recall10@10"


def test_lists_are_mapped_from_the_cache_and_read_once(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", X)
    first = read_lists(path, tmp_path)
    monkeypatch.setattr("datasets.files.parquet_vectors._blocks", None)
    again = read_lists(path, tmp_path)
    assert isinstance(again, np.memmap)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(pa.float16(), np.float16), (pa.float64(), np.float32), (pa.uint8(), np.uint8)],
    ids=str,
)
def test_lists_keep_their_type_but_for_float64(tmp_path, monkeypatch, kind, expected):
    monkeypatch.setattr("datasets.files.parquet_vectors._ROWS", 7)
    rows = np.abs(X * 50).astype(kind.to_pandas_dtype())
    found = read_lists(write(tmp_path / "x.parquet", rows, kind))
    assert found.dtype == expected
    np.testing.assert_array_equal(found, rows.astype(expected))


def refusal(read, *given):
    with pytest.raises(DatasetError) as caught:
        read(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_lists_that_make_no_matrix_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.files.parquet_vectors._ROWS", 2)
    path = tmp_path / "x.parquet"
    write(path, [X[0], X[1], X[2], X[3, :4]])
    assert "row 0 has 6 and row 3 has 4" in refusal(read_lists, path)
    pq.write_table(pa.table({"emb": pa.array([[1.0, None]])}), path)
    assert "a list holds null" in refusal(read_lists, path)
    pq.write_table(pa.table({"a": pa.array([[1.0]]), "b": pa.array([[1]])}), path)
    assert "found a, b" in refusal(read_lists, path)
    pq.write_table(pa.table({"emb": pa.array([], pa.list_(pa.float32()))}), path)
    assert "holds no row" in refusal(read_lists, path)
    path.write_bytes(b"no")
    assert "not a readable parquet file" in refusal(read_lists, path)


def test_neighbours_of_no_row_are_named(folder):
    write(folder / "neighbors.parquet", NEAR, pa.int64(), "neighbors_id")
    assert f"neighbours name the row {NEAR[0, 0]}" in refusal(load, f"vectors:{folder}")


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_features_without_labels_are_one_array(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, X.astype(np.float16))
    else:
        write(path, X.astype(np.float16), pa.float16())
    data = load(f"features:{path}", LoadOptions(cache=tmp_path / "cache", n_query=5))
    assert data.protocol.label.endswith("/5q-85t+knn10-l2")
    assert data.features.dtype == torch.float16
    np.testing.assert_array_equal(data.features[:], X.astype(np.float16))


def test_arrays_that_are_no_vectors_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", X.astype("V2"))  # as bfloat16 is written
    told = "expected numbers (N, D), got |V2 (90, 6); bfloat16 is read from .safetensors"
    assert told in refusal(read_vectors, tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    assert "cannot be read" in refusal(read_vectors, tmp_path / "x.npy")


@pytest.fixture
def hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")

    def written(name, **stored):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["distance"] = "euclidean"
            file.create_dataset("train", data=X, **stored)
            file["test"], file["neighbors"] = Q, NEAR
        return f"ann:{tmp_path / name}"

    return written


@pytest.mark.parametrize("stored", [{}, {"chunks": (9, 6), "compression": "gzip"}], ids=str)
def test_arrays_of_hdf5_are_mapped_where_they_lie_in_one_piece(hdf5, stored):
    name = hdf5("x.hdf5", **stored)
    data = load(name)
    with pytest.importorskip("h5py").File(name.removeprefix("ann:")) as file:
        found = ann_file._array(file.filename, name, file, "train")
    assert isinstance(found, np.memmap) == (not stored)
    np.testing.assert_array_equal(data.features[data.database], X)


def test_files_called_as_those_of_ann_benchmarks_are_those(hdf5, monkeypatch):
    name = hdf5("sift-128-euclidean.hdf5")
    told = refusal(load, name)
    assert "states 1,000,000 and 10,000 vectors of 128, euclidean, found 90 and 8 vectors" in told
    sizes = {"sift-128-euclidean": (90, 8, 6, "euclidean")}
    monkeypatch.setattr(ann_file, "ANN_BENCHMARKS", sizes)
    own = hashlib.sha256(Path(name.removeprefix("ann:")).read_bytes()).hexdigest()
    told = refusal(load, name)
    assert "has SHA-256 dd6f0a6ed6b7ebb8934680f861a33ed01ff33991eaee4fd60914d854a0ca5984" in told
    assert f"this one {own}; fetch it again, or give it another name" in told
    monkeypatch.setitem(ann_file.SHA256, "sift-128-euclidean", own)
    assert any("by its SHA-256" in note for note in load(name).notes)
    monkeypatch.delitem(ann_file.SHA256, "sift-128-euclidean")
    assert any("no digest of it is known" in note for note in load(name).notes)
