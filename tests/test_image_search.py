"""From a record to hashed images that can be searched, by the commands."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import encode, export, index, run, search
from benchmarks.models import Hasher
from benchmarks.models.index import ImageIndex
from tests.own_data import table, tree

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    data = ["--queries", "4", "--train", "20", "--cache", f"{folder}/cache", "--device", "cpu"]
    images = f"folder:{tree(folder / 'images', 15)}"
    grid = ["--methods", "itq", "--datasets", images, "--bits", "24", "--seeds", "1"]
    call = [*grid, "--backbone", "pixels", "--out", f"{folder}/out", "--no-report", *data]
    assert run.main(call) == 0
    record = next((folder / "out/runs").rglob("itq/*.json"))
    to = folder / "model"
    assert export.main([str(record), "--to", str(to), "--dataset", images, *data]) == 0
    return to


def images(model):
    return sorted((model.parent / "images").rglob("*.png"))


def call(command, *arguments):
    return command.main([str(word) for word in arguments])


def test_folders_patterns_and_parquet_files_are_hashed_in_order(model, tmp_path):
    files = images(model)
    shelf = table(tmp_path / "t.parquet", [0, 1], [f.read_bytes() for f in files[3:5]])
    pattern = model.parent / "images/owl/00[01].png"
    out = tmp_path / "deep/codes.npy"
    where = [model.parent / "images/crow", pattern, files[2], shelf]
    assert call(encode, model, *where, "--out", out, "--image-column", "img") == 0
    about = json.loads(out.with_suffix(".json").read_text())
    assert about["bits"] == 24
    names = [*map(str, files[:17]), str(files[2]), f"{shelf}:0", f"{shelf}:1"]
    assert about["paths"] == names
    hasher = Hasher.load(model, device="cpu")
    expected = hasher.encode([*files[:17], files[2], *files[3:5]])
    np.testing.assert_array_equal(np.load(out), expected)


def test_a_broken_image_is_named_and_skipped_where_asked(model, tmp_path, capsys):
    good, bad = images(model)[0], tmp_path / "bad.png"
    bad.write_text("no image")
    out = tmp_path / "codes.npy"
    assert call(encode, model, good, bad, "--out", out) == 2
    assert str(bad) in capsys.readouterr().err
    assert not out.exists()
    assert call(encode, model, good, bad, "--out", out, "--skip-broken") == 1
    assert capsys.readouterr().err.startswith(f"skipped: {bad}: ")
    assert len(np.load(out)) == 1


def test_what_is_not_there_is_one_line(model, tmp_path, capsys):
    assert call(encode, model, tmp_path / "none*.png", "--out", tmp_path / "c.npy") == 2
    assert "no image there" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["auto", "hnsw", "multihash"])
def test_an_image_finds_itself(model, tmp_path, capsys, kind):
    place, query = tmp_path / "index", images(model)[4]
    assert call(index, model, model.parent / "images", "--out", place, "--kind", kind) == 0
    page = tmp_path / "page.html"
    capsys.readouterr()
    assert call(search, place, query, "-k", "3", "--html", page) == 0
    first, best, *others = capsys.readouterr().out.splitlines()
    assert first == str(query)
    assert best.split() == ["0", str(query)]
    assert len(others) == 2 or kind == "multihash"  # which looks into few buckets
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 2 + len(others)
    assert "0 bits" in text


def test_reranking_orders_candidates_by_their_features(model, tmp_path, capsys):
    place, files = tmp_path / "index", images(model)
    assert call(index, model, model.parent / "images", "--out", place) == 0
    capsys.readouterr()
    assert call(search, place, files[7], "-k", "5", "--rerank", "6") == 0
    hasher = Hasher.load(model, device="cpu")
    features = hasher.features(files).astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = np.argsort(-unit @ unit[7], kind="stable")[:5]
    shown = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert shown == [str(files[row]) for row in expected]


def test_adding_and_removing_hash_nothing_else(model, tmp_path, capsys, monkeypatch):
    place, files = tmp_path / "index", images(model)
    assert call(index, model, *files[:10], "--out", place) == 0
    hashed, real = [], Hasher.encode
    monkeypatch.setattr(
        Hasher, "encode", lambda self, x, *more: hashed.append(len(x)) or real(self, x, *more)
    )
    assert call(index, model, *files[9:12], "--out", place, "--remove", files[0]) == 0
    assert hashed == [3]
    found = ImageIndex.load(place)
    assert sorted(found.names) == sorted(map(str, files[1:12]))
    np.testing.assert_array_equal(
        found.codes, real(Hasher.load(model, device="cpu"), [*map(str, found.names)])
    )
    assert call(index, model, "--out", place, "--remove", "nothing.png") == 2
    assert "nothing.png: not in the index" in capsys.readouterr().err


def test_an_index_of_another_model_is_refused(model, tmp_path, capsys):
    place = tmp_path / "index"
    assert call(index, model, images(model)[0], "--out", place) == 0
    about = json.loads((place / "index.json").read_text())
    (place / "index.json").write_text(json.dumps(about | {"record": "0" * 64}))
    assert call(search, place, images(model)[0]) == 2
    assert "its codes are of model 00000000" in capsys.readouterr().err


def test_names_are_text_on_the_page(model, tmp_path):
    odd = tmp_path / "<b>&.png"
    Image.open(images(model)[0]).save(odd)
    place, page = tmp_path / "index", tmp_path / "page.html"
    assert call(index, model, odd, "--out", place) == 0
    assert call(search, place, odd, "--html", page) == 0
    assert "<b>" not in page.read_text()
    assert "&lt;b&gt;&amp;.png" in page.read_text()
