"""Published numbers: a folder or a file of them, made again by others."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import report, run, score, submit, verify
from benchmarks.publish.bundle import (
    KEY,
    About,
    Bundle,
    BundleError,
    Item,
    read_bundle,
    write_bundle,
)
from datasets import load
from results.store.store import ResultStore
from tests.record_factory import make_record
from tests.small_run import call

AUTHOR = ["--author", "A. Author", "--licence", "CC0-1.0"]


@pytest.fixture
def published(stored, tmp_path, one_figure):
    """A small grid and what was published of it."""
    folder = tmp_path / "reference"
    assert report.main(["--out", str(stored.root), "--publish", str(folder)]) == 0
    return folder


@pytest.fixture
def theirs(tmp_path):
    """A store with one record of codes that were made elsewhere."""
    data = load("synthetic")
    codes = np.random.default_rng(0).random((len(data.labels), 16)) > 0.5
    np.save(tmp_path / "codes.npy", codes)
    arguments = ["--codes", f"{tmp_path}/codes.npy", "--dataset", "synthetic", "--name", "theirs"]
    assert score.main([*arguments, "--out", f"{tmp_path}/theirs", "--no-report"]) == 0
    return ResultStore(tmp_path / "theirs")


def packed(store, tmp_path, *more):
    """The file of a submission of all that a store holds."""
    file = tmp_path / "theirs.parquet"
    paths = [str(store.locate(record)) for record in store.records()]
    assert submit.main([*paths, "--out", str(file), *AUTHOR, *more]) == 0
    return file


def edited(file, change):
    """Write a bundle again with its first record or arrays changed."""
    bundle = read_bundle(file)
    write_bundle(file, replace(bundle, items=(change(bundle.items[0]), *bundle.items[1:])))


def test_published_numbers_come_out_again(published, tmp_path, capsys):
    assert {path.name for path in published.iterdir()} == {
        *("records.parquet", "leaderboard.csv", "runs.csv", "statistics.csv", "figures"),
        "leaderboard.parquet",
    }
    assert all(path.suffix == ".svg" for path in (published / "figures").iterdir())
    capsys.readouterr()
    assert verify.main([str(published), "--sample", "2", "--cache", f"{tmp_path}/cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tables: computed from the records: every number is the same"
    assert len(lines) == 4
    assert all(line.endswith("run again: every number is the same") for line in lines[1:3])
    assert lines[-1] == "3 checks, 0 came out otherwise; 3 records not checked"


def test_a_run_publishes_what_it_found(tmp_path, one_figure, capsys):
    folder = tmp_path / "reference"
    small = ["--datasets", "synthetic", "--bits", "8", "--seeds", "1"]
    arguments = ["--methods", "lsh", "--publish", str(folder)]
    assert call(tmp_path, *arguments, "--dry-run", small=small) == 0
    assert not folder.exists()
    assert call(tmp_path, *arguments, small=small) == 0
    assert "published: 6 files in " in capsys.readouterr().out
    assert len(read_bundle(folder / "records.parquet").items) == 3


def test_no_codes_are_published_with_a_folder(published):
    assert not any(item.has_codes for item in read_bundle(published / "records.parquet").items)


def test_a_results_folder_gives_the_codes_of_published_numbers(published, stored, capsys):
    arguments = [str(published), "--sample", "0", "--codes", str(stored.root)]
    assert verify.main(arguments) == 0
    assert capsys.readouterr().out.count("scored again: every number is the same") == 4


def test_an_edited_table_is_named_by_its_line(published, capsys):
    path = published / "leaderboard.csv"
    path.write_text(path.read_text().replace("lsh,8,mAP@100,0.", "lsh,8,mAP@100,0.9", 1))
    assert verify.main([str(published), "--sample", "0"]) == 1
    told = capsys.readouterr().out.splitlines()[0]
    assert told.startswith("tables: computed from the records: leaderboard.csv: line ")
    assert "mAP@100,0.9" in told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.assign(n=[7, *frame["n"][1:]]), "row 0 has n 7, its records give 2"),
        (lambda frame: frame[1:], "rows, its records give"),
        (lambda frame: frame.drop(columns="unit"), "has columns"),
        (None, "cannot be read"),
    ],
)
def test_an_edited_export_is_told(published, change, words, capsys):
    path = published / "leaderboard.parquet"
    if change is None:
        path.write_bytes(b"PAR1 no parquet")
    else:
        change(pd.read_parquet(path)).to_parquet(path, index=False)
    assert verify.main([str(published), "--sample", "0"]) == 1
    told = capsys.readouterr().out.splitlines()[0]
    assert "leaderboard.parquet: " in told
    assert words in told


def test_an_edited_record_is_named_with_what_came_out(published, tmp_path, capsys):
    def change(item):
        better = item.record.metrics | {"mAP@100": 0.987654}
        return Item(replace(item.record, metrics=better), item.arrays)

    edited(published / "records.parquet", change)
    assert verify.main([str(published), "--sample", "9", "--cache", f"{tmp_path}/cache"]) == 1
    told = capsys.readouterr().out
    assert "runs.csv: line" in told
    assert "run again: mAP@100: 0.987654 stored, 0." in told


def test_a_submission_is_scored_again_and_entered(theirs, tmp_path, capsys):
    file = packed(theirs, tmp_path, "--paper", "A paper, 2026", "--link", "https://example.org")
    board = tmp_path / "board"
    assert verify.main([str(file), "--out", str(board)]) == 0
    assert "1 of 1 record entered" in capsys.readouterr().out
    (record,) = ResultStore(board).records()
    assert record.checked == "re-scored"
    assert record.settings["claim"]["author"] == "A. Author"
    assert record.metrics == theirs.records()[0].metrics
    assert report.main(["--out", str(board), "--figures", "map_against_bits"]) == 0
    table = pd.read_csv(board / "report/leaderboard.csv")
    assert set(table["checked"]) == {"re-scored"}
    assert "theirs (re-scored)" in (board / "report/leaderboard.md").read_text()


def test_a_number_that_its_codes_do_not_give_is_named_and_not_entered(theirs, tmp_path, capsys):
    file = packed(theirs, tmp_path)

    def change(item):
        return Item(
            replace(item.record, metrics=item.record.metrics | {"mAP@100": 0.987654}), item.arrays
        )

    edited(file, change)
    capsys.readouterr()
    assert verify.main([str(file), "--out", f"{tmp_path}/board"]) == 2
    captured = capsys.readouterr()
    assert "scored again: mAP@100: 0.987654 stored, 0." in captured.out
    assert "nothing was entered" in captured.err
    assert not (tmp_path / "board/runs").exists()
    assert verify.main([str(file)]) == 1


def test_codes_of_other_rows_are_refused(theirs, tmp_path, capsys):
    file = packed(theirs, tmp_path)
    edited(
        file,
        lambda item: Item(
            item.record, item.arrays | {"query_rows": item.arrays["query_rows"][::-1]}
        ),
    )
    assert verify.main([str(file)]) == 1
    assert "was made under another split or other labels" in capsys.readouterr().out


def test_codes_under_another_protocol_are_refused(theirs, tmp_path, capsys):
    file = packed(theirs, tmp_path)

    def change(item):
        info = item.record.protocol_info | {"digest": "0" * 64}
        return Item(replace(item.record, protocol_info=info), item.arrays)

    edited(file, change)
    assert verify.main([str(file)]) == 1
    assert "was made under another split or other labels" in capsys.readouterr().out


def test_numbers_without_codes_stay_a_claim(theirs, tmp_path, capsys):
    file = packed(theirs, tmp_path, "--without-codes")
    assert not read_bundle(file).items[0].has_codes
    assert verify.main([str(file), "--out", f"{tmp_path}/none"]) == 0
    told = capsys.readouterr().out
    assert "0 of 1 record entered" in told
    assert "; 1 record not checked" in told
    assert verify.main([str(file), "--out", f"{tmp_path}/board", "--claimed"]) == 0
    (record,) = ResultStore(tmp_path / "board").records()
    assert record.checked == "claimed"


def test_a_claim_says_itself_in_no_record_that_it_was_checked(theirs, tmp_path):
    file = packed(theirs, tmp_path, "--without-codes")

    def change(item):
        settings = item.record.settings | {"claim": {"checked": "re-run"}}
        return Item(replace(item.record, settings=settings), item.arrays)

    edited(file, change)
    assert verify.main([str(file), "--out", f"{tmp_path}/board", "--claimed"]) == 0
    (record,) = ResultStore(tmp_path / "board").records()
    assert record.checked == "claimed"


def test_a_method_of_the_suite_cannot_be_submitted(stored, tmp_path, capsys):
    path = next(stored.runs.rglob("lsh/8-0-*.json"))
    assert submit.main([str(path), "--out", f"{tmp_path}/file.parquet", *AUTHOR]) == 2
    assert "'lsh' is a method of this suite" in capsys.readouterr().err


def test_the_text_of_a_method_goes_with_its_records(theirs, tmp_path, capsys):
    source = tmp_path / "theirs.py"
    source.write_text("class Theirs: ...\n")
    assert read_bundle(packed(theirs, tmp_path, "--method-file", str(source))).method == (
        "class Theirs: ...\n"
    )
    path = str(theirs.locate(theirs.records()[0]))
    source.write_bytes(b"\xff\xfe")
    arguments = [path, "--out", f"{tmp_path}/x.parquet", *AUTHOR, "--method-file", str(source)]
    assert submit.main(arguments) == 2
    assert "cannot be read as text" in capsys.readouterr().err


def test_what_is_said_of_a_submission_is_one_printable_line():
    with pytest.raises(BundleError, match=r"author: expected a line of up to 2,000 printable"):
        About(author="A\x1b[2J")
    with pytest.raises(BundleError, match=r"paper: .* got 'aaaa"):
        About(paper="a" * 2001)


def broken(file, **columns):
    """Write a file of records with some columns of its table replaced, or dropped where None."""
    table = pq.read_table(file)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = (
            table.drop_columns(name)
            if values is None
            else table.set_column(place, name, pa.array(values))
        )
    pq.write_table(table, file)


@pytest.fixture
def small(tmp_path):
    """A file with the record of a made-up run, and its codes."""
    record = make_record()
    rng = np.random.default_rng(0)
    arrays = {
        "query_ap": np.ones(300, np.float32),
        "query_rows": np.arange(300),
        "query_codes": rng.integers(0, 256, (300, 2), dtype=np.uint8),
        "database_codes": rng.integers(0, 256, (1497, 2), dtype=np.uint8),
        "database_rows": np.arange(1497),
    }
    file = tmp_path / "small.parquet"
    write_bundle(file, Bundle((Item(record, arrays),)))
    return file


def test_a_file_holds_what_was_written(small):
    bundle = read_bundle(small)
    (item,) = bundle.items
    assert item.record == make_record()
    assert item.has_codes
    assert item.arrays["query_codes"].shape == (300, 2)
    assert item.arrays["database_rows"].dtype == np.int64
    assert item.arrays["database_rows"].tolist() == list(range(1497))


def test_commands_go_out_without_the_folders_of_a_machine(small):
    called = "python -m benchmarks.run --out=/home/me/o --datasets digits/a 'folder:/my own/b c'"
    edited(small, lambda item: replace(item, record=replace(item.record, command=called)))
    (item,) = read_bundle(small).items
    assert item.record.command == (
        "python -m benchmarks.run --out=o --datasets digits/a 'folder:b c'"
    )
    more = "run --scheduler tcp://h:1 --cache / it's --data-root ../d"
    edited(small, lambda item: replace(item, record=replace(item.record, command=more)))
    assert read_bundle(small).items[0].record.command.startswith("run --scheduler tcp://h:1")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"seed": [7]}, "seed is 7 in its column and 0 in the record"),
        ({"record": ["{}"]}, "field 'backbone' is missing"),
        ({"record": ["["]}, "Expecting value"),
        ({"query_codes": [b"x"]}, "query_codes must be 600 bytes, got 1"),
        ({"database_rows": None}, "database_rows must be 11,976 bytes, got none"),
        ({"query_ap": None}, "query_ap must be 1,200 bytes, got none"),
        ({"digest": None}, "digest"),
    ],
)
def test_a_damaged_file_is_refused_by_what_is_wrong(small, columns, words, capsys):
    broken(small, **columns)
    assert verify.main([str(small)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "cannot be read as a file of records"),
        ({KEY: b"not JSON"}, "cannot be read as a file of records"),
        ({KEY: b"[1]"}, "form [1] where this version reads form 1"),
        ({KEY: json.dumps({"form": 2}).encode()}, "form 2 where this version reads form 1"),
        ({KEY: json.dumps({"form": 1, "about": {"x": ""}, "method": ""}).encode()}, "'x'"),
        ({KEY: json.dumps({"form": 1, "about": {}, "method": 3}).encode()}, "method: expected"),
    ],
)
def test_a_file_of_another_kind_is_refused(small, metadata, words):
    pq.write_table(pq.read_table(small).replace_schema_metadata(metadata), small)
    with pytest.raises(BundleError) as error:
        read_bundle(small)
    assert words in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PAR1 no parquet", None])
def test_no_file_of_records_at_all_is_one_line(tmp_path, content, capsys):
    file = tmp_path / "file.parquet"
    if content is not None:
        file.write_bytes(content)
    assert verify.main([str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be read as a file of records" in line


def test_a_report_that_is_not_wanted_cannot_be_published(tmp_path, capsys):
    arguments = ["--no-report", "--publish", f"{tmp_path}/reference", "--out", f"{tmp_path}/out"]
    assert run.main(arguments) == 2
    assert "--publish: takes tables and figures of the report" in capsys.readouterr().err
