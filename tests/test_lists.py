import time

import numpy as np
import pytest
import torch

from datasets.errors import DatasetError
from datasets.files.lists import has_lists, read_list, read_lists, read_pair

SWUXYJ = "swuxyj_DeepHash-pytorch/data"


def write(folder, **lists):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in lists.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def refusal(function, *arguments):
    with pytest.raises(DatasetError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def split(tmp_path):
    return write(
        tmp_path,
        test="a/1.jpg 1 0\n",
        train="a/2.jpg 0 1\n",
        database="a/2.jpg 0 1\na\\3.jpg 1 1\n",
    )


def test_an_image_in_two_lists_is_one_row(split):
    lists = read_lists(split, "there")
    assert lists.names == ["a/1.jpg", "a/2.jpg", "a/3.jpg"]
    assert lists.labels.dense().tolist() == [[True, False], [False, True], [True, True]]
    assert {part: rows.tolist() for part, rows in lists.parts.items()} == {
        "test": [0],
        "train": [1],
        "database": [1, 2],
    }


@pytest.mark.parametrize("text", ["a 1 0\r\nb 0 1\r\n", "a\t1\t0 \nb  0 1", "a 1 0\nb 0 1\n\n\n"])
def test_line_ends_and_blanks_do_not_matter(tmp_path, text):
    write(tmp_path, test=text)
    names, labels = read_list(tmp_path / "test.txt")
    assert names == ["a", "b"]
    assert labels.tolist() == [[True, False], [False, True]]


def test_names_and_labels_may_come_in_two_files(tmp_path):
    parts = {"test": ["a"], "train": ["b"], "database": ["b", "c"]}
    for part, names in parts.items():
        write(
            tmp_path,
            **{f"img_{part}": "\n".join(names), f"label_{part}": "\n".join("1 0 " for _ in names)},
        )
    assert has_lists(tmp_path)
    lists = read_lists(tmp_path, "there")
    assert lists.names == ["a", "b", "c"]
    assert lists.labels.dense().tolist() == [[True, False]] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 0\nb 1\n", "line 2: 1 labels, line 1 has 2"),
        ("a 1 0\nb 1 0 1\n", "line 2: 3 labels, line 1 has 2"),
        ("a\nb 1\n", "line 1: 0 labels"),
        ("a 1 0\nb 2 1\n", "line 2: a label is 0 or 1, got '2'"),
        ("a 1 0\nb 0 -1\n", "line 2: a label is 0 or 1, got '-1'"),
        ("a 1 0\nb 01 1\n", "line 2: a label is 0 or 1, got '01'"),
        ("a 1 0\nb 1 0\na 1 0\n", "line 3: a is on line 1 already"),
        ("a 1 0\n\nb 1 0\n", "line 2: no path"),
        ("a 1 0\n../../b 1 0\n", "line 2: ../../b leaves its folder"),
        ("a 1 0\nc\\..\\..\\b 1 0\n", "line 2: c/../../b leaves its folder"),
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    path = write(tmp_path, test=text) / "test.txt"
    assert refusal(read_list, path).startswith(str(path))
    assert message in refusal(read_list, path)


def test_a_list_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "test.txt").write_bytes(b"\xff\xd8\xff\xe0 1 0\n")
    assert "not a text file" in refusal(read_list, tmp_path / "test.txt")


def test_an_absent_list_is_refused(tmp_path):
    assert "cannot be read" in refusal(read_list, tmp_path / "test.txt")


def test_two_files_need_a_line_for_each_image(tmp_path):
    write(tmp_path, img="a\nb\n", label="1 0\n")
    message = refusal(read_pair, tmp_path / "img.txt", tmp_path / "label.txt")
    assert "1 lines for the 2 images of" in message


def test_other_labels_in_another_list_are_refused(split):
    write(split, train="a/2.jpg 1 1\n")
    message = refusal(read_lists, split, "there")
    assert message.startswith(f"{split / 'database.txt'} line 1: a/2.jpg has other labels")


