"""What the search of stored codes costs: indexes, their answers, and the file of a machine."""

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("faiss")

from benchmarks import run, search_speed
from benchmarks.embeddings import timing
from benchmarks.embeddings.indexes import FLOAT, PQ4, SETTINGS, comparable, over_codes, over_vectors
from benchmarks.embeddings.timing import Vectors, fastest, measure, recall
from benchmarks.evaluation.neighbours import DISTANCES, Neighbours, find_neighbours
from results.figures.search_speed import search_speed_figure
from results.store.store import ResultStore

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 12)).astype(np.float32)
Q = RNG.normal(size=(30, 12)).astype(np.float32)
PLANES = RNG.normal(size=(12, 64))
CODES, ASKED = (np.packbits(v @ PLANES > 0, axis=1) for v in (X, Q))


def truth(k, distance="l2"):
    return find_neighbours(torch.from_numpy(Q), torch.from_numpy(X), k, distance)


def found(built, n=10):
    return [built.search(ASKED, n) for setting in built.settings or (0,) if not built.turn(setting)]


def test_every_index_finds_what_is_nearest_the_better_the_more_it_looks_at():
    far = np.bitwise_count(ASKED[:, None] ^ CODES).sum(-1)
    last = np.sort(far, 1)[:, 9:10]
    built = {b.kind: b for b in over_codes(CODES)}
    assert list(built) == list(SETTINGS)
    for kind, index in built.items():
        shares = [
            np.mean((rows >= 0) & (np.take_along_axis(far, rows.clip(0), 1) <= last))
            for rows in found(index)
        ]
        assert shares == sorted(shares)
        assert shares[-1] == 1 if kind == "flat" else shares[-1] > 0.8
        assert index.size > CODES.nbytes


@pytest.mark.parametrize("distance", DISTANCES)
def test_vectors_in_full_find_all_and_their_codes_some(distance):
    q, x = comparable(Q, distance), comparable(X, distance)
    expected = truth(10, distance)
    shares = {
        (bits, b.kind): recall(b.search(q, 10), expected, 10)
        for bits, b in over_vectors(x, (8, 32, 64), distance)
    }
    assert shares[384, FLOAT] == 1
    assert set(shares) == {(384, FLOAT), (8, PQ4), (32, PQ4)}  # 64 bits are more parts than numbers
    assert 0.1 < shares[8, PQ4] < shares[32, PQ4] < 1


@pytest.mark.parametrize("distance", DISTANCES)
def test_candidates_that_hold_the_neighbours_are_reranked_to_them(distance):
    vectors = Vectors(comparable(Q, distance), comparable(X, distance), distance)
    expected = truth(5, distance)
    rows = np.argsort(RNG.random((30, 600)), 1)
    rows[:, 500:][rows[:, 500:] % 7 > 0] = -1  # where an index found fewer
    kept = [set(r[r >= 0]) for r in rows]
    answers = vectors.reranked(rows, slice(0, 30), 5)
    for q, (answer, there) in enumerate(zip(answers, kept, strict=True)):
        nearest = expected.rows[expected.starts[q] : expected.starts[q + 1]]
        assert set(nearest) & there <= set(answer)


def test_reranking_counts_as_search_and_single_queries_are_asked_one_at_a_time(monkeypatch):
    (built, *_) = over_codes(CODES)
    asked = []

    def search(queries, n):
        asked.append((len(queries), n))
        return built.search(queries, n)

    monkeypatch.setattr(timing, "PASSES", 2)
    monkeypatch.setattr(timing, "fastest", lambda call: (call(), 1.0)[1])
    vectors = Vectors(Q, X, "l2")
    told = type(built)("flat", search, 0.0, 0)
    speed = measure(told, ASKED, vectors, truth(10), 10, 40)
    assert asked == [(30, 40), *[(1, 40)] * 30, (30, 40)]
    assert (speed.single, speed.batch) == (30, 30)
    plain = measure(told, ASKED, vectors, truth(10), 10, 10)
    assert speed.recall > plain.recall
    assert speed.recall == recall(built.search(ASKED, 40), truth(10), 10)


def test_the_fastest_pass_is_taken(monkeypatch):
    clock = iter([0, 5, 10, 12, 20, 29])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert fastest(lambda: None, 3) == 2


