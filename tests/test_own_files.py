"""The user's own parquet files and files of features."""

import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from datasets import load, read
from datasets.contents import LoadOptions
from results.store.store import ResultStore
from tests.own_data import call, features, refusal, table

# ---- parquet


def test_columns_are_guessed_and_told(tmp_path):
    path = table(tmp_path / "x.parquet", [i % 3 + 5 for i in range(12)], text=["a b"] * 12)
    _, contents = read(f"parquet:{path}", LoadOptions())
    assert contents.classes == ("5", "6", "7")
    assert contents.labels.dense().int().argmax(1).tolist() == [0, 1, 2] * 4
    assert "images from column 'img' kept at 8 px, labels from column 'label'" in contents.notes[0]
    assert "(3 classes: 5, 6, 7)" in contents.notes[0]


@pytest.mark.parametrize(
    ("labels", "classes", "first"),
    [
        (["owl", "crow"] * 6, ("crow", "owl"), [0, 1]),
        ([["a", "b"], ["b"], []] * 4, ("a", "b"), [1, 1]),
        ([[3, 9], [9, 3, 4], [4]] * 4, ("3", "4", "9"), [1, 0, 1]),
        ([[1, 0, 1], [0, 1, 0], [0, 0, 1]] * 4, (), [1, 0, 1]),
        ([[0, 1], [1], [0]] * 4, ("0", "1"), [1, 1]),
        ([True, False] * 6, ("False", "True"), [0, 1]),
        (pa.array(["owl", "crow"] * 6).dictionary_encode(), ("crow", "owl"), [0, 1]),
    ],
)
def test_labels_of_every_form(tmp_path, labels, classes, first):
    _, contents = read(f"parquet:{table(tmp_path / 'x.parquet', labels)}", LoadOptions())
    assert contents.classes == classes
    assert contents.labels.dense()[0].int().tolist() == first


def test_class_numbers_have_the_names_that_the_file_states(tmp_path):
    path = table(tmp_path / "x.parquet", [0, 2] * 6)
    stated = {"info": {"features": {"label": {"names": ["crow", "owl", "wren"]}}}}
    found = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(stated)})
    pq.write_table(found, path)
    assert read(f"parquet:{path}", LoadOptions())[1].classes == ("crow", "wren")


def test_rows_without_a_label_are_counted(tmp_path):
    labels = pa.array([0, 1, None, 1, 0, 1, 0, None, 0, 1])
    data = load(f"parquet:{table(tmp_path / 'x.parquet', labels)}")
    assert "2 of 10 rows have no label" in data.notes
    assert data.labels.dense()[2].sum() == 0


def test_files_of_a_folder_are_its_rows_or_its_parts(tmp_path):
    for part, n in (("train-0", 8), ("train-1", 4), ("test-0", 4)):
        table(tmp_path / f"{part}.parquet", [i % 2 for i in range(n)])
    data = load(f"parquet:{tmp_path}")
    assert (data.protocol.name, data.protocol.rule) == ("4q-12t", "as listed")
    assert data.query.tolist() == [0, 1, 2, 3]  # files by name: test before train
    (tmp_path / "test-0.parquet").rename(tmp_path / "more.parquet")
    message = refusal(f"parquet:{tmp_path}")
    assert "files train-0, train-1 are named like parts of a split, beside more" in message
    (tmp_path / "more.parquet").unlink()
    one = load(f"parquet:{tmp_path}")
    assert one.protocol.name == "1q-11t"
    assert (
        "all files are of one part, train-0, train-1; its rows are split at random" in one.notes[1]
    )


PART_FILES = [
    ("train", "test"),
    ("training", "testing"),
    ("Train", "valid"),
    ("train-00000-of-00001-0123456789abcdbf", "validation-00000-of-00001-db23456789abcdef"),
    ("birds_train", "birds_dev"),
    ("trainval", "eval"),
    ("train_val", "query"),
    ("trainset", "TestImages"),
]


@pytest.mark.parametrize(("train", "ask"), PART_FILES)
def test_files_may_be_called_after_parts_in_many_ways(tmp_path, train, ask):
    table(tmp_path / f"{train}.parquet", [0, 1] * 4)
    table(tmp_path / f"{ask}.parquet", [0, 1] * 2)
    table(tmp_path / "._train.parquet", [0])
    data = load(f"parquet:{tmp_path}")
    assert (data.protocol.name, data.protocol.rule) == ("4q-8t", "as listed")


