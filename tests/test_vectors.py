"""Vectors in the formats of nearest-neighbour search."""

import numpy as np
import pytest

from datasets.errors import DatasetError
from datasets.files.vectors import PLAIN, read_vectors

KINDS = {"f": "<f4", "b": "u1", "i": "<i4", "u": "u1"}
X = np.arange(12).reshape(3, 4) % 7


def written(path, x=X, header=None):
    kinds = {".i8bin": "i1", ".fbin": "<f4", ".f16bin": "<f2", ".u8bin": "u1", ".ibin": "<i4"}
    kind = kinds.get(path.suffix)
    if kind:
        head = np.array(header or x.shape, "<u4").tobytes()
        path.write_bytes(head + x.astype(kind).tobytes())
    else:
        width = np.array([header or x.shape[1]], "<i4").tobytes()
        rows = x.astype(KINDS[path.suffix[1]])
        path.write_bytes(b"".join(width + row.tobytes() for row in rows))
    return path


@pytest.mark.parametrize("suffix", PLAIN)
def test_rows_are_read_as_they_were_written(tmp_path, suffix):
    found = read_vectors(written(tmp_path / f"x{suffix}"))
    np.testing.assert_array_equal(found, X)
    assert isinstance(found, np.memmap)


def refusal(path):
    with pytest.raises(DatasetError) as caught:
        read_vectors(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".fvecs", ".bvecs", ".fbin"])
def test_a_truncated_file_is_refused_by_its_row(tmp_path, suffix):
    path = written(tmp_path / f"x{suffix}")
    path.write_bytes(path.read_bytes()[:-1])
    assert "truncated in row 2" in refusal(path)


def test_headers_that_make_no_sense_are_refused(tmp_path):
    path = tmp_path / "x.fvecs"
    path.write_bytes(np.array([4, 0, 0, 0, 0], ">i4").tobytes())
    assert "as a big-endian number it is 4" in refusal(path)
    path.write_bytes(b"")
    assert "no vector" in refusal(path)
    whole = tmp_path / "x.fbin"
    whole.write_bytes(b"123")
    assert "truncated in its header" in refusal(whole)
    whole.write_bytes(np.array([3, 4], ">u4").tobytes() + X.astype("<f4").tobytes())
    assert "big-endian" in refusal(whole)
    assert "cannot be read" in refusal(tmp_path / "none.fbin")


def test_rows_of_another_width_are_refused(tmp_path):
    rows = np.array([[4, 0, 0, 0, 0], [4, 0, 0, 0, 0], [3, 0, 0, 0, 0]], "<i4")
    (tmp_path / "x.ivecs").write_bytes(rows.tobytes())
    assert "row 0 has 4 and row 2 has 3" in refusal(tmp_path / "x.ivecs")


def test_files_of_texmex_are_read(shared_data):
    folder = shared_data / "vectors"
    assert read_vectors(folder / "siftsmall_query.fvecs").shape == (100, 128)
    truth = read_vectors(folder / "siftsmall_groundtruth.ivecs")
    assert truth.shape == (100, 100)
    assert 0 <= truth.min() <= truth.max() < 10_000
    base = read_vectors(folder / "sift5k_base.bvecs")
    assert base.shape == (4500, 128)
    query = read_vectors(folder / "sift5k_query.bvecs")
    near = read_vectors(folder / "sift5k_groundtruth.ivecs")
    far = ((query[:20, None].astype(float) - base[None].astype(float)) ** 2).sum(-1)
    for row, expected in zip(far, near, strict=False):
        np.testing.assert_allclose(np.sort(row)[:100], row[expected])