def test_recall_counts_no_more_than_k_of_tied_neighbours():
    tied = Neighbours(np.array([0, 1, 2]), np.zeros(3), np.array([0, 3]))
    assert recall(np.array([[2, 1, 0]]), tied, 2) == 1
    assert recall(np.array([[2, -1, 9]]), tied, 2) == 0.5


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A results folder with codes of one's own vectors, and their name."""
    folder = tmp_path_factory.mktemp("speed")
    np.savez(folder / "mine.npz", features=np.vstack([Q, X]), split=[1] * 30 + [0] * 600)
    name = f"features:{folder}/mine.npz"
    flags = ["--methods", "lsh", "--bits", "16", "32", "--seeds", "2", "--no-report"]
    places = ["--out", f"{folder}/out", "--cache", f"{folder}/cache"]
    assert run.main(["--datasets", name, *flags, *places]) == 0
    return folder, name, places


def test_the_command_writes_a_file_of_the_machine_and_replaces_it(stored, monkeypatch, capsys):
    monkeypatch.setattr(timing, "fastest", lambda call: (call(), 0.5)[1])
    folder, name, places = stored
    call = ["--datasets", name, *places, "--format", "png", "--machine"]
    assert search_speed.main([*call, "first"]) == 0
    assert search_speed.main([*call, "second", "--bits", "32"]) == 0
    paths = sorted((folder / "out/search_speed").rglob("*.csv"))
    assert [path.name for path in paths] == ["first.csv", "second.csv"]
    assert len(list((folder / "out/search_speed").rglob("*.png"))) == 2
    first, second = map(pd.read_csv, paths)
    assert set(first["machine"]) == {"first"}
    assert first["cpu"].str.len().min() > 0
    assert set(first["bits"]) == {16, 32, 384}
    assert set(second["bits"]) == {32, 384}
    assert set(first["index"]) == {*SETTINGS, FLOAT, PQ4}
    assert (first["single_qps"] == 60).all()
    assert (first.loc[first["candidates"] == 10, "vector_bytes"] == 0).all()
    assert (first.loc[first["candidates"] == 100, "vector_bytes"] == X.nbytes).all()
    flat = first[(first["index"] == "flat") & (first["candidates"] == 100)]
    for row in flat.itertuples():
        records = ResultStore(folder / "out").records()
        of = next(r for r in records if (r.method, r.bits, r.seed) == ("lsh", row.bits, 0))
        assert row.exact == pytest.approx(of.metrics["recall10@100"])
        assert row.recall == pytest.approx(row.exact, abs=0.03)  # one order of ties, not all
    assert "first.csv" in capsys.readouterr().out


def test_no_ranking_and_no_report_knows_of_speed(stored):
    from benchmarks import report

    folder, *_ = stored
    assert report.main(["--out", f"{folder}/out", "--figures", "mean_ranks"]) == 0
    for name in ("leaderboard.csv", "statistics.csv", "index.html"):
        assert "qps" not in (folder / "out/report" / name).read_text()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--candidates", "0"], "--candidates: must be at least 1, got 0"),
        (["--methods", "itq"], "no codes of it"),
    ],
)
def test_what_cannot_be_timed_is_one_line(stored, capsys, flags, told):
    _, name, places = stored
    assert search_speed.main(["--datasets", name, *places, *flags]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_labels_are_no_truth_for_search(stored, capsys):
    assert search_speed.main(["--datasets", "digits", *stored[2]]) == 2
    assert "add +knn10-l2, +knn10-cosine or +knn10-ip to the name" in capsys.readouterr().err


def test_codes_of_other_rows_are_refused(stored, monkeypatch, capsys):
    _, name, places = stored
    arrays = ResultStore.arrays
    monkeypatch.setattr(
        ResultStore,
        "arrays",
        lambda *given: (a := arrays(*given)) | {"query_rows": a["query_rows"][::-1]},
    )
    assert search_speed.main(["--datasets", name, *places]) == 2
    assert "its codes are of another split or copy of the data" in capsys.readouterr().err


def test_the_figure_draws_fronts_alone():
    row = {"dataset": "d", "protocol": "p", "machine": "m", "cpu": "c", "vectors": 9, "k": 10}
    row |= {"method": "lsh", "bits": 16, "index": "flat", "candidates": 10}
    points = [(0.2, 100.0), (0.3, 50.0), (0.25, 40.0)]
    rows = [row | {"recall": r, "single_qps": q, "batch_qps": q} for r, q in points]
    rows.append(row | {"index": FLOAT, "recall": 1.0, "single_qps": 9.0, "batch_qps": 9.0})
    first, _ = search_speed_figure(pd.DataFrame(rows)).axes
    lines = {line.get_label(): line for line in first.lines}
    assert list(lines) == ["lsh, flat", FLOAT]
    np.testing.assert_allclose(lines["lsh, flat"].get_xydata(), [(0.2, 100), (0.3, 50)])
    assert lines["lsh, flat"].get_color() != lines[FLOAT].get_color()
