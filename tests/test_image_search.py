"""From a record to hashed images that can be searched, by the commands."""

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks import encode, export, index, run, search
from benchmarks.models import Hasher, ModelError
from benchmarks.models.index import ImageIndex
from results.store.files import write_atomic
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


def test_where_every_image_is_broken_nothing_is_hashed(model, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"")
    out = tmp_path / "codes.npy"
    assert call(encode, model, tmp_path / "bad.png", "--out", out, "--skip-broken") == 1
    assert np.load(out).shape == (0, 3)


@pytest.mark.parametrize("name", ["none*.png", "none.parquet", "empty", "pipe", "x" * 300])
def test_what_is_no_image_is_one_line(model, tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for command, out in ((encode, "c.npy"), (index, "index")):
        assert call(command, model, tmp_path / name, "--out", tmp_path / out) == 2
        assert f"{name}: no image there" in capsys.readouterr().err


def test_a_pattern_finds_files_of_every_kind(model, tmp_path):
    files = images(model)
    for name, rows in (("a", [0, 1]), ("b", [0])):
        table(tmp_path / f"{name}.parquet", rows, [files[row].read_bytes() for row in rows])
    out = tmp_path / "codes.npy"
    assert call(encode, model, tmp_path / "*.parquet", "--out", out, "--image-column", "img") == 0
    about = json.loads(out.with_suffix(".json").read_text())
    assert about["paths"] == [
        f"{tmp_path}/{row}" for row in ("a.parquet:0", "a.parquet:1", "b.parquet:0")
    ]
    assert about["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()


@pytest.mark.parametrize("out", ["codes", "", "file.npy/codes.npy"])
def test_codes_go_where_it_was_said_or_nowhere(model, tmp_path, capsys, out):
    (tmp_path / "file.npy").write_bytes(b"")
    assert call(encode, model, images(model)[0], "--out", tmp_path / out) == 2
    assert str(tmp_path / out) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file.npy"]


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


def test_a_path_is_the_same_image_from_wherever_it_is_named(model, tmp_path, monkeypatch, capsys):
    files, place = images(model), tmp_path / "index"
    for folder, file in (("a", files[0]), ("b", files[1])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(file.read_bytes())
        monkeypatch.chdir(tmp_path / folder)
        assert call(index, model, "x.png", "./x.png", "../a/../a", "--out", place) == 0
    assert sorted(ImageIndex.load(place).names) == [f"{tmp_path}/{x}/x.png" for x in "ab"]
    capsys.readouterr()
    assert call(search, place, "x.png", "-k", "2") == 0
    shown = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["x.png", "x.png", f"{tmp_path}/a/x.png"]
    assert call(index, model, "--out", place, "--remove", "../b/./x.png") == 0
    assert ImageIndex.load(place).names == [f"{tmp_path}/a/x.png"]


def test_an_index_without_images_is_searched_by_nobody(model, tmp_path, capsys):
    place, file = tmp_path / "index", images(model)[0]
    assert call(index, model, "--out", place) == 2
    assert "there is none; name the images to begin it with" in capsys.readouterr().err
    assert call(search, place, file) == 2
    assert "no index.json" in capsys.readouterr().err
    assert call(index, model, file, "--out", place) == 0
    assert call(index, model, "--out", place, "--remove", file) == 0
    assert call(search, place, file) == 2
    assert "holds no image" in capsys.readouterr().err
    assert call(index, model, file, "--out", place) == 0
    assert call(search, place, file, "-k", "9", "--rerank", "9") == 0


def test_an_index_is_of_the_kind_that_was_asked_for_last(model, tmp_path):
    place, files = tmp_path / "index", images(model)
    for more, kind in (
        ([], "auto"),
        (["--kind", "hnsw"], "hnsw"),
        ([], "hnsw"),
        (["--kind", "flat"], "flat"),
    ):
        assert call(index, model, *files[:9], "--out", place, *more) == 0
        assert ImageIndex.load(place).kind == kind
        assert len(list(place.glob("*.faiss"))) == (kind == "hnsw")


def test_files_of_something_else_are_not_written_over(model, tmp_path, capsys):
    (tmp_path / "codes.npy").write_bytes(b"mine")
    assert call(index, model, images(model)[0], "--out", tmp_path) == 2
    assert "holds other files" in capsys.readouterr().err
    assert call(index, model, images(model)[0], "--out", tmp_path / "codes.npy") == 2
    assert "Not a directory" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["codes.npy"]


@pytest.mark.parametrize("written", range(5))
def test_a_call_that_was_killed_changes_nothing(model, tmp_path, monkeypatch, written):
    place, files = tmp_path / "index", images(model)
    assert call(index, model, *files[:10], "--kind", "hnsw", "--out", place) == 0
    before, done = ImageIndex.load(place), []

    def killed(path, data):
        if len(done) == written:
            raise KeyboardInterrupt
        done.append(path)
        write_atomic(path, data)

    monkeypatch.setattr("benchmarks.models.index.write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        call(index, model, *files[10:20], "--remove", *files[:10], "--out", place)
    monkeypatch.undo()
    found = ImageIndex.load(place)
    assert found.names == before.names
    np.testing.assert_array_equal(found.codes, before.codes)
    assert call(search, place, files[3]) == 0
    assert call(index, model, *files[10:20], "--remove", *files[:10], "--out", place) == 0
    assert ImageIndex.load(place).names == list(map(str, files[10:20]))
    assert len(list(place.iterdir())) == 6  # nothing of the call that was killed


def test_calls_at_one_time_lose_no_image(model, tmp_path):
    place, files = tmp_path / "index", images(model)[:4]
    with ThreadPoolExecutor() as pool:
        assert set(pool.map(lambda file: call(index, model, file, "--out", place), files)) == {0}
    assert sorted(ImageIndex.load(place).names) == list(map(str, files))


def test_an_index_that_changes_while_it_is_read_is_read_as_it_is_then(model, tmp_path, monkeypatch):
    place, files = tmp_path / "index", images(model)
    assert call(index, model, *files[:4], "--out", place) == 0
    real, calls = np.load, []

    def load(*arguments, **more):
        if not calls:
            calls.append(arguments)
            assert call(index, model, files[5], "--out", place) == 0
        return real(*arguments, **more)

    monkeypatch.setattr(np, "load", load)
    assert len(ImageIndex.load(place).names) == 5
    next(place.glob("codes-*.npy")).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        ImageIndex.load(place)


@pytest.mark.parametrize(
    "change",
    [
        *({name: value} for name in ("model", "record", "kind", "bits") for value in (None, [], 7)),
        *({"files": files} for files in ([], {}, {"names.json": "../names.json"})),
        {"kind": "secret"},
    ],
    ids=str,
)
def test_an_index_that_nobody_wrote_so_is_refused(model, tmp_path, capsys, change):
    place = tmp_path / "index"
    assert call(index, model, images(model)[0], "--out", place) == 0
    about = json.loads((place / "index.json").read_text())
    (place / "index.json").write_text(json.dumps(about | change))
    capsys.readouterr()
    assert call(search, place, images(model)[0]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "\xff", "null", "[]"])
def test_a_damaged_index_is_refused(model, tmp_path, capsys, text):
    place = tmp_path / "index"
    assert call(index, model, images(model)[0], "--kind", "hnsw", "--out", place) == 0
    for path in (*place.glob("*-*"), place / "index.json"):
        whole = path.read_bytes()
        path.write_text(text, encoding="latin-1")
        capsys.readouterr()
        assert call(search, place, images(model)[0]) == 2
        assert f"index {place}: cannot be read" in capsys.readouterr().err
        path.write_bytes(whole)


def test_an_index_of_another_model_is_refused(model, tmp_path, capsys):
    place = tmp_path / "index"
    assert call(index, model, images(model)[0], "--out", place) == 0
    about = json.loads((place / "index.json").read_text())
    (place / "index.json").write_text(json.dumps(about | {"record": "0" * 64}))
    assert call(search, place, images(model)[0]) == 2
    assert "its codes are of model 00000000" in capsys.readouterr().err


ODD = b"caf\xe9 \x1b[31m<b>&.png"


def test_names_that_were_altered_are_refused(model, tmp_path, capsys):
    place, files = tmp_path / "index", images(model)
    assert call(index, model, *files[:2], "--out", place) == 0
    names = next(place.glob("names-*.json"))
    names.write_text(names.read_text().replace("000.png", "002.png"))
    assert call(search, place, files[0]) == 2
    assert f"{names.name} was altered" in capsys.readouterr().err


def test_names_are_text_on_the_page_and_the_terminal(model, tmp_path, capsys):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/" + ODD)
    shutil.copy(images(model)[0], odd)
    place, page = tmp_path / "index", tmp_path / "page.html"
    assert call(index, model, odd, "--out", place) == 0
    assert call(search, place, odd, "--html", page) == 0
    text = page.read_text()
    assert "<b>" not in text
    assert "\x1b" not in text
    assert r"caf\xe9 \x1b[31m&lt;b&gt;&amp;.png" in text
    assert text.count("data:image/jpeg;base64,") == 2
    assert call(encode, odd, images(model)[0], "--out", tmp_path / "c.npy") == 2
    assert call(index, model, "--remove", f"{odd}x", "--out", place) == 2
    assert call(encode, model, f"{odd}x", "--out", tmp_path / "c.npy") == 2
    assert call(encode, model, odd, "--out", f"{odd}.npy") == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"caf\xe9 \x1b[31m<b>" in said.out


def test_a_page_shows_what_is_there_of_what_was_found(model, tmp_path):
    names = []
    for name in ("gone.png", "pipe.png", "broken.png", "t.parquet"):
        names.append(tmp_path / name)
        shutil.copy(images(model)[0], names[-1])
    table(names[-1], [0, 1], [file.read_bytes() for file in images(model)[:2]])
    place, page = tmp_path / "index", tmp_path / "page.html"
    assert call(index, model, *names, "--image-column", "img", "--out", place) == 0
    names[0].unlink()
    names[1].unlink()
    os.mkfifo(names[1])
    names[2].write_text("no image")
    table(names[3], [0], [images(model)[0].read_bytes()])
    more = ["--html", page, "--image-column", "img"]
    assert call(search, place, images(model)[0], *more) == 0
    assert page.read_text().count("data:image/jpeg;base64,") == 2
    assert page.read_text().count("not there") == 4