def test_parts_that_take_no_part_are_left_out_and_told(tmp_path):
    for part, n in (("train", 8), ("test", 6), ("val", 4), ("unlabelled", 2)):
        table(tmp_path / f"{part}-0.parquet", [i % 2 for i in range(n)])
    data = load(f"parquet:{tmp_path}")
    assert (data.protocol.name, len(data.labels)) == ("6q-8t", 14)
    assert "files of no part of the split, left out: unlabelled-0, val-0" in data.notes[1]


def test_a_column_that_names_parts_is_not_read_and_that_is_told(tmp_path):
    path = table(tmp_path / "x.parquet", [0, 1] * 4, split=["train", "test"] * 4)
    notes = load(f"parquet:{path}", LoadOptions(label_column="label")).notes
    assert "column 'split' is not read; parts are files" in notes[1]


COLUMNS = [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]] * 5


@pytest.mark.parametrize("form", [pa.list_(pa.int64()), pa.list_(pa.bool_()), pa.list_(pa.uint8())])
@pytest.mark.parametrize("empty", [None, []])
def test_a_row_without_labels_leaves_all_others_what_they_are(tmp_path, form, empty):
    as_written = bool if form == pa.list_(pa.bool_()) else int
    rows = [list(map(as_written, row)) for row in COLUMNS]
    rows[0] = rows[7] = empty
    path = table(tmp_path / "x.parquet", pa.array(rows, form))
    _, contents = read(f"parquet:{path}", LoadOptions())
    assert contents.classes == ()
    expected = [[0] * 4 if i in (0, 7) else row for i, row in enumerate(COLUMNS)]
    assert contents.labels.dense().int().tolist() == expected


def test_columns_of_a_fixed_length_may_have_null_rows(tmp_path):
    rows = [*COLUMNS[:-1], None]
    path = table(tmp_path / "x.parquet", pa.array(rows, pa.list_(pa.int32(), 4)))
    labels = read(f"parquet:{path}", LoadOptions())[1].labels.dense()
    assert labels.int().tolist() == [*COLUMNS[:-1], [0] * 4]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ([1, 0, 1], "row 7 has 3 values, most rows have 0 or 1 in each of 4 columns"),
        ([1, 0, 1, 0, 0], "row 7 has 5 values, most rows have"),
        ([2], "row 7 has 1 values, most rows have"),
        ([1, 0, 2, 0], "must be 0 or 1, got 2 in row 7"),
        ([-1, -1, -1, -1], "must be 0 or 1, got -1 in row 7"),
        ([0, -1, 0, 1], "must be 0 or 1, got -1 in row 7"),
        ([1, None, 0, 0], "a list of labels holds null"),
    ],
)
def test_an_odd_row_of_columns_is_refused_by_number(tmp_path, odd, words):
    rows = [*COLUMNS[:7], odd, *COLUMNS[8:]]
    rows[2] = None
    assert words in refusal(f"parquet:{table(tmp_path / 'x.parquet', rows)}")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[0, -1, 1], [1, 0, -1]] * 4, "must be 0 or 1, got -1 in row 0"),
        ([[0, 0, 1], [0, 1]] * 4, "row 0 has 3 values, most rows have 0 or 1 in each of 2"),
        ([[0, 0, 1], [0, 1, 0, 0]] * 4, "row 1 has 4 values"),
    ],
)
def test_columns_that_are_odd_everywhere_are_no_class_numbers(tmp_path, rows, words):
    assert words in refusal(f"parquet:{table(tmp_path / 'x.parquet', rows)}")


def test_a_file_is_read_once_and_never_asks_and_answers(tmp_path):
    table(tmp_path / "a.parquet", [0, 1] * 8)
    (tmp_path / "b.parquet").symlink_to("a.parquet")
    (tmp_path / "c.parquet").hardlink_to(tmp_path / "a.parquet")
    assert len(read(f"parquet:{tmp_path}", LoadOptions())[1]) == 16
    for old, new in (("a", "train"), ("b", "train-1"), ("c", "test")):
        (tmp_path / f"{old}.parquet").rename(tmp_path / f"{new}.parquet")
    (tmp_path / "train-1.parquet").unlink()
    assert "train.parquet is also the file of the queries" in refusal(f"parquet:{tmp_path}")
    (tmp_path / "test.parquet").rename(tmp_path / "database.parquet")
    table(tmp_path / "test.parquet", [0, 1] * 2)
    data = load(f"parquet:{tmp_path}")
    assert (len(data.query), len(data.train), len(data.database)) == (4, 16, 16)


