"""Files of ann-benchmarks as strangers may write them: what is wrong is one line."""

import os

import numpy as np
import pytest

from datasets import load
from datasets.contents import LoadOptions
from datasets.errors import DatasetError

h5py = pytest.importorskip("h5py", reason="extra ann is not installed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 8)).astype(np.float32)
Q = X[:20] + np.float32(0.01)
NEAR = np.argsort(((Q[:, None] - X) ** 2).sum(-1), 1)[:, :30]


def written(path, **changes):
    with h5py.File(path, "w") as file:
        for name, value in ({"train": X, "test": Q, "neighbors": NEAR} | changes).items():
            if callable(value):
                value(file)
            elif value is not None:
                file[name] = value
    return path


def refusal(path):
    with pytest.raises(DatasetError) as caught:
        load(f"ann:{path}", LoadOptions())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": None}, "looked for train and test, found neighbors, test"),
        ({"train": lambda file: file.create_group("train")}, "train must be an array in this file"),
        ({"train": np.float32(3)}, r"train must be vectors \(N, D\), got float32 \(\)"),
        ({"train": X[:, 0]}, "train must be vectors"),
        ({"train": np.array([[b"a"]])}, "train must be vectors"),
        ({"train": X.astype(complex)}, "train must be vectors"),
        ({"train": np.zeros((0, 8))}, "train must be vectors"),
        ({"test": Q[:, :5]}, "base and query must have equal width, got 8 and 5"),
        ({"neighbors": NEAR.astype(float)}, "neighbours must be rows of the base"),
        ({"neighbors": NEAR[:7]}, "a row for each of 20 queries"),
        ({"neighbors": NEAR - 50}, "neighbours must be in 0..299"),
        ({"neighbors": NEAR // 2}, "neighbours must be different rows, query 0 has"),
        ({"x": lambda file: file.attrs.update(distance="\x1b[2J")}, r"got '\\x1b\[2J'"),
    ],
)
def test_parts_that_make_no_sense_are_refused(tmp_path, changes, told):
    path = written(tmp_path / "x.hdf5", **changes)
    with pytest.raises(DatasetError, match=told):
        load(f"ann:{path}", LoadOptions())


def test_an_array_of_more_than_is_there_is_never_read(tmp_path):
    def huge(file):
        file.create_dataset("train", (10**9, 10**5), "f4", chunks=(1000, 1000))

    told = refusal(written(tmp_path / "x.hdf5", train=huge))
    assert "train tells of 400,000,000,000,000 bytes and 0 are there" in told
    packed = written(
        tmp_path / "y.hdf5",
        train=lambda file: file.create_dataset("train", data=X, compression="gzip"),
    )
    assert load(f"ann:{packed}").neighbours.shape == (20, 30)


def test_no_other_file_is_read_than_the_one_that_was_named(tmp_path):
    other = written(tmp_path / "other.hdf5")
    raw = tmp_path / "raw"
    raw.write_bytes(X.tobytes())
    layout = h5py.VirtualLayout(X.shape, "f4")
    layout[:] = h5py.VirtualSource(str(other), "train", X.shape)

    def link(to):
        return lambda file: file.__setitem__("train", to)

    for change in (
        link(h5py.ExternalLink(str(other), "/train")),
        link(h5py.ExternalLink(str(tmp_path / "none"), "/train")),
        link(h5py.SoftLink("/nowhere")),
        lambda file: file.create_virtual_dataset("train", layout),
        lambda file: file.create_dataset(
            "train", X.shape, "f4", external=[(str(raw), 0, X.nbytes)]
        ),
    ):
        told = refusal(written(tmp_path / "x.hdf5", train=change))
        assert "train must be an array in this file" in told or "looked for train" in told


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_one_line_or_other_numbers(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = written(tmp_path / "x.hdf5")
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, 4000, 8):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    try:
        data = load(f"ann:{path}")
    except DatasetError as error:
        lines = str(error).count("\n")
    else:
        lines = 0
        assert data.features.isfinite().all()
    assert lines == 0


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = written(tmp_path / "x.hdf5")
    os.truncate(path, int(share * path.stat().st_size))
    assert "cannot be read" in refusal(path)


def test_what_is_no_file_is_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path)
    assert "none.hdf5" in refusal(tmp_path / "none.hdf5")
