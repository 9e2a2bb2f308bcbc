"""Names of parts: one table for folders, files, lists and arrays."""

import pytest

from datasets.errors import DatasetError
from datasets.own.parts import WORDS, kind_of, says_only, split_by_name


@pytest.mark.parametrize(("kind", "words"), WORDS.items())
def test_every_word_of_the_table_names_its_part_however_it_is_written(kind, words):
    for word in words:
        for name in (
            word,
            word.upper(),
            word.title(),
            f"{word}2017",
            f"{word}_images",
            f"{word}-0",
        ):
            assert (name, kind_of(name), says_only(name)) == (name, kind, True)
        assert (kind_of(f"birds_{word}"), says_only(f"birds_{word}")) == (kind, False)


@pytest.mark.parametrize(
    "name", ["cat", "trainer", "contest", "evaluate", "train-test", "", "鳥", "7"]
)
def test_other_names_are_no_parts(name):
    assert kind_of(name) is None
    assert not says_only(name)


def test_no_word_names_two_parts():
    every = [word for words in WORDS.values() for word in words]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("names", "of"),
    [
        (["train", "test"], {"train": "train", "test": "test"}),
        (["train", "val"], {"train": "train", "val": "test"}),
        (["train", "val", "test"], {"train": "train", "test": "test"}),
        (["train", "val", "test", "query"], {"train": "train", "query": "test"}),
        (["train", "dev", "gallery"], {"train": "train", "dev": "test", "gallery": "database"}),
        (["train-0", "train-1", "test"], {"train-0": "train", "train-1": "train", "test": "test"}),
        (["a", "b"], {"a": "", "b": ""}),
        (["test-0", "test-1"], {"test-0": "", "test-1": ""}),
    ],
)
def test_names_make_a_split_or_a_pool(names, of):
    parts = split_by_name("doc", "files", names)
    assert parts.of == of
    told = set(names) != set(of) or (set(of.values()) == {""} and names != ["a", "b"])
    assert bool(parts.notes) == told


@pytest.mark.parametrize(
    "names", [["train", "x"], ["test", "val"], ["train", "db"], ["query", "x"]]
)
def test_half_a_split_is_refused(names):
    with pytest.raises(DatasetError, match=r"a split needs training rows .* and queries"):
        split_by_name("doc", "files", names)
