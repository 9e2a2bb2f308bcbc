"""Asymmetric distance: sums, levels, and re-ranking that is exact over ties."""

import numpy as np
import pytest
import torch

from benchmarks import repro, rescore, run
from benchmarks.evaluation.asymmetric import (
    _sums,
    asymmetric_neighbours,
    rank_asymmetric,
    reranked_recall,
    rounded,
)
from benchmarks.evaluation.float_ranking import rank_floats
from benchmarks.evaluation.metrics import average_precision
from benchmarks.evaluation.neighbours import (
    evaluate_neighbours,
    find_neighbours,
    neighbour_recall,
    rank_neighbours,
)
from benchmarks.evaluation.packing import PackedBits
from methods.itq import ITQ
from results.store.store import ResultStore


@pytest.fixture(params=[2**24, 100], ids=["at once", "in blocks"])
def case(request, monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.asymmetric._PAIRS", request.param)
    rng = np.random.default_rng(1)
    q, x = (rng.normal(size=(n, 6)).astype(np.float32) for n in (7, 300))
    x[50:100] = x[:50]  # equal rows tie
    scores = rounded(torch.from_numpy(q[:, :5]))
    codes = [PackedBits.of(v[:, :5] > 0) for v in (q, x)]  # five bits: many ties
    return scores, *codes, find_neighbours(torch.from_numpy(q), torch.from_numpy(x), 6, "l2")


def plain_sums(scores, database):
    return scores.astype(np.int64) @ (2 * database.unpack().astype(np.int64) - 1).T


def test_scores_keep_their_order_and_their_zeros():
    scores = torch.tensor([[1e-20, -3e-20, 0.0], [5e30, 5e30, -1e30]])
    assert rounded(scores).tolist() == [[10922, -32767, 0], [32767, 32767, -6553]]
    with pytest.raises(ValueError, match="those of query 1 are not"):
        rounded(torch.tensor([[0.0], [float("nan")]]))


def test_levels_by_labels_are_those_of_a_ranking_by_the_sums(case):
    scores, _, database, _ = case
    rng = np.random.default_rng(2)
    labels = [PackedBits.of(rng.random((n, 3)) < 0.4) for n in (7, 300)]
    found = [
        average_precision(stats, 50)
        for stats in rank_asymmetric(scores, labels[0], database, labels[1])
    ]
    signs = 2.0 * database.unpack() - 1
    by_product = rank_floats(
        scores.astype(float), labels[0], signs, labels[1], rule="inner product", device="cpu"
    )
    expected = np.concatenate([average_precision(stats, 50) for stats in by_product])
    np.testing.assert_allclose(np.concatenate(found), expected)


@pytest.mark.parametrize("bits", [3, 512, 32767])
def test_sums_are_exact_at_every_length(bits):
    rng = np.random.default_rng(3)
    scores = rng.integers(32000, 32768, (5, bits), np.int16)
    database = PackedBits.of(rng.random((40, bits)) < 0.9)
    ((rows, sums),) = _sums(scores, database)
    assert rows == slice(0, 5)
    np.testing.assert_array_equal(sums, scores.astype(np.int64) @ database.unpack().T)


def test_neighbours_are_counted_by_level_as_a_ranking_by_the_sums_counts_them(case):
    scores, _, database, truth = case
    nearest = [truth.nearest(2), truth]
    parts = list(asymmetric_neighbours(scores, database, nearest))
    signs = torch.from_numpy(2.0 * database.unpack() - 1)
    for of, k, own in ((0, 2, nearest[0]), (1, 6, truth)):
        by_product = list(
            rank_neighbours(
                torch.from_numpy(scores.astype(float)), signs, own, "inner product", "cpu"
            )
        )
        for n in (k, 40, 300):
            found = np.concatenate([neighbour_recall(part[of], k, n) for part in parts])
            expected = [neighbour_recall(part, k, n) for part in by_product]
            np.testing.assert_allclose(found, np.concatenate(expected))


def test_reranked_recall_is_the_mean_over_orders_of_ties(case):
    scores, query, database, truth = case
    far = (query.unpack()[:, None] != database.unpack()).sum(-1)
    sums = plain_sums(scores, database)
    recall = reranked_recall(scores, query, database, truth, 6, [6, 12, 60, 300])
    rng = np.random.default_rng(4)
    for n, found in recall.items():
        for q in range(3):
            hits = []
            for _ in range(3000):
                chance = rng.random(300)
                first = np.lexsort((chance, far[q]))[:n]
                again = np.lexsort((chance[first], far[q, first], -sums[q, first]))
                hits.append(np.isin(first[again[:6]], truth.of(q)).mean())
            assert found[q] == pytest.approx(np.mean(hits), abs=5 * np.std(hits) / 54 + 1e-9)


def test_re_ranking_everything_is_the_asymmetric_ranking_itself():
    rng = np.random.default_rng(5)
    q, x = (rng.normal(size=(n, 16)).astype(np.float32) for n in (20, 200))
    codes = [PackedBits.of(v > 0) for v in (q, x)]
    scores = rounded(torch.from_numpy(q))
    truth = find_neighbours(torch.from_numpy(q), torch.from_numpy(x), 10, "l2")
    (parts,) = asymmetric_neighbours(scores, codes[1], [truth])
    recall = reranked_recall(scores, *codes, truth, 10, [10, 200])
    np.testing.assert_allclose(recall[200], neighbour_recall(parts[0], 10, 10))
    (hamming,) = evaluate_neighbours(*codes, [truth], "cpu")
    np.testing.assert_allclose(recall[10], neighbour_recall(hamming, 10, 10))
    assert recall[200].mean() > recall[10].mean()


def test_real_sift_is_found_better_by_scores_than_by_bits(shared_data):
    h5py = pytest.importorskip("h5py")
    with h5py.File(shared_data / "vectors/sift5k-128-euclidean.hdf5") as file:
        x, q, near = (torch.from_numpy(file[name][()]) for name in ("train", "test", "neighbors"))
    torch.manual_seed(0)
    itq = ITQ(128, 64).fit(x)
    codes = [PackedBits.of(itq.encode(v)) for v in (q, x)]
    truth = find_neighbours(q, x, 10, "l2")
    assert (truth.rows.reshape(-1, 10)[:, 0] == near[:, 0].numpy()).all()
    (hamming,) = evaluate_neighbours(*codes, [truth], "cpu")
    ((asym,),) = asymmetric_neighbours(rounded(itq.project(q)), codes[1], [truth])
    recalls = [neighbour_recall(stats, 10, 10).mean() for stats in (hamming, asym)]
    assert recalls == pytest.approx([0.258, 0.334], abs=0.02)


@pytest.mark.parametrize("relevance", ["labels", "knn"])
def test_a_run_keeps_what_asymmetric_distances_take(tmp_path, capsys, relevance):
    places = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache", "--device", "cpu"]
    small = ["--methods", "pcah", "--bits", "16", "--seeds", "1", "--no-report"]
    call = [*small, *places, "--relevance", relevance]
    assert run.main(call) == 0
    assert run.main([*call, "--asym", "--dry-run"]) == 0
    assert "--asym for 2 cells stored without it" in capsys.readouterr().out  # float has no codes
    assert run.main([*call, "--asym", "--force"]) == 0
    store = ResultStore(tmp_path / "out")
    (record,) = (r for r in store.records() if r.method == "pcah")
    arrays = store.arrays(store.locate(record))
    assert arrays["query_scores"].dtype == np.int16
    codes = np.unpackbits(arrays["query_codes"], axis=1)
    assert ((arrays["query_scores"] > 0) == codes).all()
    asym = {name for name in record.metrics if name.startswith("asym.")}
    own = {"asym.mAP", "asym.mAP@100"}
    assert asym >= ({"asym.recall10@40", "asym.rerank10@40"} if relevance == "knn" else own)
    name = record.protocol_info["metric"]
    assert record.metrics[f"asym.{name}"] > record.metrics[name]
    if relevance == "labels":
        assert rescore.main(["--out", f"{tmp_path}/out", "--no-report"]) == 0
        assert "0 changed" in capsys.readouterr().out
    assert repro.main([str(store.locate(record)), "--cache", f"{tmp_path}/cache"]) == 0
    assert "asym" not in capsys.readouterr().out
    assert run.main([*call, "--asym", "--dry-run"]) == 0
    assert "--asym for" not in capsys.readouterr().out
