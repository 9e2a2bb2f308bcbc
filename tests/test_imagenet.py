import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.sources import imagenet

from .image_files import records, run_lsh, smaller, write_images

WNIDS = [f"n{14_000_000 - 7 * i:08}" for i in range(5)]  # in falling order


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet, "N_CLASSES", 5)
    folder = tmp_path / "data/imagenet"
    write_images(folder, [f"train/{w}/{w}_{i}.JPEG" for w in WNIDS for i in range(6)])
    write_images(folder, [f"val/{w}/ILSVRC2012_val_{i:08}.JPEG" for w in WNIDS for i in range(2)])
    (folder / "train/LOC_notes").mkdir()
    return folder


def contents(root, name="imagenet"):
    return datasets.DATASETS[name](datasets.protocol_of(name), LoadOptions(root.parent))


def refusal(root, name="imagenet", **options):
    with pytest.raises(DatasetError) as caught:
        datasets.load(name, LoadOptions(root.parent, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_those_of_train_then_of_val_by_class_and_name(root):
    data = contents(root)
    assert data.classes == tuple(sorted(WNIDS))
    assert data.labels.dense().int().argmax(1).tolist() == [
        *[i // 6 for i in range(30)],
        *[i // 2 for i in range(10)],
    ]
    names = data.images.encoded.names
    assert names[0] == f"train/{min(WNIDS)}/{min(WNIDS)}_0.JPEG"
    assert names == sorted(names)
    assert {part: len(rows) for part, rows in data.parts.items()} == {"train": 30, "test": 10}


def test_folders_run_end_to_end(root, tmp_path, monkeypatch):
    smaller(monkeypatch, "imagenet/official", n_query=10, n_train=15, n_database=30, cutoff=20)
    assert run_lsh("imagenet", root.parent, tmp_path, "--no-report") == 0
    assert any(r.startswith("imagenet/official/pixels@8/lsh/") for r in records(tmp_path))


def test_a_tree_beside_the_data_gives_the_similarity_of_classes(root):
    assert "no class tree" in contents(root).notes[0]
    tree = root.parent / "hierarchies/ilsvrc.parent-child.mintree.txt"
    tree.parent.mkdir()
    first, *others = sorted(WNIDS)
    lines = [f"thing {first}", "thing animal", *(f"animal {wnid}" for wnid in others)]
    tree.write_text("\n".join(lines))
    similarity = contents(root).hierarchy
    assert similarity[0].tolist() == [1, 0, 0, 0, 0]
    assert similarity[1].tolist() == [0, 1, 0.5, 0.5, 0.5]


def test_another_number_of_classes_is_refused_unless_allowed(root, tmp_path, monkeypatch):
    smaller(monkeypatch, "imagenet/official", n_query=10, n_train=15, n_database=30, cutoff=20)
    (root / f"train/{WNIDS[0]}").rename(tmp_path / "away")
    assert "expected 5 folders n01440764/ and the like, found 4" in refusal(root)
    arguments = ("--no-report", "--allow-missing")
    assert run_lsh("imagenet", root.parent, tmp_path, *arguments) == 0
    assert all(r.startswith("imagenet/official_32/") for r in records(tmp_path))


def test_a_flat_validation_folder_is_refused(root):
    for path in root.glob("val/*/*"):
        path.rename(root / "val" / f"{path.parent.name}_{path.name}")
    assert "sort the images into val/<wnid>/*.JPEG" in refusal(root)


def test_absent_folders_are_named(tmp_path):
    message = refusal(tmp_path / "imagenet")
    assert "train, val" in message
    assert "image-net.org" in message


def write_lists(root, train, val):
    """Write lists in HashNet's form: a list of pairs of a name and a column."""
    root.mkdir(parents=True, exist_ok=True)
    lines = {
        part: [f"{name} {' '.join('01'[c == column] for c in range(5))}\n" for name, column in own]
        for part, own in {"train": train[:10], "test": val, "database": train}.items()
    }
    for part, own in lines.items():
        (root / f"{part}.txt").write_text("".join(own))


@pytest.mark.parametrize("layout", ["train and val by class", "val is flat", "as listed"])
def test_hashnets_lists_find_their_images(root, tmp_path, monkeypatch, layout):
    """Its training images begin at the root of their author's disk, all in one folder."""
    home = root.with_name("imagenet100")
    column = {wnid: c for c, wnid in enumerate(WNIDS)}
    train = [(f"image/{w}_{i}.JPEG", column[w]) for w in WNIDS for i in range(6)]
    val = [(f"val_image/ILSVRC2012_val_{c:05}{i}.JPEG", c) for c in range(5) for i in range(2)]
    write_lists(home, [(f"/home/me/imagenet/{name}", c) for name, c in train], val)
    if layout == "as listed":
        write_lists(home, train, val)
        write_images(home, [name for name, _ in (*train, *val)])
    else:
        write_images(home, [f"train/{w}/{w}_{i}.JPEG" for w in WNIDS for i in range(6)])
        below = {True: "val", False: "val/{}"}[layout == "val is flat"]
        files = [(name.rpartition("/")[2], c) for name, c in val]
        write_images(home, [f"{below.format(WNIDS[c])}/{name}" for name, c in files])
    sizes = {"n_query": 10, "n_train": 10, "n_database": 30, "cutoff": 20}
    smaller(monkeypatch, "imagenet100/lists", **sizes)
    data = datasets.load("imagenet100", LoadOptions(home.parent))
    assert len(data.images.absent()) == 0
    assert torch.equal(data.labels.dense().sum(0), torch.full((5,), 8))
    assert run_lsh("imagenet100", home.parent, tmp_path, "--no-report") == 0


def test_lists_without_images_are_refused(tmp_path):
    home = tmp_path / "imagenet100"
    write_lists(home, [(f"image/{WNIDS[0]}_{i}.JPEG", 0) for i in range(12)], [("val_image/x", 0)])
    message = refusal(home, "imagenet100", allow_missing=True)
    assert f"no image of 13 is below {home}" in message
