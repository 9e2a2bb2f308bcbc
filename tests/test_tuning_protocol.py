"""Settings are chosen on training images alone: the protocols whose names end in +tune."""

import numpy as np
import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.digests import tensor_digest
from datasets.errors import DatasetError
from datasets.protocols.table import PROTOCOLS
from tests.own_data import features, tree


def rows(data):
    return {part: set(getattr(data, part).tolist()) for part in ("train", "query", "database")}


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_tuning_looks_at_training_rows_alone(name):
    data, chosen = rows(datasets.load(name)), rows(datasets.load(f"{name}+tune"))
    assert chosen["query"] | chosen["train"] == data["train"]
    assert not chosen["query"] & (chosen["train"] | data["query"])
    assert chosen["database"] == chosen["train"]
    assert len(chosen["query"]) == len(data["train"]) // 5


def test_rows_that_are_set_aside_are_pinned():
    data = datasets.load("digits/300-1497+tune")
    assert tensor_digest(data.train, data.query)[:16] == "95d02666ebb65176"


def test_what_is_set_aside_is_in_the_digest():
    data = datasets.load("digits/300-1497+tune")
    moved = datasets.load("digits/300-1497+tune")
    moved.query[0], moved.train[0] = data.train[0].item(), data.query[0].item()
    assert moved.digest != data.digest


def test_each_protocol_is_tuned_by_one_of_its_own():
    of_all = [p for known in PROTOCOLS.values() for p in known.values()]
    tuned = [p.for_tuning() for p in of_all]
    assert len({p.digest for p in (*of_all, *tuned)}) == 2 * len(of_all)
    assert all(p.n_query + p.n_train == p.tunes.n_train for p in tuned)


def test_neighbours_decide_where_the_name_says_so():
    data = datasets.load("digits+tune+knn3-l2")
    assert data.protocol.label == "digits/300-1497+tune+knn3-l2"
    assert (data.protocol.neighbours, data.protocol.n_query) == (3, 299)


def test_data_of_a_user_are_tuned_the_same_way(tmp_path):
    name = f"folder:{tree(tmp_path / 'birds')}"
    data, chosen = datasets.load(name), datasets.load(f"{name}+tune")
    assert rows(chosen)["query"] < rows(data)["train"]
    assert chosen.protocol.label == f"{data.protocol.label}+tune"
    assert datasets.full_name(f"{name}/+tune") == f"{name}+tune"


def test_neighbours_that_came_with_the_data_are_not_those_of_other_queries(tmp_path):
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "some.hdf5", "w") as file:
        file["train"] = rng.normal(size=(40, 4)).astype(np.float32)
        file["test"] = rng.normal(size=(5, 4)).astype(np.float32)
        file["neighbors"] = np.zeros((5, 1), np.int64) + np.arange(1)
        file.attrs["distance"] = "euclidean"
    name = f"ann:{tmp_path / 'some.hdf5'}"
    assert datasets.load(name).neighbours is not None
    chosen = datasets.load(f"{name}+tune")
    assert chosen.neighbours is None
    assert chosen.protocol.neighbours == 10


def test_rows_that_are_absent_are_left_out_after_the_split(tmp_path):
    root = tree(tmp_path / "birds")
    whole = datasets.load(f"folder:{root}+tune")
    lost = whole.images.name(int(whole.query[0]))
    next(root.rglob(lost.split("/")[-1])).write_bytes(b"")
    found = datasets.load(f"folder:{root}+tune", LoadOptions(allow_missing=True))
    assert found.protocol.label.endswith(f"+tune~{len(whole.labels) - 1}")


def test_too_few_training_rows_are_refused(tmp_path):
    name = f"features:{features(tmp_path / 'few.npz', n=8)}+tune"
    with pytest.raises(DatasetError, match="a fifth of the training rows aside, and there are 4"):
        datasets.load(name, LoadOptions(n_query=2, n_train=4))


def test_a_source_that_has_two_sets_of_labels_gives_those_of_the_protocol(monkeypatch):
    from datasets import sources
    from datasets.contents import Contents

    asked = []

    def source(protocol, options):
        asked.append(protocol.name)
        return Contents(
            torch.eye(2, dtype=torch.bool).repeat(1050, 1), features=torch.rand(2100, 3)
        )

    monkeypatch.setitem(sources.DATASETS, "ucmerced", source)
    datasets.load("ucmerced/scene+tune")
    datasets.load("ucmerced/scene+knn5-l2")
    assert asked == ["scene", "scene"]
