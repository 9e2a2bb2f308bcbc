"""Labels of a data set: what they say, at the size of what is said."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch

from benchmarks.evaluation.packing import PackedBits
from datasets import labels as labels_module
from datasets.contents import Contents
from datasets.digests import tensor_digest
from datasets.errors import DatasetError
from datasets.labels import Labels
from datasets.own.labels import from_matrix


@pytest.fixture(params=[(1, 1), (7, 3), (50, 8), (40, 21), (0, 5)])
def matrix(request):
    """Items of several classes, of one and of none."""
    generator = torch.Generator().manual_seed(1)
    matrix = torch.rand(request.param, generator=generator) < 0.3
    matrix[::5] = False
    return matrix


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(labels_module, "_BLOCK", 30)


def test_a_matrix_comes_back_and_has_its_sums(matrix):
    labels = Labels.of(matrix)
    assert torch.equal(labels.dense(), matrix)
    assert labels.shape == tuple(matrix.shape)
    assert len(labels) == len(matrix)
    assert torch.equal(labels.counts(), matrix.sum(1))
    assert torch.equal(labels.class_sizes(), matrix.sum(0))
    assert torch.equal(torch.stack(labels.pairs(), 1), matrix.nonzero())
    assert Labels.of(labels) is labels


def test_a_digest_is_that_of_the_matrix(matrix):
    labels = Labels.of(matrix)
    assert tensor_digest(labels) == tensor_digest(matrix)
    assert tensor_digest(torch.ones(2), labels, matrix) == tensor_digest(
        torch.ones(2), matrix, matrix
    )


def test_rows_are_packed_as_the_evaluation_packs_them(matrix):
    packed = Labels.of(matrix).packed().numpy()
    np.testing.assert_array_equal(packed, PackedBits.of(matrix).rows)


@pytest.mark.parametrize(
    "items",
    [torch.tensor([5, 0, 5, 3]), slice(2, 6), [1, 4], torch.arange(7) % 2 == 0, torch.arange(0)],
)
def test_some_items_keep_their_labels(items):
    matrix = torch.eye(7, 4).bool() | torch.eye(7, 4).roll(2, 0).bool()
    assert torch.equal(Labels.of(matrix)[items].dense(), matrix[items])


def test_class_numbers_and_pairs_say_the_same_as_a_matrix():
    classes = torch.tensor([3, 0, 1, 3])
    one_hot = torch.nn.functional.one_hot(classes, 5).bool()
    assert torch.equal(Labels.one_each(classes, 5).dense(), one_hot)
    shuffled = torch.tensor([2, 0, 3, 1, 0])
    labels = Labels.from_pairs(shuffled, classes[shuffled], 4, 5)
    assert torch.equal(labels.dense(), one_hot)


@pytest.mark.parametrize("wrong", [torch.zeros(3), torch.zeros(3, 2), torch.zeros(3, 0).bool()])
def test_anything_but_a_boolean_matrix_is_refused(wrong):
    with pytest.raises(ValueError, match=r"labels must be bool \(N, C\), got torch.*one-hot"):
        Labels.of(wrong)


def test_contents_of_other_labels_are_refused_in_one_line():
    with pytest.raises(DatasetError, match=r"data set: labels must be bool \(N, C\), got"):
        Contents(torch.tensor([1, 0, 2]))


def test_columns_are_checked_in_pieces_and_the_row_is_named():
    columns = np.eye(40, 6)
    assert torch.equal(from_matrix("doc", columns).dense(), torch.eye(40, 6).bool())
    columns[33, 2] = np.nan
    with pytest.raises(DatasetError, match=r"shape \(40, 6\) must be 0 or 1, got nan in row 33"):
        from_matrix("doc", columns)


def test_classes_without_items_cost_nothing():
    n, n_classes = 1000, 50_000
    tracemalloc.start()
    labels = Labels.one_each(torch.arange(n) % n_classes, n_classes)
    assert sum(t.nbytes for t in (labels.starts, labels.classes)) < 13 * n
    assert labels.packed().nbytes == n * n_classes // 8
    assert tracemalloc.get_traced_memory()[1] < n * n_classes / 100
    tracemalloc.stop()


SCORED = """
import resource, sys
import torch
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import protocol_info, score_codes, score_floats
from datasets import load
from datasets.contents import LoadOptions

torch.set_num_threads(1)
for path in sys.argv[1:]:
    data = load(f"features:{path}", LoadOptions(n_query=20, n_train=100, cutoff=100))
    query, database = data.features[data.query], data.features[data.database]
    score_floats(query, database, data)
    score_codes(PackedBits.of(query > 0), PackedBits.of(database > 0), data, "cpu")
    data.digest, protocol_info(data, "")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_data_of_thousands_of_classes_are_read_and_scored_in_a_part_of_their_matrix(tmp_path):
    n, paths = 12_000, []
    for n_classes in (20, 6000):
        paths.append(tmp_path / f"{n_classes}.npz")
        features = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
        np.savez(paths[-1], features=features, labels=np.arange(n) % n_classes)
    command = [sys.executable, "-c", SCORED, *map(str, paths)]
    few, many = map(int, subprocess.check_output(command, text=True).split())
    assert (many - few) * 1024 < 0.75 * n * 6000
