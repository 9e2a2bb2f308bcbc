"""Codes to records: the same numbers from a run, a re-scoring and a submission."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from benchmarks import score
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import protocol_info, score_codes, score_floats
from benchmarks.evaluation.submission import SubmissionError, read_codes
from datasets import load

K = 16  # a square, so that unit vectors of -1/+1 are exact


@pytest.fixture(scope="module")
def data():
    return load("synthetic")


@pytest.fixture(scope="module")
def codes(data):
    """Codes of every row: noisy copies of one code a class."""
    rng = np.random.default_rng(0)
    of_class = rng.random((5, K)) < 0.5
    classes = data.labels.dense().float().argmax(1).numpy()
    return of_class[classes] ^ (rng.random((len(classes), K)) < 0.2)


def of_parts(data, features):
    """Rows of the queries and of the database."""
    return features[data.query], features[data.database]


def parts(data, codes):
    return {part: codes[getattr(data, part).numpy()] for part in ("query", "database")}


def scored(data, codes):
    own = parts(data, codes)
    return score_codes(PackedBits.of(own["query"]), PackedBits.of(own["database"]), data, "cpu")


def test_a_record_holds_retrieval_hierarchy_and_health(data, codes):
    own = parts(data, codes)
    scores = scored(data, codes)
    assert {"mAP", "mAP@100", "mAHP@550", "bits.entropy", "codes.distinct"} <= set(scores.metrics)
    assert 0.2 < scores.metrics["mAP@100"] < 1
    assert scores.metrics["bits.activation"] == pytest.approx(own["database"].mean())
    assert scores.query_ap.mean() == pytest.approx(scores.metrics["mAP@100"], abs=1e-6)
    assert len(scores.curves["bits"]["entropy"]) == K
    assert len(scores.curves["precision_recall"]["recall"]) == K + 1


def test_curves_by_cutoff_agree_with_the_metrics_and_pairs_with_the_recall(data, codes):
    curves = scored(data, codes).curves
    floats = score_floats(*of_parts(data, torch.from_numpy(codes).float() * 2 - 1), data)
    assert set(floats.curves) == {"cutoffs"}
    by_cutoff, pairs = curves["cutoffs"], curves["distances"]
    assert by_cutoff["n"][:4] == [1, 2, 5, 10]
    assert by_cutoff["n"][-1] == len(data.database) == sorted(by_cutoff["n"])[-1]
    assert by_cutoff["recall"][-1] == pytest.approx(1)
    place = by_cutoff["n"].index(100)
    for name, metric in (("precision", "P@100"), ("recall", "R@100")):
        assert by_cutoff[name][place] == pytest.approx(floats.metrics[metric])
        assert by_cutoff[name] == pytest.approx(floats.curves["cutoffs"][name])
    assert sum(pairs["pairs"]) == len(data.query) * len(data.database)
    share = sum(pairs["relevant"]) / sum(pairs["pairs"])
    assert by_cutoff["precision"][-1] == pytest.approx(share)
    assert all(r <= p for r, p in zip(pairs["relevant"], pairs["pairs"], strict=True))


def test_queries_without_a_relevant_item_are_told(data):
    """Class 1 leaves the database, and items without any label come in."""
    labels = data.labels.dense().clone()
    rows = data.database[labels[data.database, 1]]
    labels[rows] = False
    without = int(data.labels.dense()[data.query, 1].sum())
    assert 0 < without < len(data.query)
    info = protocol_info(replace(data, labels=labels), "inputs")
    assert info["n_query_without_relevant"] == without


def test_several_labels_an_image_give_ndcg_and_no_hierarchy_no_mahp(data, codes):
    labels = data.labels.dense().clone()
    labels[:, 0] |= labels[:, 1]
    several = replace(data, labels=labels, hierarchy=None)
    scores = scored(several, codes)
    assert "NDCG@100" in scores.metrics
    assert not any(name.startswith("mAHP") for name in scores.metrics)
    floats = score_floats(*of_parts(several, torch.from_numpy(codes).float()), several)
    assert "NDCG@100" in floats.metrics


def test_floats_that_are_codes_score_as_the_codes_do(data, codes):
    """Cosines of -1/+1 vectors fall as Hamming distances rise, ties included."""
    by_code = scored(data, codes)
    by_float = score_floats(*of_parts(data, torch.from_numpy(codes).float() * 2 - 1), data)
    for name in ("mAP", "mAP@100", "P@100", "R@100", "mAHP@550"):
        assert by_float.metrics[name] == pytest.approx(by_code.metrics[name], abs=1e-9)


def forms(folder, data, codes):
    """The same codes in every form that is read; yields the path and the flags."""
    own = parts(data, codes)
    rng = np.random.default_rng(1)
    order = {p: rng.permutation(len(own[p])) for p in own}
    shuffled = {f"{p}_codes": own[p][order[p]] for p in own}
    shuffled |= {f"{p}_rows": getattr(data, p).numpy()[order[p]] for p in own}
    np.save(folder / "all.npy", codes)
    yield folder / "all.npy", None
    np.savez(folder / "whole.npz", codes=codes.astype(np.int64))
    yield folder / "whole.npz", None
    turned = rng.permutation(len(codes))
    np.savez(folder / "turned.npz", codes=codes[turned], rows=turned)
    yield folder / "turned.npz", None
    np.savez(folder / "parts.npz", **{f"{p}_codes": np.where(own[p], 1.0, -1.0) for p in own})
    yield folder / "parts.npz", None
    save_file(shuffled, folder / "rows.safetensors")
    yield folder / "rows.safetensors", None
    packed = {f"{p}_codes": np.packbits(own[p], axis=1) for p in own}
    save_file(packed, folder / "packed.safetensors")
    yield folder / "packed.safetensors", K


def test_every_form_of_a_file_gives_the_same_codes(tmp_path, data, codes):
    expected = parts(data, codes)
    seen = 0
    for path, packed in forms(tmp_path, data, codes):
        got = read_codes(path, data, packed)
        for part, values in expected.items():
            np.testing.assert_array_equal(got[part].unpack(), values, err_msg=path.name)
        seen += 1
    assert seen == 6


def test_a_submission_prints_the_numbers_of_the_run_whose_codes_it_is(stored, capsys):
    path = next(stored.runs.rglob("lsh/8-1-*.json"))
    arguments = ["--codes", str(path.with_suffix(".safetensors")), "--packed", "8"]
    arguments += ["--dataset", "synthetic/tiny", "--name", "theirs", "--backbone", "pixels"]
    capsys.readouterr()
    assert score.main([*arguments, "--out", str(stored.root)]) == 0
    printed = json.loads(capsys.readouterr().out)
    record = stored.read(path)
    assert printed["metrics"] == record.metrics
    assert printed["protocol_info"] == record.protocol_info  # so it shares the table
    assert (printed["method"], printed["kind"], printed["bits"]) == ("theirs", "method", 8)
    assert {r.method for r in stored.records()} == {"lsh", "random", "float", "theirs"}
    assert score.main([*arguments, "--out", str(stored.root)]) == 2
    assert "is stored already" in capsys.readouterr().err


def test_codes_without_a_backbone_have_a_table_of_their_own(tmp_path, data, codes, capsys):
    np.save(tmp_path / "c.npy", codes)
    assert score.main(["--codes", f"{tmp_path}/c.npy", "--dataset", "synthetic"]) == 0
    assert json.loads(capsys.readouterr().out)["backbone"] == "unknown"


def test_a_stored_submission_is_entered_in_the_report(stored, data, codes, tmp_path, capsys):
    np.save(tmp_path / "c.npy", codes)
    arguments = ["--codes", f"{tmp_path}/c.npy", "--dataset", "synthetic", "--name", "theirs"]
    arguments += ["--out", str(stored.root)]
    assert score.main([*arguments, "--no-report"]) == 0
    assert not (stored.root / "report").exists()
    assert score.main([*arguments, "--force"]) == 0
    assert "theirs" in (stored.root / "report/leaderboard.md").read_text()
    assert json.loads(capsys.readouterr().out.partition("}\n{")[0] + "}")["method"] == "theirs"


def test_a_name_of_another_kind_is_refused(stored, codes, tmp_path, capsys):
    np.save(tmp_path / "c.npy", codes)
    np.save(tmp_path / "short.npy", codes[:, :8])
    arguments = ["--dataset", "synthetic", "--name", "mix", "--out", str(stored.root)]
    arguments += ["--no-report", "--codes"]
    assert score.main([*arguments, f"{tmp_path}/c.npy", "--kind", "captions"]) == 0
    assert score.main([*arguments, f"{tmp_path}/short.npy"]) == 2
    assert "'mix' is stored as one of kind captions; choose another" in capsys.readouterr().err
    assert score.main([*arguments, f"{tmp_path}/short.npy", "--backbone", "pixels"]) == 0


def broken(data, codes):
    own = parts(data, codes)
    fine = {f"{p}_codes": own[p] for p in own}
    floats = own["query"].astype(float)
    floats[3, 2] = 0.5
    ternary = np.where(own["query"], 1, -1)
    ternary[4, 1] = 0
    nan = np.where(own["query"], 1.0, 0.0)
    nan[0, 0] = np.nan
    rows = data.query.numpy()
    other = rows.copy()
    other[0] = data.database[0]
    return [
        (fine | {"query_codes": floats}, r"query_codes must be .* got 0\.5 in row 3, column 2"),
        (fine | {"query_codes": ternary}, r"got 0 in row 4, column 1"),
        (fine | {"query_codes": nan}, r"got nan in row 0, column 0"),
        (fine | {"query_codes": own["query"][:-1]}, r"has 50 query rows, got codes for 49"),
        (fine | {"query_codes": own["query"][:, :-1]}, r"equally many bits, got 15 and 16"),
        (fine | {"query_rows": other}, rf"query_rows must be .* row {other[0]} is not among them"),
        (fine | {"query_rows": np.full_like(rows, rows[0])}, "some are missing or repeated"),
        ({"query_codes": own["query"]}, "database_codes is missing, found query_codes"),
        ({"codes": codes[:10]}, "needs a row for each of the 600 rows of synthetic, got 10"),
        ({"codes": codes[0]}, r"must be a matrix, a row an item, got shape \(16,\)"),
        ({"codes": codes, **fine}, "got codes beside query_codes; give one of the two forms"),
        ({"codes": codes, "row": rows}, "unknown array 'row'"),
        (fine | {"rows": rows}, "got rows beside query_codes"),
        (
            {"codes": codes, "rows": np.arange(600) + 1},
            "rows must be the rows of synthetic, row 600 is not among them",
        ),
        ({"codes": codes, "rows": np.arange(599)}, "rows must be the rows of synthetic, some are"),
        ({"codes": codes, "rows": np.zeros(600)}, "rows must be the rows of synthetic, some are"),
        ({"codes": np.zeros((600, 40_000), bool)}, "at most 32767 bits, got 40000"),
    ]


@pytest.mark.parametrize("case", range(17))
def test_a_file_that_cannot_be_scored_says_what_is_wrong(tmp_path, data, codes, case):
    arrays, words = broken(data, codes)[case]
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(SubmissionError, match=words):
        read_codes(tmp_path / "c.npz", data)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.txt", b"0101", r"expected a \.npy, \.npz or \.safetensors file"),
        ("c.npy", b"not numpy", "cannot be read"),
        ("c.safetensors", b"{}", "cannot be read"),
    ],
)
def test_other_files_are_refused(tmp_path, data, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SubmissionError, match=words):
        read_codes(tmp_path / name, data)


def test_a_pickle_in_a_file_is_never_opened(tmp_path, data):
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SubmissionError, match="cannot be read"):
        read_codes(tmp_path / "c.npy", data)


def test_packed_rows_that_are_wider_than_they_are_said_to_be_are_refused(tmp_path, data, codes):
    np.save(tmp_path / "c.npy", np.packbits(codes | True, axis=1))
    with pytest.raises(SubmissionError, match=r"c\.npy: codes of 12 packed .* 255 in row 0"):
        read_codes(tmp_path / "c.npy", data, 12)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--packed", "12"], "12 packed bits are uint8 of width 2, got bool of width 16"),
        (["--name", "itq"], "'itq' is a method of this suite"),
        (["--name", "nsh(tau=1)"], "'nsh' is a method of this suite"),
        (["--name", "../x"], "expected letters, digits"),
        (["--dataset", "synthetic/none"], "unknown protocol of synthetic 'none'"),
        (["--backbone", "pixel"], "did you mean 'pixels'"),
        (["--seed", "-1"], "seed: expected a whole number from 0 to 9007199254740992, got -1"),
        (["--seed", "1" + "0" * 20], "whole number from 0 to 9007199254740992, got 1000000000"),
        (["--input-size", "1" + "0" * 20, "--backbone", "pixels"], "at most 4096 pixels, got 10"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, codes, capsys, flags, words):
    np.save(tmp_path / "c.npy", codes)
    arguments = ["--codes", f"{tmp_path}/c.npy", "--dataset", "synthetic", *flags]
    assert score.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
