"""Truth by neighbours: found exactly, counted exactly over ties."""

import itertools

import numpy as np
import pytest
import torch

from benchmarks.evaluation.metrics import average_precision, recall_at
from benchmarks.evaluation.neighbours import (
    DISTANCES,
    Neighbours,
    evaluate_neighbours,
    find_neighbours,
    neighbour_metrics,
    neighbour_recall,
    oversampling,
    rank_neighbours,
)
from benchmarks.evaluation.packing import PackedBits


def brute(q, x, k, distance):
    q, x = q.astype(np.float64), x.astype(np.float64)
    if distance == "cosine":
        q, x = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (q, x))
    far = ((q[:, None] - x) ** 2).sum(-1) if distance == "l2" else -(q @ x.T)
    last = np.sort(far, 1)[:, k - 1 : k]
    return [set(np.flatnonzero(row <= end + 1e-12)) for row, end in zip(far, last, strict=True)]


def sets(found):
    return [set(found.rows[a:b]) for a, b in itertools.pairwise(found.starts)]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("k", [1, 7, 300])
def test_neighbours_are_those_of_all_pairs(distance, k, monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.neighbours._PAIRS", 1000)
    rng = np.random.default_rng(0)
    q, x = (rng.normal(size=(n, 9)).astype(np.float32) + 30 for n in (13, 300))
    found = find_neighbours(torch.from_numpy(q), torch.from_numpy(x), k, distance)
    assert sets(found) == brute(q, x, k, distance)
    for a, b in itertools.pairwise(found.starts):
        assert (np.diff(found.distances[a:b]) >= 0).all()


def test_rows_as_far_as_the_kth_are_neighbours_too():
    x = torch.tensor([[0.0], [1.0], [-1.0], [1.0], [5.0]])
    found = find_neighbours(torch.tensor([[0.0]]), x, 2, "l2")
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.nearest(1).rows.tolist() == [0]
    assert found.nearest(2).rows.tolist() == [0, 1, 2, 3]


def test_close_calls_are_decided_in_float64():
    far = 1e4
    x = torch.tensor([[far + 1e-3 * i, 0.0] for i in range(50)], dtype=torch.float64)
    q = torch.tensor([[far, 0.0]], dtype=torch.float64)
    assert find_neighbours(q, x, 5, "l2").rows.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("k", "distance", "told"),
    [
        (0, "l2", "k must be in 1..3"),
        (4, "l2", "k must be in 1..3"),
        (1, "cosine", "1 of the database are zero, the first is row 2"),
    ],
)
def test_what_cannot_be_found_is_said(k, distance, told):
    x = torch.tensor([[1.0], [2.0], [0.0]])
    with pytest.raises(ValueError, match=told):
        find_neighbours(torch.ones(1, 1), x, k, distance)
    with pytest.raises(ValueError, match="k must be in"):
        Neighbours.given(np.zeros((2, 3), np.int64)).nearest(4)


@pytest.fixture
def case():
    rng = np.random.default_rng(1)
    q, x = (rng.normal(size=(n, 6)).astype(np.float32) for n in (5, 40))
    codes = [PackedBits.of(v[:, :4] > 0) for v in (q, x)]  # four bits: many ties
    return codes, find_neighbours(torch.from_numpy(q), torch.from_numpy(x), 6, "l2")


def orders(codes, truth, query):
    """Hits at every rank over random orders of ties, (orders, M)."""
    rng = np.random.default_rng(2)
    bits = [c.unpack() for c in codes]
    far = (bits[0][query] != bits[1]).sum(1)
    relevant = np.zeros(len(far), bool)
    relevant[truth.rows[truth.starts[query] : truth.starts[query + 1]]] = True
    shuffled = (np.lexsort((rng.random(len(far)), far)) for _ in range(4000))
    return np.stack([relevant[order].cumsum() for order in shuffled])


@pytest.mark.parametrize(("k", "n"), [(6, 6), (6, 12), (3, 3), (2, 7), (1, 40)])
def test_recall_is_the_mean_over_orders_of_ties(case, k, n):
    codes, truth = case
    stats = evaluate_neighbours(*codes, [truth], "cpu")[0]
    recall = neighbour_recall(stats, k, n)
    for query in range(3):
        hits = np.minimum(orders(codes, truth, query)[:, n - 1], k) / k
        assert recall[query] == pytest.approx(hits.mean(), abs=5 * hits.std() / 63 + 1e-9)
        for ties, end in (("best", hits.max()), ("worst", hits.min())):
            assert neighbour_recall(stats, k, n, ties)[query] == pytest.approx(end)


