"""What is done about rows that are missing: refused, or left out under another name."""

import io
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import datasets
from benchmarks import run
from datasets import DATASETS, doctor
from datasets.assemble import assemble, repeated, unreadable
from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.files.images import EncodedImages, FileItems
from datasets.image_source import MemoryImages
from datasets.protocols.protocol import Protocol_
from datasets.protocols.table import PROTOCOLS
from datasets.sources import cifar
from results.report import load_board
from results.store.store import ResultStore

pytestmark = pytest.mark.usefixtures("one_figure")

N = 40
NAMES = "JPEG, PNG, GIF, WEBP, BMP, TIFF, PPM, JPEG2000, AVIF or TGA"
TOY = Protocol_(
    *("toy", "10-20", 10, 20, 30, "pooled, train inside the database"),
    *(5, "shares a label", "here"),
)


def image(i, kind="JPEG"):
    file = io.BytesIO()
    pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def load_toy(protocol, options):
    """Forty files in four classes."""
    names = [f"{i}.jpg" for i in range(N)]
    labels = torch.nn.functional.one_hot(torch.arange(N) % 4).bool()
    return Contents(labels, EncodedImages(FileItems(options.data_root, names), 32))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The folder of a data set `toy` of files."""
    monkeypatch.setitem(DATASETS, "toy", load_toy)
    monkeypatch.setitem(PROTOCOLS, "toy", {TOY.name: TOY})
    root = tmp_path / "data"
    root.mkdir()
    for i in range(N):
        (root / f"{i}.jpg").write_bytes(image(i))
    return root


def call(folder, root, *arguments, dataset="toy"):
    common = ["--methods", "lsh", "--bits", "8", "--seeds", "1", "--backbone", "pixels"]
    places = ["--data-root", str(root), "--out", f"{folder}/out", "--cache", f"{folder}/cache"]
    return run.main(["--datasets", dataset, *common, *places, *arguments])


def tables(folder):
    board = load_board(ResultStore(folder / "out"))
    return {section.protocol for section in board.sections}


def test_an_absent_file_is_refused_by_name_or_left_out(toy, tmp_path, capsys):
    assert call(tmp_path, toy) == 0
    (toy / "7.jpg").unlink()
    assert call(tmp_path, toy) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"toy/10-20: 1 of 40 images are missing, the first is {toy}/7.jpg" in message
    assert "--allow-missing goes on without them" in message
    assert call(tmp_path, toy, "--allow-missing") == 0
    assert tables(tmp_path) == {"10-20", "10-20~39"}
    by_name = {r.protocol: r.protocol_info for r in ResultStore(tmp_path / "out").records()}
    assert (by_name["10-20"]["n_rows"], by_name["10-20~39"]["n_rows"]) == (40, 39)
    assert by_name["10-20"]["digest"] != by_name["10-20~39"]["digest"]
    assert by_name["10-20"]["inputs"] != by_name["10-20~39"]["inputs"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a text, renamed", "not an image"), (image(3)[:400], "corrupt image")],
)
def test_a_wrong_image_fails_its_cells_by_name_or_is_left_out(
    toy, tmp_path, capsys, content, words
):
    (toy / "7.jpg").write_bytes(content)
    assert call(tmp_path, toy) == 1
    assert f"{toy}/7.jpg: {words}" in capsys.readouterr().err
    assert call(tmp_path, toy, "--allow-missing") == 0
    assert "10-20~39" in tables(tmp_path)
    (toy / "7.jpg").write_bytes(image(7))
    assert call(tmp_path, toy) == 0
    assert tables(tmp_path) == {"10-20", "10-20~39"}


def test_a_short_parquet_file_is_refused_by_name_or_taken_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cifar, "PARTS", {"train": 40, "test": 20})
    small = Protocol_(
        *("cifar10", "small", 20, 20, 40, "official parts, train inside the database"),
        *(5, "shares a label", "here"),
    )
    monkeypatch.setitem(PROTOCOLS, "cifar10", {"small": small})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

    def write(part, n):
        cells = pa.array([{"bytes": image(i), "path": None} for i in range(n)], kind)
        path = tmp_path / f"data/cifar10/{part}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"img": cells, "label": [i % 10 for i in range(n)]}), path)
        return path

    write("test", 20)
    write("train", 40)
    assert call(tmp_path, tmp_path / "data", dataset="cifar10") == 0
    path = write("train", 33)
    assert call(tmp_path, tmp_path / "data", dataset="cifar10") == 2
    assert f"{path}: expected 40 rows, got 33" in capsys.readouterr().err
    assert call(tmp_path, tmp_path / "data", "--allow-missing", dataset="cifar10") == 0
    assert tables(tmp_path) == {"small", "small~53"}


def options(root, tmp_path, **more):
    return LoadOptions(root, allow_missing=True, cache=tmp_path / "cache", **more)


def test_rows_are_left_out_after_the_split(toy, tmp_path):
    whole = datasets.load("toy", options(toy, tmp_path))
    pixels = whole.images.read(torch.arange(N))
    lost = sorted([int(whole.query[0]), int(whole.database[0])])
    for row in lost:
        (toy / f"{row}.jpg").unlink()
    data = datasets.load("toy", options(toy, tmp_path))
    there = [row for row in range(N) if row not in lost]
    for part in ("train", "query", "database"):
        kept = [row for row in getattr(whole, part).tolist() if row not in lost]
        assert [there[row] for row in getattr(data, part).tolist()] == kept
    assert torch.equal(data.labels.dense(), whole.labels.dense()[there])
    assert torch.equal(data.images.read(torch.arange(38)), pixels[there])
    assert (data.protocol.n_query, data.protocol.n_database) == (9, 29)


def test_the_complete_copy_keeps_its_name_and_digest(toy, tmp_path):
    strict = datasets.load("toy", LoadOptions(toy))
    assert datasets.load("toy", options(toy, tmp_path)).digest == strict.digest


def test_too_few_rows_are_refused_whatever_is_allowed(toy, tmp_path):
    data = datasets.load("toy", LoadOptions(toy))
    for row in data.query.tolist():
        (toy / f"{row}.jpg").unlink()
    with pytest.raises(DatasetError, match=r"toy/10-20~30: query is empty"):
        datasets.load("toy", options(toy, tmp_path))


def test_what_is_broken_is_found_once_and_looked_at_again(toy, tmp_path, monkeypatch):
    (toy / "7.jpg").unlink()
    (toy / "9.jpg").write_bytes(b"broken")
    looked = []
    real = EncodedImages.problems
    monkeypatch.setattr(
        EncodedImages, "problems", lambda self, p: looked.append(len(self)) or real(self, p)
    )
    opened = options(toy, tmp_path)
    found = unreadable(load_toy(TOY, opened), opened)
    assert found == {
        7: f"{toy}/7.jpg: missing or empty",
        9: f"{toy}/9.jpg: not an image ({NAMES})",
    }
    assert unreadable(load_toy(TOY, opened), opened) == found
    assert unreadable(load_toy(TOY, opened), opened, afresh=True) == found
    assert looked == [39, 1, 39]  # all that are there, the broken one, all again


def test_a_repaired_image_counts_even_if_its_file_looks_the_same(toy, tmp_path, monkeypatch):
    """Its size and its ends are those of the broken one: only its middle was wrong."""
    from datasets.files import images

    monkeypatch.setattr(images, "_END", 4)
    whole = image(9)
    hurt = bytearray(whole)
    hurt[20:-20] = bytes(len(whole) - 40)
    (toy / "9.jpg").write_bytes(hurt)
    opened = options(toy, tmp_path)
    assert list(unreadable(load_toy(TOY, opened), opened)) == [9]
    (toy / "9.jpg").write_bytes(whole)
    assert unreadable(load_toy(TOY, opened), opened) == {}
    note = next((tmp_path / "cache/checked").glob("*[!e].json"))
    assert json.loads(note.read_text()) == {}


@pytest.mark.parametrize("damage", ["", "[1]", "{", '{"x": 1}'])
def test_a_damaged_note_is_no_note(toy, tmp_path, damage):
    (toy / "9.jpg").write_bytes(b"broken")
    opened = options(toy, tmp_path)
    found = unreadable(load_toy(TOY, opened), opened)
    note = next((tmp_path / "cache/checked").glob("*.json"))
    note.write_text(damage)
    assert unreadable(load_toy(TOY, opened), opened) == found


@pytest.mark.skipif(os.name == "nt", reason="folders are written to whatever their mode")
def test_a_cache_that_takes_nothing_is_done_without(toy, tmp_path):
    (toy / "9.jpg").write_bytes(b"broken")
    (tmp_path / "cache").write_text("no folder")
    opened = options(toy, tmp_path)
    assert list(unreadable(load_toy(TOY, opened), opened)) == [9]
    assert len(datasets.load("toy", opened).labels.dense()) == 39


# ---- the same image among queries and database


def test_queries_that_are_in_the_database_too_are_counted_and_told(toy, tmp_path, capsys):
    opened = LoadOptions(toy, cache=tmp_path / "cache")
    data = datasets.load("toy", opened)
    assert data.notes == ()
    queries, stored = data.query.tolist(), data.database.tolist()
    copies = {queries[1]: stored[5], queries[4]: stored[5], queries[6]: queries[7]}
    for copy, original in copies.items():
        (toy / f"{copy}.jpg").write_bytes((toy / f"{original}.jpg").read_bytes())
    data = datasets.load("toy", opened)
    (note,) = data.notes
    assert note.startswith("2 of 10 queries are in the database too, as images of the same bytes")
    twice = [repeated(data.images, None, data.query, data.database, opened) for _ in range(2)]
    assert twice == [{queries[1]: stored[5], queries[4]: stored[5]}] * 2
    assert call(tmp_path, toy, "--dry-run") == 0
    assert f"  {note}" in capsys.readouterr().out.splitlines()
    doctor.main(["toy", "--data-root", str(toy), "--cache", f"{tmp_path}/cache"])
    out = capsys.readouterr().out
    assert f"{toy}/{queries[1]}.jpg is {toy}/{stored[5]}.jpg" in out
    assert "queries in the database too" in out
    assert "2, of the same bytes" in out


def test_the_first_of_equal_rows_of_the_database_is_named():
    features = torch.arange(8.0)[:, None].repeat(1, 3)
    features[[1, 4, 6, 7]] = features[0].clone()
    query, database = torch.tensor([0, 2, 6]), torch.tensor([1, 3, 4, 7])
    assert repeated(None, features, query, database, LoadOptions()) == {0: 1, 6: 1}
    assert repeated(None, features[:4], torch.tensor([3]), torch.tensor([2]), LoadOptions()) == {}


def test_what_is_the_same_is_found_out_once(toy, tmp_path, monkeypatch):
    opened = options(toy, tmp_path)
    (toy / "3.jpg").write_bytes((toy / "2.jpg").read_bytes())
    found = datasets.load("toy", opened).notes
    real, asked = EncodedImages.originals, []
    monkeypatch.setattr(
        EncodedImages, "originals", lambda self: asked.append(len(self)) or real(self)
    )
    assert datasets.load("toy", opened).notes == found
    assert asked == []
    note = next((tmp_path / "cache/checked").glob("*.same.json"))
    assert json.loads(note.read_text()) == {"3": "2"}
    for damage in ("", '{"99": "1"}', '{"3": "x"}'):
        note.write_text(damage)
        assert datasets.load("toy", opened).notes == found
    assert asked == [N] * 3


def test_progress_is_told(toy, tmp_path):
    told = []
    opened = options(toy, tmp_path, progress=lambda *so_far: told.append(so_far))
    datasets.load("toy", opened)
    assert told[-1] == ("images checked", N, N)


def test_rows_without_label_are_counted():
    labels = torch.nn.functional.one_hot(torch.arange(N) % 4).bool()
    labels[3] = False
    contents = Contents(labels, MemoryImages(torch.zeros(N, 3, 2, 2, dtype=torch.uint8)))
    random = Protocol_(
        *("toy", "x", 10, 20, 30, "pooled at random, train inside the database"),
        *(5, "shares a label", "here"),
    )
    assert assemble(random, contents, LoadOptions()).notes[0] == "1 of 40 rows have no label"
