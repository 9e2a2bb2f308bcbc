"""The user's own data: folders, parquet files, files of features; and how they are split."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import rescore, score
from datasets import full_name, load, read
from datasets.contents import LoadOptions
from datasets.digests import tensor_digest
from datasets.errors import OptionError, UnknownName
from results.store.store import ResultStore
from tests.own_data import call, features, png, refusal, tree

# ---- the split


def test_own_data_are_drawn_by_sizes_that_suit_their_number(tmp_path):
    data = load(f"folder:{tree(tmp_path / 'My birds', 50)}")
    p = data.protocol
    assert (p.label, p.n_query, p.n_train, p.n_database) == ("folder-My-birds/10q-90t", 10, 90, 90)
    assert (p.cutoff, p.rule) == (90, "pooled at random, train inside the database")
    assert torch.equal(data.train, data.database)


def test_the_split_is_pinned(tmp_path):
    """Numbers rest on it: the same rows on every machine and at every seed."""
    torch.manual_seed(1)
    data = load(f"features:{features(tmp_path / 'x.npz', 1000)}", LoadOptions(n_train=500))
    assert data.protocol.digest[:16] == "3f977c80b27dd4d5"
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
    assert contents.labels.int().sum(0).tolist() == [3, 4]
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
    assert data.labels[data.query].sum(0).tolist() == [2, 2]
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
    assert data.protocol.label == "lists-split/3q-3t"
    assert data.protocol.rule == "as listed"
    assert (len(data.query), len(data.train), len(data.database)) == (3, 3, 6)
    assert torch.isin(data.train, data.database).all()
    assert data.labels[data.query].int().tolist() == [[1, 0], [1, 0], [0, 1]]
    assert data.images.read(data.query).shape == (3, 3, 8, 8)
    assert "would split data that come in parts already" in refusal(f"lists:{root}", n_train=3)


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
    assert out.count("folder-birds/2q-18t on pixels") == 1
    assert "  folder:" in out
    assert "3 cells" in out


def test_two_folders_of_one_name_never_share_a_table(tmp_path, capsys):
    names = [f"folder:{tree(tmp_path / where / 'birds')}" for where in "ab"]
    assert call(tmp_path, "--datasets", *names) == 2
    assert "two data sets would both be called folder-birds/2q-18t" in capsys.readouterr().err
    for name in names:
        assert call(tmp_path, "--datasets", name) == 0
    records = ResultStore(tmp_path / "out").records()
    assert len({r.protocol_info["inputs"] for r in records}) == 2
    assert "Superseded" not in capsys.readouterr().err
    from results.analysis.arrange import select

    shown, superseded = select(records)
    assert len(shown) == len(superseded) == 3
    assert len({r.protocol_info["inputs"] for r in shown}) == 1


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