def test_minus_one_is_no_class(tmp_path):
    path = table(tmp_path / "x.parquet", [0, 1] * 5 + [-1] * 4)
    stated = {"info": {"features": {"label": {"names": ["crow", "owl"]}}}}
    found = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(stated)})
    pq.write_table(found, path)
    _, contents = read(f"parquet:{path}", LoadOptions())
    assert contents.classes == ("crow", "owl")
    assert contents.labels.dense().int().sum(0).tolist() == [5, 5]
    assert not contents.labels.dense()[10:].any()
    lists = [[3, -1], [5, 3], [-1], [5]] * 4
    _, contents = read(f"parquet:{table(tmp_path / 'y.parquet', lists)}", LoadOptions())
    assert contents.labels[:4].dense().int().tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]
    names = ["a", "", "b", None] * 4
    _, contents = read(f"parquet:{table(tmp_path / 'z.parquet', names)}", LoadOptions())
    assert contents.labels[:4].dense().int().tolist() == [[1, 0], [0, 0], [0, 1], [0, 0]]


def test_a_class_without_a_name_keeps_its_number_and_all_others_their_names(tmp_path):
    path = table(tmp_path / "x.parquet", [0, 1, 7] * 4)
    stated = {"info": {"features": {"label": {"names": ["crow", "owl"]}}}}
    found = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(stated)})
    pq.write_table(found, path)
    assert read(f"parquet:{path}", LoadOptions())[1].classes == ("crow", "owl", "7")


def test_files_without_rows_are_refused(tmp_path):
    path = table(tmp_path / "x.parquet", pa.array([], pa.int64()), images=pa.array([]))
    assert "no row has a label" in refusal(f"parquet:{path}")


def test_columns_that_cannot_be_told_are_listed(tmp_path):
    path = table(tmp_path / "x.parquet", [0, 1] * 4, other=[1, 2] * 4)
    renamed = pq.read_table(path).rename_columns(["img", "left", "right"])
    pq.write_table(renamed, path)
    name = f"parquet:{path}"
    message = refusal(name)
    assert "cannot tell the label column" in message
    assert "left, right; name one with --label-column" in message
    assert load(name, LoadOptions(label_column="right")).labels.shape == (8, 2)
    assert "no column 'img'; label columns hold" in refusal(name, label_column="img")
    assert "no column 'none'; image columns hold" in refusal(
        name, label_column="left", image_column="none"
    )


def test_parquet_files_that_say_nothing_are_refused(tmp_path):
    assert "no such file" in refusal(f"parquet:{tmp_path}")
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    assert "not a readable parquet file" in refusal(f"parquet:{path}")
    pq.write_table(pa.table({"label": [0, 1]}), path)
    assert "cannot tell the image column; image columns hold structs" in refusal(f"parquet:{path}")
    table(path, list(range(8)))
    assert "8 values with 8 different ones name rows, not classes" in refusal(f"parquet:{path}")
    table(path, pa.array([None] * 8, pa.int64()))
    assert "no row has a label" in refusal(f"parquet:{path}")
    table(tmp_path / "y.parquet", ["a", "b"] * 4)
    table(path, [0, 1] * 4)
    assert "expected a column 'label' of int64, as in the first" in refusal(f"parquet:{tmp_path}")


# ---- features


def test_features_are_read_and_need_no_backbone(tmp_path, capsys):
    path = features(tmp_path / "vgg.npz")
    data = load(f"features:{path}")
    assert data.images is None
    assert data.features.shape == (40, 4)
    label = data.protocol.label
    assert re.fullmatch("features-vgg-[0-9a-f]{6}/4q-36t", label)
    assert call(tmp_path, "--datasets", f"features:{path}") == 0
    out = capsys.readouterr().out
    assert f"{label} on features: 4 queries" in out
    assert "  features:" in out
    record = next(r for r in ResultStore(tmp_path / "out").records() if r.method == "float")
    assert record.metrics["mAP"] > 0.9


def test_safetensors_say_the_same_as_npz(tmp_path):
    arrays = dict(np.load(features(tmp_path / "x.npz")))
    save_file({k: torch.from_numpy(v) for k, v in arrays.items()}, tmp_path / "x.safetensors")
    one, two = (load(f"features:{tmp_path}/x{end}") for end in (".npz", ".safetensors"))
    assert one.digest == two.digest
    half = torch.from_numpy(arrays["features"]).bfloat16()
    labels = torch.from_numpy(arrays["labels"])
    save_file({"features": half, "labels": labels}, tmp_path / "h.safetensors")
    assert torch.equal(load(f"features:{tmp_path}/h.safetensors").features[:], half.float())


