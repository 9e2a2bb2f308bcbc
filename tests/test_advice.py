"""Advice on embeddings: what it says of a table, how sure it is, and the command that gives it."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import advise as command
from datasets import load
from results.analysis.advice import advise, bootstrap
from results.page.advice import advice_html
from results.store.store import ResultStore
from results.tables.advice import advice_markdown, advice_plain
from tests.record_factory import board_of, make_record

RNG = np.random.default_rng(0)
HARD = RNG.random(200) / 2
"""Of each query, the same for all methods."""


def run(method, bits, recall, *, kind="method", size="", **metrics):
    info = make_record().protocol_info | {"metric": "recall10@10"}
    found = {"recall10@10": recall, "recall10@40": recall + 0.1, "recall10@100": recall + 0.2}
    ties = {"recall10@10:worst": recall - 0.005, "recall10@10:best": recall + 0.005}
    return make_record(
        protocol="200q-900t+knn10-cosine",
        backbone="features",
        protocol_info=info,
        method=method,
        bits=bits,
        kind=kind,
        settings={"method": {"size": size}},
        metrics=found | ties | {"oversample10@95": 20.0, "codes.largest_bucket": 3.0} | metrics,
    )


def records():
    return [
        run("a", 64, 0.5),
        run("b", 64, 0.49),
        run("c", 64, 0.3),
        run("a", 128, 0.7),
        run("pq", 64, 0.6, kind="yardstick", size="K bits"),
        run("rabitq", 64, 0.65, kind="yardstick", **{"codes.bytes": 16.0}),
        run("float", 0, 0.8, kind="yardstick", **{"codes.bytes": 400.0}),
        run("random", 64, 0.01, kind="yardstick"),
    ]


def test_a_single_byte_is_no_bytes():
    advice = given([run("a", 8, 0.5), run("b", 8, 0.4)], budget=1)
    for text in (advice_plain(advice), advice_markdown(advice), advice_html(advice)):
        assert "Take a at 1 byte:" in text
        assert "1 byte" in text
        assert "1 bytes" not in text


def test_a_column_of_asymmetric_recall_is_there_where_it_was_measured():
    assert "asym" not in advice_plain(given(records()))
    more = [*records(), run("e", 64, 0.2, **{"asym.recall10@10": 0.271})]
    text = advice_markdown(given(more))
    assert "| recall10@100 | asym.recall10@10 | oversample10@95 |" in text
    assert "| e | 0.200 | 0.300 | 0.400 | 0.271 | 20.0 |" in text
    assert "| a | 0.500 | 0.600 | 0.700 | - | 20.0 |" in text


def given(records, budget=8, duplicates=0, n_database=900, noise=0.02):
    (section,) = board_of(records).sections
    values = {
        (*section.table, r.method, r.bits): np.array(
            [HARD - HARD.mean() + r.metrics["recall10@10"] + noise * RNG.standard_normal(200)]
        )
        for r in records
    }
    values = {entry: v - v.mean() + recall_of(records, entry) for entry, v in values.items()}
    return advise(section, values, n_database, budget, duplicates)


def recall_of(records, entry):
    return next(r.metrics["recall10@10"] for r in records if r.entry == entry)


def test_the_draws_of_a_bootstrap_are_paired_over_queries_and_own_in_seeds():
    values = HARD[:100] + np.array([[0.0], [0.05], [0.1]])
    first, second = bootstrap([values, values + 0.25], 4000)
    over_queries = values.mean(0).std() / 10
    over_seeds = values.mean(1).std() / np.sqrt(3)
    assert first.std() == pytest.approx(np.hypot(over_queries, over_seeds), rel=0.05)
    assert first.mean() == pytest.approx(values.mean(), abs=0.01)
    one = values[:1]
    np.testing.assert_allclose(np.subtract(*bootstrap([one + 0.25, one])), 0.25)
    assert (second - first).std() > 0  # their seeds are not the same


def test_the_best_of_the_budget_is_taken_with_its_interval():
    advice = given(records())
    first, candidates, rival, yardstick, enough = advice.recommendation
    assert first.startswith(
        "Take a at 8 bytes: it keeps 0.500 of the 10 nearest (95 % interval 0.4"
    )
    assert first.endswith("and a million vectors take 8 MiB.")
    assert candidates.startswith("Re-rank 200 candidates a query")
    assert "22.2% of the 900 vectors" in candidates
    assert rival.startswith("It is ahead of b at 8 bytes by 0.010 (0.0")
    assert yardstick.startswith("It is behind pq at 8 bytes (a yardstick")
    assert "by 0.100 (0.09" in yardstick
    assert enough == "No code of the budget keeps 95% after 100 candidates."


def test_the_interval_is_that_of_the_queries():
    (text, *_) = given(records(), noise=0).recommendation
    low, high = (float(text.partition("interval ")[2].split()[n].rstrip("),")) for n in (0, 2))
    assert high - low == pytest.approx(2 * 1.96 * HARD.std() / 200**0.5, rel=0.1)


def test_a_lead_that_queries_do_not_tell_from_0_is_said_to_be_none():
    advice = given(records(), noise=0.5)
    assert "b at 8 bytes by 0.010, which these queries do not tell from 0." in " ".join(
        advice.recommendation
    )


def test_a_larger_budget_takes_the_larger_code_and_names_the_least_that_is_enough():
    more = [*records(), run("d", 32, 0.76, **{"recall10@100": 0.96})]
    advice = given(more, budget=16)
    assert advice.recommendation[0].startswith("Take d at 4 bytes")
    assert advice.recommendation[-1] == (
        "The fewest bytes that keep 95% after 100 candidates are re-ranked: d at 4 bytes (0.960)."
    )
    assert given(records(), budget=16).recommendation[0].startswith("Take a at 16 bytes")


def test_sizes_count_all_that_is_kept_of_an_item():
    sizes = {line.method: line.size for line in given(records()).lines if line.bits in (0, 64)}
    assert sizes == {"a": 8, "b": 8, "c": 8, "pq": 8, "rabitq": 16, "float": 400}


def test_a_budget_that_nothing_fits_into_is_refused():
    with pytest.raises(ValueError, match=r"no code fits into 4 bytes; .* 8 bytes is the least"):
        given(records(), budget=4)


def test_what_makes_numbers_unsure_is_said():
    assert "of 900 vectors" in " ".join(given(records()).warnings)
    assert given(records(), n_database=10**6).warnings == ()
    tied = {"recall10@10:worst": 0.2, "recall10@10:best": 0.7, "codes.largest_bucket": 81.0}
    more = [*records(), run("e", 64, 0.4, **tied)]
    ties, _ = given(more).warnings
    assert ties == (
        "8 bytes: the order of ties moves recall10@10 of 1 row, most that of e, from 0.200 to "
        "0.700; its fullest bucket holds 81 vectors."
    )
    few = [*records(), run("e", 64, 0.4, **tied | {"codes.largest_bucket": 10.0})]
    assert given(few).warnings[0].endswith("from 0.200 to 0.700.")
    assert given(records(), duplicates=7).warnings[0].startswith("7 of 900 vectors")


def test_every_output_has_the_same_numbers_and_escapes_names():
    advice = given([*records(), run("<b>*x", 64, 0.2)])
    texts = advice_plain(advice), advice_markdown(advice), advice_html(advice)
    for text in texts:
        assert all(number in text for number in ("0.650", "20.0", "15.3", "16 bytes"))
        assert "Take a at 8 bytes" in text
    assert "<b>" not in texts[1] + texts[2]
    assert "default-src 'none'" in texts[2].replace("&#39;", "'")
    assert texts[1].index("| a |") < texts[1].index("| b |") < texts[1].index("| pq (yardstick) |")


def test_a_terminal_shows_the_best_of_each_size():
    many = [run(f"m{n}", 64, 0.1 + n / 100) for n in range(9)]
    text = advice_plain(given(many))
    assert [f"m{n} " in text for n in range(9)] == [False] * 4 + [True] * 5


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    path = tmp_path_factory.mktemp("embeddings") / "mine.npy"
    x = np.random.default_rng(1).normal(size=(600, 12)).astype(np.float16)
    x[10] = x[20] = x[30]
    np.save(path, x)
    return path


def call(embeddings, folder, *flags):
    places = ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--device", "cpu"]
    small = ["--methods", "lsh", "itq", "float", "--bytes", "1", "2", "--seeds", "2", "--no-report"]
    return command.main([str(embeddings), *small, *places, *flags])


def test_the_command_runs_the_grid_once_and_writes_its_pages(embeddings, tmp_path, capsys):
    assert call(embeddings, tmp_path) == 0
    out = capsys.readouterr().out
    found = ResultStore(tmp_path / "out").records()
    best = max(
        (np.mean([r.metrics["recall10@10"] for r in found if r.method == m and r.bits == 16]), m)
        for m in ("lsh", "itq")
    )
    assert f"Take {best[1].upper()} at 2 bytes: it keeps {best[0]:.3f} of the 10 nearest" in out
    assert {r.protocol for r in found} == {"60q-540t+knn10-cosine"}
    assert "2 of 540 vectors" in out
    pages = sorted((tmp_path / "out/advice").iterdir())
    assert [page.suffix for page in pages] == [".html", ".md"]
    before = [page.read_bytes() for page in pages]
    assert call(embeddings, tmp_path) == 0
    assert "13 cells, 13 stored" in capsys.readouterr().out
    assert [page.read_bytes() for page in pages] == before


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--budget", "0.5"], "--budget: must be at least 1, got 0.5"),
        (["--bytes", "0"], "--bytes: must be at least 1, got 0"),
        (["--bytes", "2", "--budget", "1"], "--budget: no code fits into 1 byte;"),
        (["-k", "600"], "neighbours must be in 1..540 (the database), got 600"),
    ],
)
def test_what_cannot_be_advised_is_one_line(embeddings, tmp_path, capsys, flags, told):
    assert call(embeddings, tmp_path, *flags) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert told in error


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
    assert call(tmp_path / "no.npy", tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_files_of_vectors_are_embeddings_too(tmp_path):
    x = np.arange(20, dtype="<f4").reshape(5, 4)
    head = np.full((5, 1), 4, "<i4")
    (tmp_path / "x.fvecs").write_bytes(np.hstack([head, x.view("<i4")]).tobytes())
    np.testing.assert_array_equal(load(f"features:{tmp_path}/x.fvecs+knn1-l2").features, x)


def test_vectors_of_a_source_keep_the_distance_that_it_tells(tmp_path):
    h5py = pytest.importorskip("h5py")
    x = np.random.default_rng(2).normal(size=(80, 6)).astype(np.float32)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.attrs["distance"] = "dot"
        file["train"], file["test"] = x[:60], x[60:]
        file["neighbors"] = np.argsort(-x[60:] @ x[:60].T, 1)[:, :20]
    assert call(tmp_path / "x.hdf5", tmp_path) == 0
    assert {r.protocol for r in ResultStore(tmp_path / "out").records()} == {"20q-60t+knn10-ip"}


def test_neighbours_by_another_distance_are_not_those_that_a_source_brings(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"], file["test"] = np.ones((4, 2)), np.ones((2, 2))
        file["neighbors"] = np.array([[0, 1, 2], [3, 1, 0]])
    name = f"ann:{tmp_path}/x.hdf5"
    assert load(f"{name}+knn2-l2").neighbours is not None
    assert load(f"{name}+knn2-cosine").neighbours is None


def test_seeds_of_a_method_are_its_own():
    record = run("a", 64, 0.5)
    seeds = [record, replace(record, seed=1, trained_with=[1])]
    (section,) = board_of(seeds).sections
    values = {(*section.table, "a", 64): np.stack([HARD, HARD[::-1]])}
    advice = advise(section, values, 900, 100, 8)
    assert len(advice.lines) == 1
    assert "Take a at 8 bytes" in advice.recommendation[0]