def test_counts_are_those_of_labels_where_each_query_is_a_class(case):
    codes, truth = case
    stats = evaluate_neighbours(*codes, [truth], "cpu")[0]
    for query in range(len(truth)):
        bits = codes[0].unpack()[query] != codes[1].unpack()
        assert stats.items[query].tolist() == np.bincount(bits.sum(1), minlength=5).tolist()
        rows = truth.rows[truth.starts[query] : truth.starts[query + 1]]
        expected = np.bincount(bits[rows].sum(1), minlength=5)
        assert stats.relevant[query].tolist() == expected.tolist()
    assert (stats.relevant.sum(1) == 6).all()


def test_reranking_by_the_true_distance_gives_this_recall():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 8)).astype(np.float32)
    q = rng.normal(size=(20, 8)).astype(np.float32)
    planes = rng.normal(size=(8, 60))
    codes = [PackedBits.of(v @ planes > 0) for v in (q, x)]
    truth = find_neighbours(torch.from_numpy(q), torch.from_numpy(x), 5, "l2")
    stats = evaluate_neighbours(*codes, [truth], "cpu")[0]
    for n in (5, 20, 50):
        far = (codes[0].unpack()[:, None] != codes[1].unpack()).sum(-1)
        found = []
        for _ in range(30):
            first = np.lexsort((rng.random(far.shape), far))[:, :n]
            true = ((q[:, None] - x[first]) ** 2).sum(-1)
            kept = np.take_along_axis(first, true.argsort(1)[:, :5], 1)
            found.append([len(s & set(r)) / 5 for s, r in zip(sets(truth), kept, strict=True)])
        assert neighbour_recall(stats, 5, n).mean() == pytest.approx(np.mean(found), abs=0.02)


def test_floats_find_their_own_neighbours():
    x = torch.nn.functional.normalize(torch.randn(300, 7, dtype=torch.float64)).float()
    truth = find_neighbours(x[:40], x[40:], 10, "cosine")
    parts = list(rank_neighbours(x[:40], x[40:], truth, device="cpu"))
    assert sum(len(part.items) for part in parts) == 40
    for part in parts:
        np.testing.assert_allclose(neighbour_recall(part, 10, 10), 1)
        np.testing.assert_allclose(average_precision(part), 1)
    assert oversampling(parts, 10) == pytest.approx(1, abs=0.1)


def test_oversampling_is_the_least_that_reaches_the_recall(case):
    codes, truth = case
    stats = evaluate_neighbours(*codes, [truth], "cpu")[0]
    n = round(oversampling([stats], 6) * 6)
    assert neighbour_recall(stats, 6, n).mean() >= 0.95
    assert neighbour_recall(stats, 6, n - 1).mean() < 0.95


def test_metrics_are_named_by_neighbours_and_items_looked_at(case):
    codes, truth = case
    metrics = neighbour_metrics(evaluate_neighbours(*codes, [truth], "cpu")[0], 6)
    expected = [f"recall6@{n}" for n in (6, 12, 24)]
    assert list(metrics) == [*expected, "recall6@6:best", "recall6@6:worst"]
    stats = evaluate_neighbours(*codes, [truth], "cpu")[0]
    np.testing.assert_allclose(metrics["recall6@12"], recall_at(stats, 12))


def test_ranks_of_faiss_average_to_the_same_recall():
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 16)).astype(np.float32)
    planes = rng.normal(size=(16, 16))
    truth = find_neighbours(torch.from_numpy(x[:30]), torch.from_numpy(x[30:]), 10, "l2")
    codes = [PackedBits.of(v @ planes > 0) for v in (x[:30], x[30:])]
    recall = neighbour_recall(evaluate_neighbours(*codes, [truth], "cpu")[0], 10, 20).mean()
    found = []
    for _ in range(200):
        order = rng.permutation(370)
        index = faiss.IndexBinaryFlat(16)
        index.add(np.ascontiguousarray(codes[1].rows[order]))
        _, near = index.search(codes[0].rows, 20)
        hits = [len(s & set(order[r])) / 10 for s, r in zip(sets(truth), near, strict=True)]
        found.append(np.mean(hits))
    assert recall == pytest.approx(np.mean(found), abs=4 * np.std(found) / 200**0.5)