def test_lists_of_different_widths_are_refused(split):
    write(split, train="a/2.jpg 1\n")
    message = refusal(read_lists, split, "there")
    assert f"{split / 'train.txt'}: 1 labels a line, {split / 'test.txt'} has 2" in message


def test_a_missing_list_is_named_with_what_is_there_and_where_it_is_had(split):
    (split / "database.txt").unlink()
    assert refusal(read_lists, split, "example.org") == (
        f"{split}: database.txt (or img_database.txt and label_database.txt) missing, found "
        "test.txt, train.txt; the field's lists are had from example.org"
    )


@pytest.mark.parametrize(
    ("path", "rows", "width"),
    [
        (f"{SWUXYJ}/coco/train.txt", 10_000, 80),
        (f"{SWUXYJ}/coco/test.txt", 5000, 80),
        (f"{SWUXYJ}/nuswide_21/train.txt", 10_500, 21),
        (f"{SWUXYJ}/nuswide_21/test.txt", 2100, 21),
        (f"{SWUXYJ}/nuswide_21_m/train.txt", 10_500, 21),
        (f"{SWUXYJ}/nuswide_21_m/test.txt", 2100, 21),
        ("Dreamupers_DeepHashing/data/flickr25k/allannots.txt", 24_581, 24),
        ("gimpong_AAAI22-MeCoQ/data/Nuswide/test.txt", 2100, 21),
    ],
)
def test_real_lists_have_their_published_counts(paper_lists, path, rows, width):
    names, labels = read_list(paper_lists / path)
    assert len(names) == rows
    assert labels.shape == (rows, width)
    assert labels.any(1).all()


@pytest.mark.parametrize(
    ("key", "folder", "sizes"),
    [
        ("mirflickr38", f"{SWUXYJ}/mirflickr", (1000, 4000, 20_000)),
        ("voc2012", f"{SWUXYJ}/voc2012", (1000, 4000, 6540)),
    ],
)
def test_real_splits_are_those_of_the_packed_copy(paper_lists, shared_data, key, folder, sizes):
    lists = read_lists(paper_lists / folder, "there")
    assert tuple(len(lists.parts[part]) for part in ("test", "train", "database")) == sizes
    with np.load(shared_data / "splits" / "multilabel_lists.npz") as packed:
        names = packed[f"{key}_names"].tolist()
        width = int(packed[f"{key}_nlab"])
        labels = np.unpackbits(packed[f"{key}_labels"], axis=1)[:, :width]
        parts = packed[f"{key}_split"]
    row = {name: i for i, name in enumerate(lists.names)}
    order = [row[name] for name in names]
    assert sorted(order) == list(range(len(names)))
    assert torch.equal(lists.labels.dense()[order], torch.from_numpy(labels).bool())
    for part, rows in lists.parts.items():
        assert {lists.names[i] for i in rows} == {
            n for n, p in zip(names, parts, strict=True) if p == part
        }


def test_real_lists_in_two_files_train_inside_the_database(paper_lists):
    lists = read_lists(paper_lists / "yangerkun_IJCAI2018_SSDH/flickr", "there")
    sizes = {part: len(rows) for part, rows in lists.parts.items()}
    assert sizes == {"test": 2000, "train": 10_000, "database": 18_015}
    assert lists.labels.shape == (20_015, 24)
    assert torch.isin(lists.parts["train"], lists.parts["database"]).all()
    assert not torch.isin(lists.parts["test"], lists.parts["database"]).any()


def test_a_list_as_long_as_nus_wide_takes_seconds(tmp_path):
    line = " ".join("01"[i % 7 == 0] for i in range(81))
    write(tmp_path, database="\n".join(f"images/{i:06}.jpg {line}" for i in range(269_648)))
    start = time.perf_counter()
    names, labels = read_list(tmp_path / "database.txt")
    assert time.perf_counter() - start < 20
    assert labels.shape == (len(names), 81)
    assert labels.sum() == 12 * 269_648