@pytest.mark.parametrize("named", [False, True])
def test_a_split_of_features_is_kept(tmp_path, named):
    split = np.array([0, 1, 2, 2] * 10)
    if named:
        split = np.array(["train", "query", "database"])[split]
    data = load(f"features:{features(tmp_path / 'x.npz', split=split)}")
    assert (data.protocol.name, data.protocol.rule) == ("10q-10t", "as listed")
    assert data.query.tolist() == list(range(1, 40, 4))
    assert (len(data.train), len(data.database)) == (10, 20)
    assert not torch.isin(data.train, data.database).any()
    two = load(f"features:{features(tmp_path / 'y.npz', split=np.array([0, 0, 0, 1] * 10))}")
    assert torch.equal(two.train, two.database)


def test_parts_of_features_have_the_names_of_all_parts(tmp_path):
    split = np.array(["training", "val", "gallery", "test"])[np.arange(40) % 4]
    data = load(f"features:{features(tmp_path / 'x.npz', split=split)}")
    assert (len(data.train), len(data.query), len(data.database)) == (10, 10, 10)
    assert data.query.tolist() == list(range(3, 40, 4))
    assert "rows of no part of the split, left out: val" in data.notes[1]


def test_rows_of_features_may_have_no_label(tmp_path):
    numbers = np.arange(40) % 4
    numbers[5:9] = -1
    data = load(f"features:{features(tmp_path / 'x.npz', labels=numbers)}")
    assert data.labels.shape == (40, 4)
    assert not data.labels.dense()[5:9].any()
    assert "4 of 40 rows have no label" in data.notes


def test_a_pipe_is_no_file_of_features_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    assert "expected a file" in refusal(f"features:{tmp_path}/x.npz")
    os.mkfifo(tmp_path / "x.parquet")
    assert "no such file" in refusal(f"parquet:{tmp_path}/x.parquet")
    assert "no such file" in refusal(f"parquet:{tmp_path}")


def test_labels_of_features_may_be_columns(tmp_path):
    labels = np.eye(4)[np.arange(40) % 4]
    labels[:, 1] = 1 - labels[:, 0]
    data = load(f"features:{features(tmp_path / 'x.npz', labels=labels)}")
    assert data.labels.dense().int().tolist() == labels.astype(int).tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": np.zeros((40, 4), int)}, "features must be float (N, D), got int64 (40, 4)"),
        ({"features": np.zeros(40)}, "features must be float (N, D), got float64 (40,)"),
        ({"labels": np.zeros(39, int)}, "labels must have a row for each of 40 features"),
        ({"labels": np.full((40, 2), 3)}, "must be 0 or 1, got 3 in row 0"),
        ({"labels": np.zeros(40)}, "labels must be class numbers (N,) or 0/1 (N, C)"),
        ({"labels": np.zeros(40, int)}, "every row has the label '0'"),
        ({"split": np.full(40, 3)}, "split must be 0, 1, 2 or 'train', 'query', 'database'"),
        ({"split": np.full(40, -1)}, "of each row, got -1"),
        ({"split": np.array(["rest"] * 40)}, "of each row, got 'rest'"),
        ({"split": np.zeros(40)}, "split must be the number or name of a part"),
        ({"labels": np.full(40, -1)}, "no row has a label"),
        (
            {"labels": np.array(["a" * 5000, "b"] * 20)},
            "x.npz: the name of a class has at most 255",
        ),
        ({"labels": np.array(["a\0b", "b"] * 20)}, "letters and no NUL, got 'a\\x00b' of 3"),
        ({"labels": np.array([0, 1, 2, -2] * 10)}, "class numbers are 0 or more, and -1 says"),
        ({"split": np.zeros(40, int)}, "it has no rows of queries"),
        ({"labels": np.array([{}] * 40, object)}, "cannot be read"),
        ({"features": np.full((40, 4), np.nan)}, "features must be finite, 40 rows are not"),
    ],
)
def test_wrong_features_are_refused(tmp_path, changes, words):
    assert words in refusal(f"features:{features(tmp_path / 'x.npz', **changes)}")


def test_wrong_files_of_features_are_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK")
    assert "cannot be read" in refusal(f"features:{tmp_path}/x.npz")
    assert "cannot be read" in refusal(f"features:{tmp_path}/none.safetensors")
    assert "expected a .npz or .safetensors file, or one of vectors alone: .fvecs" in refusal(
        f"features:{tmp_path}/x.txt"
    )
    np.savez(tmp_path / "x.npz", labels=np.zeros(3))
    assert "expected an array features, and labels where there are any, found labels" in refusal(
        f"features:{tmp_path}/x.npz"
    )
