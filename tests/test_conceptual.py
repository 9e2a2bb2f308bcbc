import hashlib
import time

import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.sources import conceptual
from datasets.sources.conceptual import FILES, words_of

from .image_files import records, run_lsh, write_images

THINGS = ("river", "castle", "guitar", "horse")


def name_of(url):
    return hashlib.sha256(url.encode()).hexdigest()


def write_tables(root, n_train=60, n_test=12):
    """Write the tables; caption i names thing i modulo 4."""
    root.mkdir(parents=True, exist_ok=True)
    urls = {}
    for part, n in {"train": n_train, "test": n_test}.items():
        urls[part] = [f"http://example.org/{part}/{i}?size=1" for i in range(n)]
        lines = [f"a Photo of the {THINGS[i % 4]} .\t{url}\n" for i, url in enumerate(urls[part])]
        (root / FILES[part]).write_text("".join(lines))
    return urls


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data/conceptual_captions"
    urls = write_tables(folder)
    there = [*urls["train"][:40], *urls["test"][:8]]
    write_images(folder / "images", [f"{name_of(url)}.jpg" for url in there])
    return folder


def contents(root):
    protocol = datasets.protocol_of("conceptual_captions")
    return conceptual.load_conceptual_captions(protocol, LoadOptions(root.parent, True))


def refusal(root, **options):
    with pytest.raises(DatasetError) as caught:
        datasets.load("conceptual_captions", LoadOptions(root.parent, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_the_images_that_are_there_with_their_captions(root):
    data = contents(root)
    assert {part: len(rows) for part, rows in data.parts.items()} == {"train": 40, "test": 8}
    assert data.captions[41] == ("a Photo of the castle .",)
    assert data.classes == tuple(sorted((*THINGS, "photo")))
    assert [data.classes[c] for c in data.labels.dense()[2].nonzero()[:, 0]] == ["guitar", "photo"]
    assert data.notes == ("24 of 72 images are not there",)


def test_words_are_those_of_the_whole_tables_whatever_images_are_there(root):
    before = contents(root)
    for path in sorted((root / "images").iterdir())[:30]:
        path.unlink()
    assert contents(root).classes == before.classes
    assert len(contents(root)) == len(before) - 30


def test_only_the_most_frequent_words_are_labels(root, monkeypatch):
    monkeypatch.setattr(conceptual, "N_WORDS", 2)
    assert contents(root).classes == ("castle", "photo")  # of equals, the first of the alphabet


def test_stop_words_and_short_words_are_no_labels():
    assert words_of("The FIRST of us, at 10 am: it's an ox-cart") == {"cart"}


def test_images_that_are_missing_need_leave_and_run_end_to_end(root, tmp_path):
    message = refusal(root)
    assert "24 of 72 images are missing" in message
    assert "SHA-256" in message
    arguments = ("--no-report", "--allow-missing")
    assert run_lsh("conceptual_captions", root.parent, tmp_path, *arguments) == 0
    assert all(r.startswith("conceptual_captions/official_48/") for r in records(tmp_path))


def test_captions_feed_the_methods_that_learn_from_them(root, tmp_path):
    words = ["--methods", "kl_hash_captions", "--epochs", "1"]
    arguments = [*words, "--text-encoder", "lsa", "--no-report", "--allow-missing"]
    assert run_lsh("conceptual_captions", root.parent, tmp_path, *arguments) == 0
    assert any("kl_hash" in r for r in records(tmp_path))


def test_a_url_that_comes_twice_is_one_row(root):
    with (root / FILES["test"]).open("a") as file:
        file.write("again\thttp://example.org/train/3?size=1\n")
    data = contents(root)
    assert len(data) == 48
    assert len(set(data.images.encoded.names)) == 48


@pytest.mark.parametrize("line", ["no tab", "\thttp://x", "a\t", "a\tb\tc"])
def test_a_wrong_line_is_named(root, line):
    path = root / FILES["test"]
    path.write_text(f"fine\thttp://x\n{line}\n")
    assert f"{path} line 2: expected a caption, a tab and a URL" in refusal(root)


def test_a_table_that_is_no_text_is_refused(root):
    path = root / FILES["test"]
    path.write_bytes(b"\xff\xfe\tx\n")
    assert refusal(root).startswith(f"{path}: cannot be read")


def test_no_image_at_all_is_refused_always(root):
    for path in (root / "images").iterdir():
        path.unlink()
    assert "72 of 72 images are missing" in refusal(root, allow_missing=True)


def test_absent_tables_are_named(tmp_path):
    message = refusal(tmp_path / "conceptual_captions")
    for part in (*FILES.values(), "images", "ai.google.com/research/ConceptualCaptions"):
        assert part in message


def test_a_hundred_thousand_captions_take_seconds(tmp_path):
    folder = tmp_path / "conceptual_captions"
    urls = write_tables(folder, 100_000, 1000)
    write_images(folder / "images", [name_of(urls["train"][7]), name_of(urls["test"][7])])
    start = time.perf_counter()
    assert len(contents(folder)) == 2
    assert time.perf_counter() - start < 20


def test_files_may_begin_with_a_byte_order_mark(root):
    before = contents(root)
    for path in root.glob("*.tsv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = contents(root)
    assert torch.equal(after.labels.dense(), before.labels.dense())
    assert after.images.encoded.names == before.images.encoded.names
