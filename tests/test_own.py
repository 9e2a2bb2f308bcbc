"""The user's own data: folders, parquet files, files of features; and how they are split."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import rescore, run, score
from datasets import full_name, load, read
from datasets.contents import LoadOptions
from datasets.digests import tensor_digest
from datasets.errors import OptionError, UnknownName
from results.store.store import ResultStore
from tests.own_data import call, features, png, refusal, table, tree

# ---- the split


def test_own_data_are_drawn_by_sizes_that_suit_their_number(tmp_path):
    data = load(f"folder:{tree(tmp_path / 'My birds', 50)}")
    p = data.protocol
    assert re.fullmatch("folder-My-birds-[0-9a-f]{6}/10q-90t", p.label)
    assert (p.n_query, p.n_train, p.n_database) == (10, 90, 90)
    assert (p.cutoff, p.rule) == (90, "pooled at random, train inside the database")
    assert torch.equal(data.train, data.database)


def test_the_split_is_pinned(tmp_path):
    """Numbers rest on it: the same rows on every machine and at every seed."""
    torch.manual_seed(1)
    x = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    path = features(tmp_path / "x.npz", 1000, features=x)
    data = load(f"features:{path}", LoadOptions(n_train=500))
    assert data.protocol.label == "features-x-9c0bfa/100q-500t"
    assert data.protocol.digest[:16] == "4a8edb07531e7d1b"
    assert tensor_digest(data.train, data.query, data.database)[:16] == "e7052b0bfa1b987d"
    assert not torch.isin(data.query, data.database).any()


def test_sizes_can_be_given_and_have_a_digest(tmp_path):
    tree(tmp_path / "birds")
    name = f"folder:{tmp_path / 'birds'}"
    data = load(name, LoadOptions(n_query=5, n_train=7, cutoff=3))
    assert (data.protocol.name, data.protocol.cutoff) == ("5q-7t", 3)
    assert (len(data.query), len(data.train), len(data.database)) == (5, 7, 15)
    assert torch.isin(data.train, data.database).all()
    again = load(name, LoadOptions(n_query=5, n_train=7, cutoff=3))
    assert (again.protocol.digest, again.digest) == (data.protocol.digest, data.digest)
    other = load(name, LoadOptions(n_query=5, n_train=7, cutoff=4))
    assert other.protocol.digest != data.protocol.digest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_query": 15, "n_train": 6}, "20 rows cannot give 15 queries and 6 training rows"),
        ({"n_query": 20}, "20 rows cannot give 20 queries and 1 training rows"),
        ({"n_query": 0}, "--queries must be at least 1, got 0"),
        ({"n_train": -2}, "--train must be at least 1, got -2"),
        ({"cutoff": 19}, "--cutoff must be in 1..18 (the database), got 19"),
        ({"label_column": "x"}, "--label-column is of parquet files"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, words):
    tree(tmp_path / "birds")
    with pytest.raises(OptionError) as caught:
        load(f"folder:{tmp_path / 'birds'}", LoadOptions(**options))
    assert words in str(caught.value)


@pytest.mark.parametrize("field", ["n_query", "n_train", "cutoff", "label_column"])
def test_named_data_sets_take_no_options_of_own_data(field):
    with pytest.raises(OptionError, match=r"digits: --.* is of your own data; leave it out"):
        load("digits", LoadOptions(**{field: 3}))


def test_names_are_kinds_and_paths(tmp_path, monkeypatch):
    tree(tmp_path / "a/b")
    monkeypatch.chdir(tmp_path)
    assert full_name("folder:a/../a/b/") == full_name("folder:a/b") == f"folder:{tmp_path}/a/b"
    assert load("folder:a/b").digest == load(f"folder:{tmp_path}/a/b").digest
    with pytest.raises(UnknownName, match="unknown kind of data 'foldr'; did you mean 'folder'"):
        load("foldr:a/b")
    assert refusal("folder:") == "folder: needs a path, as in folder:PATH"


@pytest.mark.parametrize("kind", ["folder", "lists", "parquet", "features"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a\0b", r"folder:a\x00b: the path of data must be of letters that can be shown"),
        ("a\udce9b", r"folder:a\xe9b: the path of data must be of letters that can be shown"),
        ("a\x1b[2J", r"folder:a\x1b[2J: the path of data must be"),
        ("a" * 5000, "a: no such path (["),
        ("a/" * 5000, "a/: no such path (["),
        ("~nobody-of-this-name/a", "no such path (Could not determine home directory.)"),
    ],
)
def test_a_path_that_cannot_be_shown_or_be_is_refused(kind, path, words):
    message = refusal(f"{kind}:{path}")
    assert words.replace("folder", kind) in message
    assert len(message) < 300


# ---- folder


def test_a_folder_a_class(tmp_path):
    tree(tmp_path / "birds", 3)
    (tmp_path / "birds/owl/deeper").mkdir()
    (tmp_path / "birds/owl/deeper/x.PNG").write_bytes(png(12))
    (tmp_path / "birds/owl/list.txt").write_text("no image")
    (tmp_path / "birds/.hidden").mkdir()
    (tmp_path / "birds/.hidden/x.png").write_bytes(png())
    (tmp_path / "birds/loose.png").write_bytes(png())
    _, contents = read(f"folder:{tmp_path / 'birds'}", LoadOptions())
    assert contents.classes == ("crow", "owl")
    assert contents.labels.dense().int().sum(0).tolist() == [3, 4]
    assert contents.images.encoded.names[-1] == "owl/deeper/x.PNG"
    assert contents.images.size == 8
    assert "7 images, 2 classes, kept at 8 px" in contents.notes[0]
    assert "2 files are not images in a class and left out: loose.png" in contents.notes[1]
    pixels = np.asarray(Image.open(tmp_path / "birds/crow/001.png"))
    read_back = contents.images.read(torch.tensor([1]))[0].permute(1, 2, 0)
    assert np.array_equal(read_back, pixels)


@pytest.mark.parametrize("queries", ["test", "val", "query"])
def test_parts_of_a_folder_are_its_split(tmp_path, queries):
    tree(tmp_path, 6, part="train")
    tree(tmp_path, 2, part=queries)
    data = load(f"folder:{tmp_path}")
    assert (data.protocol.name, data.protocol.rule) == ("4q-12t", "as listed")
    assert torch.equal(data.train, data.database)
    names = data.images.encoded.names
    assert all(names[i].startswith(f"{queries}/") for i in data.query.tolist())
    assert data.labels.shape == (16, 2)
    assert data.labels.dense()[data.query].sum(0).tolist() == [2, 2]
    assert "would split data that come in parts already" in refusal(f"folder:{tmp_path}", n_query=3)


def test_a_database_of_its_own(tmp_path):
    for part, n in (("train", 3), ("test", 2), ("database", 4)):
        tree(tmp_path, n, part=part)
    data = load(f"folder:{tmp_path}")
    assert (len(data.train), len(data.query), len(data.database)) == (6, 4, 8)


def test_a_class_called_train_is_a_class(tmp_path):
    tree(tmp_path, classes=("train", "ship"))
    assert read(f"folder:{tmp_path}", LoadOptions())[1].classes == ("ship", "train")


def test_folders_that_say_nothing_are_refused(tmp_path):
    assert "no such folder" in refusal(f"folder:{tmp_path / 'none'}")
    (tmp_path / "empty").mkdir()
    assert "found no images in folders of classes" in refusal(f"folder:{tmp_path / 'empty'}")
    tree(tmp_path / "one", classes=("crow",))
    assert "every row has the label 'crow'" in refusal(f"folder:{tmp_path / 'one'}")
    tree(tmp_path / "singles", 1)
    assert "2 different ones name rows, not classes" in refusal(f"folder:{tmp_path / 'singles'}")


def test_folders_whose_files_have_equal_names_and_sizes_are_told_apart(tmp_path):
    for name in ("a", "b"):
        for label in ("x", "y"):
            (tmp_path / name / label).mkdir(parents=True)
            for i in range(4):
                grey = Image.new("RGB", (64, 64), (i, i, 50 if name == "a" else 60))
                grey.save(tmp_path / name / label / f"{i}.bmp")
    assert (
        load(f"folder:{tmp_path / 'a'}").data_digest != load(f"folder:{tmp_path / 'b'}").data_digest
    )


# ---- parts of a folder


@pytest.mark.parametrize(
    ("train", "ask"),
    [
        ("train", "valid"),
        ("training", "testing"),
        ("Train", "Validation"),
        ("TRAIN", "dev"),
        ("train2017", "val2017"),
        ("train_images", "test_images"),
        ("trainset", "evaluation"),
        ("trainval", "eval"),
        ("train_val", "queries"),
    ],
)
def test_parts_may_be_called_in_many_ways(tmp_path, train, ask):
    tree(tmp_path, 6, part=train)
    tree(tmp_path, 2, part=ask)
    contents = read(f"folder:{tmp_path}", LoadOptions())[1]
    assert contents.classes == ("crow", "owl")
    data = load(f"folder:{tmp_path}")
    assert (data.protocol.name, data.protocol.rule) == ("4q-12t", "as listed")
    assert all(data.images.encoded.names[i].startswith(f"{ask}/") for i in data.query.tolist())


@pytest.mark.parametrize("base", ["database", "gallery", "db", "retrieval"])
def test_a_database_may_be_called_in_many_ways(tmp_path, base):
    for part, n in (("train", 3), ("test", 2), (base, 4)):
        tree(tmp_path, n, part=part)
    data = load(f"folder:{tmp_path}")
    assert (len(data.train), len(data.query), len(data.database)) == (6, 4, 8)


def test_queries_before_test_before_validation_and_the_rest_is_told(tmp_path):
    for part, n in (("train", 6), ("val", 3), ("test", 2), ("extra", 1)):
        tree(tmp_path, n, part=part)
    data = load(f"folder:{tmp_path}")
    assert (len(data.query), len(data.images)) == (4, 16)
    assert "folders of no part of the split, left out: extra, val" in data.notes[1]
    tree(tmp_path, 5, part="query")
    data = load(f"folder:{tmp_path}")
    assert len(data.query) == 10
    assert "left out: extra, test, val" in data.notes[1]


def test_a_folder_and_parquet_files_of_the_same_parts_are_the_same_split(tmp_path):
    for part, n in (("train", 8), ("val", 4), ("test", 6)):
        names = tree(tmp_path / "folder", n // 2, part=part) / part
        images = [file.read_bytes() for file in sorted(names.rglob("*.png"))]
        table(tmp_path / f"files/{part}-0.parquet", ["crow", "owl"] * (n // 2), images)
    folder, files = (load(f"{kind}:{tmp_path}/{where}") for kind, where in
                     (("folder", "folder"), ("parquet", "files")))  # fmt: skip
    sizes = [(len(d.query), len(d.train), len(d.database)) for d in (folder, files)]
    assert sizes == [(6, 8, 8)] * 2


def test_one_part_alone_is_split_at_random_and_that_is_told(tmp_path):
    tree(tmp_path, 10, part="train")
    data = load(f"folder:{tmp_path}")
    assert (data.protocol.name, data.labels.shape[1]) == ("2q-18t", 2)
    assert "all folders are of one part, train; its rows are split at random" in data.notes[1]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (("train", "unseen"), "folders train are named like parts of a split, beside unseen"),
        (("train", "gallery"), "folders gallery, train are named like parts of a split, but"),
        (("query", "database"), "folders database, query are named like parts"),
        (("val", "test"), "folders test, val are named like parts"),
    ],
)
def test_parts_that_make_no_split_are_refused(tmp_path, parts, words):
    for part in parts:
        tree(tmp_path, 3, part=part)
    assert words in refusal(f"folder:{tmp_path}")


@pytest.mark.parametrize("names", [("train", "test"), ("train_images", "val_images")])
def test_parts_without_classes_are_no_classes(tmp_path, names):
    tree(tmp_path, classes=names)
    assert "found no images in folders of classes" in refusal(f"folder:{tmp_path}")


def test_a_part_without_images_is_missed(tmp_path):
    tree(tmp_path, part="train")
    (tmp_path / "test").mkdir()
    assert "it has no rows of queries" in refusal(f"folder:{tmp_path}")


def test_classes_that_look_like_parts_are_told(tmp_path):
    tree(tmp_path / "a", classes=("train", "ship"))
    assert "folder train is taken for a class" in load(f"folder:{tmp_path}/a").notes[1]
    for label in ("crow", "owl"):
        tree(tmp_path / "b" / label, 4, classes=("train", "test"))
    assert (
        "folders test, train inside of classes are not read"
        in (load(f"folder:{tmp_path}/b").notes[1])
    )
    for part in ("lernen", "fragen"):
        tree(tmp_path / "c", 4, part=part)
    notes = load(f"folder:{tmp_path}/c").notes
    assert "folders fragen, lernen are taken for classes, though each holds crow, owl" in notes[1]
    assert len(load(f"folder:{tree(tmp_path / 'd')}").notes) == 1


# ---- a file is one row


@pytest.mark.parametrize("target", [".", "..", "../../birds", "more"])
def test_a_link_that_leads_back_adds_no_row(tmp_path, target):
    root = tree(tmp_path / "birds")
    plain = load(f"folder:{root}")
    (root / "crow/more").symlink_to(target)
    data = load(f"folder:{root}")
    assert (data.digest, data.images.encoded.names) == (plain.digest, plain.images.encoded.names)
    assert "crow/more" in data.notes[1]


@pytest.mark.parametrize("link", ["hard", "soft", "folder"])
def test_names_of_one_file_are_one_row_of_all_its_classes(tmp_path, link):
    root = tree(tmp_path / "birds", 10, classes=("crow", "owl"))
    if link == "folder":
        (root / "black").symlink_to("crow")
    else:
        (root / "black").mkdir()
        for i in range(10):
            file, name = root / f"crow/{i:03}.png", root / f"black/{i}.png"
            name.hardlink_to(file) if link == "hard" else name.symlink_to(file)
    _, contents = read(f"folder:{root}", LoadOptions())
    assert contents.classes == ("black", "crow", "owl")
    assert contents.labels.dense().int().unique(dim=0).tolist() == [[0, 0, 1], [1, 1, 0]]
    assert len(contents) == len(contents.images) == 20
    assert (
        "10 names lead to files that have another, as crow/000.png to black/" in (contents.notes[1])
    )


def test_a_file_may_train_and_be_in_the_database_but_never_ask_too(tmp_path):
    for part in ("train", "test"):
        tree(tmp_path, 3, part=part)
    (tmp_path / "database").symlink_to("train")
    data = load(f"folder:{tmp_path}")
    assert len(data.images) == 12
    assert torch.equal(data.train, data.database)
    (tmp_path / "train/owl/x.png").hardlink_to(tmp_path / "test/owl/001.png")
    message = refusal(f"folder:{tmp_path}")
    assert "test/owl/001.png" in message
    assert "are one file, among the queries and in the train part" in message


def test_folders_that_hold_each_other_end(tmp_path):
    root = tree(tmp_path / "birds", 4, classes=("a", "b", "c", "d"))
    for x in "abc":
        for y in "abc":
            if x != y:
                (root / x / f"to-{y}").symlink_to(root / y)
    contents = read_contents(root)
    assert len(contents) == 16
    assert contents.labels.dense().int().unique(dim=0).tolist() == [[0, 0, 0, 1], [1, 1, 1, 0]]


def read_contents(root):
    return read(f"folder:{root}", LoadOptions())[1]


# ---- what is no data


def test_results_and_caches_below_the_data_are_no_data(tmp_path, capsys):
    root = tree(tmp_path / "birds", 12, classes=("jay", "owl", "wren"))
    small = ["--methods", "lsh", "--bits", "8", "--seeds", "1", "--backbone", "pixels"]
    name = ["--datasets", f"folder:{root}", *small]
    places = ["--out", f"{root}/jay/results", "--cache", f"{root}/owl/cache"]
    before = load(f"folder:{root}").digest
    assert run.main([*name, *places]) == 0
    assert list((root / "jay/results").rglob("*.png"))
    assert run.main([*name, *places, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "3 cells, 3 stored, 0 to run" in out
    assert "jay/results/report is output of this benchmark, and no data" in out
    assert "owl/cache is output of this benchmark, and no data" in out
    assert load(f"folder:{root}").digest == before


def test_results_in_the_very_folder_of_the_data_are_no_data(tmp_path):
    root = tree(tmp_path / "birds", 12)
    for folder in ("runs", "report", "samples"):
        tree(root, 2, part=folder)
    (root / "plan.json").write_text("[]")
    assert read_contents(root).classes == ("crow", "owl")
    (root / "plan.json").unlink()
    assert read_contents(root).classes == ("crow", "owl", "report", "runs", "samples")


# ---- odd files


def test_pipes_sockets_and_links_that_lead_nowhere_are_told(tmp_path):
    root = tree(tmp_path / "birds")
    os.mkfifo(root / "owl/pipe.png")
    assert "owl/pipe.png is a pipe, a socket or a device" in load(f"folder:{root}").notes[1]
    (root / "owl/gone.png").symlink_to("nowhere.png")
    assert f"the first is {root}/owl/gone.png" in refusal(f"folder:{root}")
    (root / "owl/gone.png").unlink()
    (root / "owl/round.png").symlink_to("round.png")
    assert f"the first is {root}/owl/round.png" in refusal(f"folder:{root}")


def test_names_that_are_no_utf8_are_read_and_shown(tmp_path):
    root = tree(tmp_path / "birds")
    odd = os.fsdecode(b"caf\xe9")
    try:
        (root / "crow").rename(root / odd)
        (root / "owl/000.png").rename(root / f"owl/{odd}\x1b[2J.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    _, contents = read(f"folder:{root}", LoadOptions())
    assert contents.classes == (r"caf\xe9", "owl")
    assert len(load(f"folder:{root}", LoadOptions(allow_missing=True)).images) == 20
    (root / f"owl/{odd}\x1b[2J.png").write_bytes(b"")
    assert r"owl/caf\xe9\x1b[2J.png" in refusal(f"folder:{root}")


def test_one_odd_image_is_named_and_left_out_if_that_is_allowed(tmp_path, capsys):
    root = tree(tmp_path / "birds")
    (root / "crow/000.png").write_bytes(b"P6\n99999999999 2\n255\n")
    assert call(tmp_path, "--datasets", f"folder:{root}", "--dry-run", "--allow-missing") == 0
    assert "folder-birds" in capsys.readouterr().out
    assert call(tmp_path, "--datasets", f"folder:{root}") == 1
    assert "crow/000.png: corrupt image" in capsys.readouterr().err


def test_a_small_first_image_does_not_make_all_small(tmp_path):
    root = tree(tmp_path / "birds")
    for file in sorted(root.rglob("*.png"))[1:]:
        file.write_bytes(png(200))
    contents = read_contents(root)
    assert contents.images.size == 200
    assert "kept at 200 px, their median side" in contents.notes[0]


# ---- lists


def lists(root, images):
    """Twelve images in lists of a split; each has one or both of two labels."""
    tree(images / "all", 6, part="jpg")
    names = [f"all/jpg/{label}/{i:03}.png" for label in ("crow", "owl") for i in range(6)]
    lines = [f"{name} {int(i < 7)} {int(i > 4)}" for i, name in enumerate(names)]
    root.mkdir(exist_ok=True)
    for part, own in (("test", lines[::4]), ("train", lines[1::4]), ("database", lines[1::2])):
        (root / f"{part}.txt").write_text("\n".join(own) + "\n")
    return root


@pytest.mark.parametrize("below", [True, False])
def test_lists_are_a_split_of_images_below_them_or_below_the_data_root(tmp_path, below):
    images = tmp_path / "split" if below else tmp_path / "images"
    root = lists(tmp_path / "split", images)
    data = load(f"lists:{root}", LoadOptions(tmp_path / "images"))
    assert re.fullmatch("lists-split-[0-9a-f]{6}/3q-3t", data.protocol.label)
    assert data.protocol.rule == "as listed"
    assert (len(data.query), len(data.train), len(data.database)) == (3, 3, 6)
    assert torch.isin(data.train, data.database).all()
    assert data.labels.dense()[data.query].int().tolist() == [[1, 0], [1, 0], [0, 1]]
    assert data.images.read(data.query).shape == (3, 3, 8, 8)
    assert "would split data that come in parts already" in refusal(f"lists:{root}", n_train=3)


@pytest.mark.parametrize("names", [("training", "valid", "gallery"), ("Train", "query", "db")])
def test_lists_have_the_names_of_all_parts(tmp_path, names):
    root = lists(tmp_path / "split", tmp_path / "split")
    plain = load(f"lists:{root}")
    for old, new in zip(("train", "test", "database"), names, strict=True):
        (root / f"{old}.txt").rename(root / f"{new}.txt")
    (root / "classes.txt").write_text("crow")
    data = load(f"lists:{root}")
    assert data.digest == plain.digest
    assert "not read, as no list of a part: classes" in data.notes[1]
    (root / "train1.txt").write_text("x")
    assert "train1.txt" in refusal(f"lists:{root}")
    assert "are lists of one part" in refusal(f"lists:{root}")


def test_lists_may_begin_with_a_mark_and_end_lines_as_windows_does(tmp_path):
    root = lists(tmp_path / "split", tmp_path / "split")
    plain = load(f"lists:{root}")
    for part in ("train", "test", "database"):
        path = root / f"{part}.txt"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(f"lists:{root}").digest == plain.digest


def test_other_ways_to_write_a_path_are_the_same_image(tmp_path):
    root = lists(tmp_path / "split", tmp_path / "split")
    plain = load(f"lists:{root}")
    path = root / "train.txt"
    path.write_text(path.read_text().replace("all/", "./all//", 1))
    assert load(f"lists:{root}").digest == plain.digest
    path.write_text(path.read_text() + path.read_text().splitlines()[0].replace(".//", "/"))
    assert "is on line 1 already; an image is in a list once" in refusal(f"lists:{root}")


def test_links_in_lists_are_the_same_image_and_never_query_and_database(tmp_path):
    root = lists(tmp_path / "split", tmp_path / "split")
    (root / "again").symlink_to("all")
    path = root / "train.txt"
    path.write_text(path.read_text().replace("all/", "again/"))
    data = load(f"lists:{root}")
    assert len(data.images) == 9
    assert torch.isin(data.train, data.database).all()
    line = (root / "test.txt").read_text().splitlines()[0].replace("all/", "again/")
    (root / "database.txt").write_text((root / "database.txt").read_text() + line)
    assert "are one file, among the queries and in the database part" in refusal(f"lists:{root}")
    (root / "database.txt").write_text(
        line[:-3] + "0 1\n" + line[:-3].replace("000", "001") + "1 0"
    )
    assert "are one file, and have other labels" in refusal(f"lists:{root}")


def test_an_image_that_a_list_names_in_vain_is_refused_by_name(tmp_path):
    root = lists(tmp_path / "split", tmp_path / "split")
    (root / "all/jpg/owl/001.png").unlink()
    assert f"the first is {root}/all/jpg/owl/001.png" in refusal(f"lists:{root}")
    (root / "database.txt").unlink()
    assert "database.txt" in refusal(f"lists:{root}")


# ---- the commands


def test_one_folder_under_two_names_is_one_data_set(tmp_path, capsys):
    tree(tmp_path / "birds")
    names = [f"folder:{tmp_path}/birds", f"folder:{tmp_path}/birds/../birds/"]
    assert call(tmp_path, "--datasets", *names, "--dry-run") == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"folder-birds-\w+/2q-18t on pixels", out)) == 1
    assert "  folder:" in out
    assert "3 cells" in out


def test_two_folders_of_one_name_both_stay_in_the_report(tmp_path, capsys):
    names = [f"folder:{tree(tmp_path / where / 'birds')}" for where in "ab"]
    assert call(tmp_path, "--datasets", *names) == 0
    for name in names:
        assert call(tmp_path, "--datasets", name) == 0
    records = ResultStore(tmp_path / "out").records()
    from results.analysis.arrange import select

    shown, superseded = select(records)
    assert (len(shown), len(superseded)) == (6, 0)
    assert len({record.dataset for record in shown}) == 2


def test_a_copy_of_the_same_data_is_the_same_data_set(tmp_path, capsys):
    root = tree(tmp_path / "a/birds")
    shutil.copytree(root, tmp_path / "b/birds")
    names = [f"folder:{tmp_path}/{where}/birds" for where in "ab"]
    assert call(tmp_path, "--datasets", *names, "--dry-run") == 0
    assert "3 cells, 0 stored, 3 to run" in capsys.readouterr().out


def test_data_have_one_name_wherever_they_lie_and_others_another(tmp_path):
    root = tree(tmp_path / "a/birds")
    name = load(f"folder:{root}").protocol.dataset
    (tmp_path / "b").mkdir()
    root.rename(tmp_path / "b/birds")
    assert load(f"folder:{tmp_path}/b/birds").protocol.dataset == name
    (tmp_path / "b/birds/owl/000.png").rename(tmp_path / "b/birds/crow/x.png")
    assert load(f"folder:{tmp_path}/b/birds").protocol.dataset != name
    one, other = (features(tmp_path / f"{letter}.npz") for letter in "\u9ce5\u82b1")
    names = [load(f"features:{path}").protocol.dataset for path in (one, other)]
    assert [n[:14] for n in names] == ["features-data-"] * 2
    assert names[0] != names[1]
    split = np.arange(40) % 2
    first = features(tmp_path / "x.npz", features=np.ones((40, 2)), split=split)
    before = load(f"features:{first}").protocol.dataset
    second = features(tmp_path / "x.npz", features=np.ones((40, 2)), split=1 - split)
    assert load(f"features:{second}").protocol.dataset != before


def test_a_long_name_is_cut(tmp_path, capsys):
    path = features(tmp_path / f"{'n' * 250}.npz")
    assert load(f"features:{path}").protocol.dataset[:-6] == f"features-{'n' * 40}-"
    assert call(tmp_path, "--datasets", f"features:{path}") == 0


def test_own_data_are_scored_and_scored_again(tmp_path, capsys):
    tree(tmp_path / "birds")
    name = f"folder:{tmp_path}/birds"
    assert call(tmp_path, "--datasets", name, "--queries", "4") == 0
    out = f"{tmp_path}/out"
    assert rescore.main(["--out", out, "--no-report"]) == 1
    assert "is of your own data; name it with --datasets KIND:PATH" in capsys.readouterr().err
    again = ["--out", out, "--no-report", "--datasets", name, "--queries", "4"]
    assert rescore.main(again) == 0
    assert "3 records: 0 changed, 2 the same, 1 without codes, 0 left" in capsys.readouterr().out
    assert rescore.main(["--out", out, "--datasets", "digits"]) == 2
    assert "--datasets: expected your own data" in capsys.readouterr().err
    np.save(tmp_path / "c.npy", np.zeros((20, 8), bool))
    codes = ["--codes", f"{tmp_path}/c.npy", "--dataset", name, "--queries", "4"]
    assert score.main(codes) == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == "4q-16t"


def test_flags_of_own_data_with_a_named_data_set_are_an_error(tmp_path, capsys):
    assert call(tmp_path, "--datasets", "digits", "--queries", "4") == 2
    assert "digits: --queries is of your own data" in capsys.readouterr().err
