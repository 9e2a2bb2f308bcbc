"""The evaluation over two workers of a Dask cluster on this machine."""

import time
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.evaluation.cluster import AHEAD, evaluate_on_cluster
from benchmarks.evaluation.counts import Codes, evaluate
from benchmarks.evaluation.packing import PackedBits

pytestmark = pytest.mark.slow  # two new processes import torch
distributed = pytest.importorskip("distributed", reason="needs Dask: the extra `cluster`")


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


def codes(n, seed, bits=24, classes=5):
    rng = np.random.default_rng(seed)
    return Codes(rng.random((n, bits)) < 0.5, rng.random((n, classes)) < 0.3)


def cut(database, edges):
    return [database[a:b] for a, b in pairwise(edges)]


def read(folder, start, stop):
    """A piece as a worker reads it from disk."""
    rows, labels = (np.load(folder / f"{x}.npy", mmap_mode="r") for x in ("codes", "labels"))
    return Codes(PackedBits(rows[start:stop], 24), PackedBits(labels[start:stop], 5))


@pytest.mark.parametrize("options", [{}, {"similarity": "jaccard"}, {"similarity": "shared"}])
def test_two_workers_count_what_one_process_counts(client, tmp_path, options):
    query, database = codes(6, 0), codes(400, 1)
    whole = evaluate(query, database, device="cpu", **options)
    np.save(tmp_path / "codes.npy", database.codes.rows)
    np.save(tmp_path / "labels.npy", database.labels.rows)
    edges = [0, 0, 1, 50, 90, 140, 141, 200, 300, 399, 400]
    on_disk = [partial(read, tmp_path, a, b) for a, b in pairwise(edges)]
    for pieces in (iter(cut(database, edges)), on_disk):
        stats = evaluate_on_cluster(client, query, pieces, device="cpu", **options)
        np.testing.assert_array_equal(stats.items, whole.items)
        np.testing.assert_array_equal(stats.relevant, whole.relevant)
        if options:
            np.testing.assert_array_equal(stats.gain, whole.gain)
            np.testing.assert_array_equal(stats.grades.items, whole.grades.items)


def slow(piece):
    time.sleep(0.02)
    return piece


def test_pieces_are_read_as_workers_become_free(client, monkeypatch):
    query, database = codes(3, 0), codes(60, 1)
    sent, waiting = [], []
    submit = client.submit

    def counted(*args, **options):
        sent.append(submit(*args, **options))
        return sent[-1]

    def pieces():
        for piece in cut(database, range(0, 61, 3)):
            waiting.append(sum(future.status == "pending" for future in sent))
            yield partial(slow, piece)

    monkeypatch.setattr(client, "submit", counted)
    stats = evaluate_on_cluster(client, query, pieces(), device="cpu")
    np.testing.assert_array_equal(stats.items, evaluate(query, database, device="cpu").items)
    assert 1 < max(waiting) <= AHEAD * 2


def test_workers_that_come_later_are_given_pieces_too(client, monkeypatch):
    query, database = codes(3, 0), codes(60, 1)
    sent, waiting = [], []
    submit, known = client.submit, client.nthreads()

    def counted(*args, **options):
        sent.append(submit(*args, **options))
        return sent[-1]

    def pieces():
        for piece in cut(database, range(0, 61, 3)):
            waiting.append(sum(future.status == "pending" for future in sent))
            yield partial(slow, piece)

    monkeypatch.setattr(client, "submit", counted)
    monkeypatch.setattr(client, "nthreads", lambda: known if len(sent) > 5 else {})
    evaluate_on_cluster(client, query, pieces(), device="cpu")
    assert max(waiting[:5]) <= 1 < max(waiting)


def test_a_bad_piece_is_named(client):
    good, bad = codes(5, 0), codes(5, 1, bits=23)
    with pytest.raises(ValueError, match=r"piece 1 of .* equally many bits a code, got 24 and 23"):
        evaluate_on_cluster(client, good, [good, bad], device="cpu")


def test_no_pieces_are_an_empty_database(client):
    assert not evaluate_on_cluster(client, codes(5, 0), [], device="cpu").items.any()
