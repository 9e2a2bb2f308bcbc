"""Stored codes scored again."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import rescore


def test_rescoring_changes_nothing_that_is_right(stored, capsys):
    before = stored.records()
    assert rescore.main(["--out", str(stored.root), "--no-report"]) == 0
    captured = capsys.readouterr()
    assert "5 records: 0 changed, 4 the same, 1 without codes, 0 left as they are" in captured.out
    assert captured.err == ""
    assert stored.records() == before


@pytest.mark.parametrize("scores", ["right", "wrong"])
def test_a_record_of_before_labels_were_kept_is_scored_and_completed(stored, capsys, scores):
    path = next(stored.runs.rglob("lsh/8-0-*.json"))
    record = stored.read(path)
    info = {k: v for k, v in record.protocol_info.items() if k != "labels"}
    metrics = record.metrics if scores == "right" else {"mAP": 1.0}
    old = replace(record, protocol_info=info, metrics=metrics)
    stored.save(old, stored.arrays(path), force=True)
    assert rescore.main(["--out", str(stored.root), "--no-report"]) == 0
    assert "5 records: 1 changed, 3 the same" in capsys.readouterr().out
    assert stored.read(path) == record


def test_files_that_cannot_be_read_are_counted_and_named(stored, capsys):
    path = next(stored.runs.rglob("lsh/8-0-*.json"))
    path.write_text("{}")
    assert rescore.main(["--out", str(stored.root), "--no-report"]) == 1
    captured = capsys.readouterr()
    assert "5 records: 0 changed, 3 the same, 1 without codes, 1 left as they are" in captured.out
    (line,) = captured.err.splitlines()
    assert line.startswith("left as it is: runs/synthetic/tiny/pixels/lsh/8-0-")
    assert "field 'backbone' is missing" in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("query_codes"), "query_codes is missing"),
        (lambda arrays: arrays.pop("database_rows"), "database_rows is missing"),
        (
            lambda arrays: arrays.update(query_codes=arrays["query_codes"][:-1]),
            r"query_codes must be 50 packed codes of 8 bits, got uint8 of shape \(49, 1\)",
        ),
        (
            lambda arrays: arrays.update(database_codes=arrays["database_codes"].astype(int)),
            r"database_codes must be 550 packed codes of 8 bits, got int64 of shape \(550, 1\)",
        ),
    ],
)
def test_damaged_arrays_leave_their_record_and_the_others_go_on(stored, capsys, change, words):
    path = next(stored.runs.rglob("lsh/8-0-*.json"))
    arrays = stored.arrays(path)
    change(arrays)
    stored.save(stored.read(path), arrays, force=True)
    assert rescore.main(["--out", str(stored.root), "--no-report"]) == 1
    captured = capsys.readouterr()
    assert "3 the same, 1 without codes, 1 left as they are" in captured.out
    (line,) = captured.err.splitlines()
    assert re.search(rf"lsh 8 bits: its arrays are damaged \({words}\); run it again", line)


def test_codes_with_more_bits_than_their_record_says_leave_it(stored, capsys):
    path = next(stored.runs.rglob("lsh/8-0-*.json"))
    record = stored.read(path)
    curves = {k: v for k, v in record.curves.items() if k == "cutoffs"}
    stored.save(replace(record, bits=7, curves=curves), stored.arrays(path), force=True)
    assert rescore.main(["--out", str(stored.root), "--no-report"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"lsh 7 bits: .* damaged \(query_codes of 7 packed columns must end in", line)


def test_a_new_metric_fills_itself_in_and_a_wrong_one_is_put_right(stored, capsys):
    path = next(stored.runs.rglob("lsh/8-0-*.json"))
    record, arrays = stored.read(path), stored.arrays(path)
    old = {name: 0.5 for name in record.metrics if name in ("mAP", "mAP@100")}
    damaged = arrays | {"query_ap": np.zeros_like(arrays["query_ap"])}
    stored.save(replace(record, metrics=old), damaged, force=True)
    rescore.main(["--out", str(stored.root)])
    assert "5 records: 1 changed, 3 the same" in capsys.readouterr().out
    again = stored.read(path)
    assert again == record
    np.testing.assert_array_equal(stored.arrays(path)["query_ap"], arrays["query_ap"])
    assert (stored.root / "report/leaderboard.csv").is_file()


@pytest.mark.parametrize("key", ["digest", "labels"])
def test_a_record_of_another_split_or_labels_is_left_as_it_is(stored, capsys, key):
    path = next(stored.runs.rglob("lsh/8-0-*.json"))
    record = stored.read(path)
    other = replace(record, protocol_info=record.protocol_info | {key: "other"}, metrics={"mAP": 1})
    stored.save(other, stored.arrays(path), force=True)
    assert rescore.main(["--out", str(stored.root), "--no-report"]) == 1
    assert "lsh 8 bits: was made under another split or other labels" in capsys.readouterr().err
    assert stored.read(path).metrics == {"mAP": 1}


def test_rescoring_an_empty_folder_is_one_line(tmp_path, capsys):
    assert rescore.main(["--out", f"{tmp_path}/none"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
