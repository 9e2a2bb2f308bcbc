"""Data sets whose truth is neighbours, from file to leaderboard."""

import itertools
import json

import numpy as np
import pytest

from benchmarks import repro, rescore, run, score
from datasets import full_name, load
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from results.store.store import ResultStore

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 8)).astype(np.float32)
Q = RNG.normal(size=(20, 8)).astype(np.float32)
NEAR = ((Q[:, None] - X) ** 2).sum(-1).argsort(1)[:, :30]


def fvecs(path, x):
    kind, width = (x.astype("<i4"), x.shape[1]) if path.suffix == ".ivecs" else (x, x.shape[1])
    head = np.full((len(x), 1), width, "<i4")
    path.write_bytes(np.hstack([head, np.ascontiguousarray(kind).view("<i4")]).tobytes())


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "tiny"
    place.mkdir()
    fvecs(place / "tiny_base.fvecs", X)
    fvecs(place / "tiny_query.fvecs", Q)
    fvecs(place / "tiny_groundtruth.ivecs", NEAR)
    return place


def call(folder, *arguments):
    small = ["--methods", "lsh", "pcah", "--bits", "16", "--seeds", "2", "--no-report"]
    places = ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--device", "cpu"]
    return run.main([*small, *places, *map(str, arguments)])


def records(folder, method="lsh"):
    found = ResultStore(folder / "out").records()
    return [record for record in found if record.method == method]


def test_vectors_are_scored_by_the_neighbours_that_they_bring(folder, tmp_path, capsys):
    assert call(tmp_path, "--datasets", f"vectors:{folder}") == 0
    record, *_ = records(tmp_path)
    assert record.protocol == "20q-300t+knn10-l2"
    assert record.protocol_info["relevance"] == "one of the 10 nearest by Euclidean distance"
    assert {"recall1@1", "recall10@10", "recall10@100", "oversample10@95", "mAP"} <= set(
        record.metrics
    )
    assert not any(name.startswith("mAP@") for name in record.metrics)
    arrays = ResultStore(tmp_path / "out").arrays(ResultStore(tmp_path / "out").locate(record))
    bits = [np.unpackbits(arrays[f"{part}_codes"], axis=1) for part in ("query", "database")]
    far = (bits[0][:, None] != bits[1]).sum(-1)
    recalls = []
    for distances, near in zip(far, NEAR[:, :10], strict=True):
        last = np.sort(distances)[9]
        below, tied = distances < last, distances == last
        share = (10 - below.sum()) / tied.sum()
        recalls.append((below[near].sum() + share * tied[near].sum()) / 10)
    assert record.metrics["recall10@10"] == pytest.approx(np.mean(recalls))
    np.testing.assert_allclose(arrays["query_ap"], recalls, rtol=1e-6)
    assert "recall10@10" in capsys.readouterr().out


def test_neighbours_that_are_found_are_those_that_are_given(folder, tmp_path):
    assert call(tmp_path, "--datasets", f"vectors:{folder}") == 0
    given = [record.metrics["recall10@10"] for record in records(tmp_path)]
    (folder / "tiny_groundtruth.ivecs").unlink()
    assert call(tmp_path / "found", "--datasets", f"vectors:{folder}") == 0
    found = [record.metrics["recall10@10"] for record in records(tmp_path / "found")]
    assert found == pytest.approx(given)


def test_a_file_of_ann_benchmarks_is_the_same_data(folder, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "tiny.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = "euclidean"
        file["train"], file["test"], file["neighbors"] = X, Q, NEAR
    ours, theirs = (load(f"{kind}:{place}") for kind, place in (("vectors", folder), ("ann", path)))
    np.testing.assert_array_equal(ours.features, theirs.features)
    np.testing.assert_array_equal(ours.neighbours, theirs.neighbours)
    assert theirs.protocol.label.endswith("+knn10-l2")


def test_real_sift_is_read_in_both_layouts(shared_data):
    pytest.importorskip("h5py")
    folder = shared_data / "vectors"
    data = load(f"ann:{folder / 'sift5k-128-euclidean.hdf5'}")
    assert data.protocol.sizes == "500 queries, 4,500 train, 4,500 database, recall10@10"
    assert data.neighbours.shape == (500, 100)


def test_any_data_set_can_be_asked_for_neighbours(tmp_path):
    assert call(tmp_path, "--datasets", "digits", "--relevance", "knn:5:cosine") == 0
    assert {record.protocol for record in records(tmp_path)} == {"300-1497+knn5-cosine"}
    assert call(tmp_path, "--datasets", "digits") == 0
    assert {record.protocol for record in records(tmp_path)} == {"300-1497", "300-1497+knn5-cosine"}
    (floats,) = (r for r in records(tmp_path, "float") if "knn" in r.protocol)
    assert floats.metrics["recall5@5"] == 1
    record = next((tmp_path / "out/runs/digits").glob("*knn5*/*/lsh/16-0*.json"))
    assert repro.main([str(record), "--cache", f"{tmp_path}/cache", "--device", "cpu"]) == 0


def test_features_without_labels_are_scored_by_neighbours(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", features=X)
    name = f"features:{tmp_path}/x.npz"
    assert call(tmp_path, "--datasets", name) == 0
    (record,) = {r.protocol for r in records(tmp_path)}
    assert record.endswith("+knn10-l2")
    assert call(tmp_path, "--datasets", name, "--relevance", "labels") == 2
    assert "has no labels; give --relevance knn" in capsys.readouterr().err


def test_submitted_codes_are_scored_by_neighbours(folder, tmp_path, capsys):
    np.savez(tmp_path / "codes.npz", query_codes=Q > 0, database_codes=X > 0)
    flags = ["--codes", f"{tmp_path}/codes.npz", "--dataset", f"vectors:{folder}"]
    assert score.main(flags) == 0
    assert "recall10@10" in json.loads(capsys.readouterr().out)["metrics"]


def test_rescoring_gives_the_same_or_says_why_not(folder, tmp_path, capsys):
    assert call(tmp_path, "--datasets", f"vectors:{folder}", "digits", "--relevance", "knn") == 0
    before = {r.digest: r.metrics for r in ResultStore(tmp_path / "out").records()}
    flags = ["--out", f"{tmp_path}/out", "--datasets", f"vectors:{folder}", "--no-report"]
    assert rescore.main(flags) == 1
    assert "neighbours are found by features" in capsys.readouterr().err
    assert {r.digest: r.metrics for r in ResultStore(tmp_path / "out").records()} == before


@pytest.mark.parametrize(
    ("relevance", "told"),
    [
        ("knn:0", "must be at least 1"),
        ("knn:5000", "must be in 1..300"),
        ("knn:31", "gives 30 neighbours"),
        ("knn:5:l1", "expected labels or knn"),
        ("nearest", "expected labels or knn"),
    ],
)
def test_a_relevance_that_cannot_be_is_one_line(folder, tmp_path, capsys, relevance, told):
    assert call(tmp_path, "--datasets", f"vectors:{folder}", "--relevance", relevance) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_name_says_its_truth():
    assert full_name("digits+knn10-l2") == "digits/300-1497+knn10-l2"
    assert full_name("digits+labels") == "digits/300-1497"
    digests = {load(f"digits{truth}").digest for truth in ("", "+knn10-l2", "+knn10-ip")}
    assert len(digests) == 3


def refusal(name):
    with pytest.raises(DatasetError) as caught:
        load(name, LoadOptions())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_that_do_not_belong_together_are_refused(folder, tmp_path):
    name = f"vectors:{folder}"
    fvecs(folder / "tiny_query.fvecs", Q[:, :5])
    assert "base and query must have equal width, got 8 and 5" in refusal(name)
    fvecs(folder / "tiny_query.fvecs", Q[:7])
    assert "a row for each of 7 queries" in refusal(name)
    fvecs(folder / "tiny_query.fvecs", Q)
    fvecs(folder / "tiny_groundtruth.ivecs", NEAR + 290)
    assert "neighbours must be in 0..299" in refusal(name)
    (folder / "tiny_base.fvecs").rename(folder / "other.fvecs")
    assert "no file of base vectors" in refusal(name)
    broken = X.copy()
    broken[4, 2] = np.nan
    fvecs(folder / "tiny_base.fvecs", broken)
    (folder / "tiny_groundtruth.ivecs").unlink()
    assert "features must be finite, 1 rows are not, the first is row 4" in refusal(name)
    fvecs(folder / "second_base.fvecs", X)
    assert "may both be the base" in refusal(name)


def test_a_zero_vector_has_no_cosine(folder, tmp_path, capsys):
    fvecs(folder / "tiny_base.fvecs", np.vstack([X, np.zeros((1, 8), np.float32)]))
    (folder / "tiny_groundtruth.ivecs").unlink()
    assert call(tmp_path, "--datasets", f"vectors:{folder}", "--relevance", "knn:10:cosine") == 1
    assert "the first is row 300" in capsys.readouterr().err


def test_truths_never_share_a_column(folder, tmp_path):
    call(tmp_path, "--datasets", "digits")
    call(tmp_path, "--datasets", "digits", "--relevance", "knn")
    protocols = [record.protocol for record in records(tmp_path)]
    for (one, ours), (other, theirs) in itertools.combinations(
        zip(protocols, records(tmp_path), strict=True), 2
    ):
        assert one == other or not (
            {n for n in ours.metrics if "@" in n} & {n for n in theirs.metrics if "@" in n}
        )


def test_yardsticks_of_every_table_are_left_out_of_a_large_database(
    folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("benchmarks.grid.tasks.MOST_VECTORS", 299)
    assert call(tmp_path, "--datasets", f"vectors:{folder}") == 0
    assert "skipped: float keeps a vector of each of 300 items" in capsys.readouterr().out
    assert call(tmp_path, "--datasets", f"vectors:{folder}", "--methods", "lsh", "float") == 2
    assert "--methods: float keeps a vector of each" in capsys.readouterr().err
