import dataclasses

import pytest
import torch

from datasets.base import RetrievalDataset
from datasets.contents import Contents
from datasets.digests import tensor_digest
from datasets.errors import DatasetError, UnknownName, lookup, one_line, printable
from datasets.image_source import MemoryImages
from datasets.protocols.protocol import Protocol_

PROTOCOL = Protocol_(
    "toy", "2-6", 2, 6, 6, "pooled, train is the database", 3, "shares a label", ""
)


def toy(**changes):
    fields = {
        "name": "toy",
        "protocol": PROTOCOL,
        "images": MemoryImages(torch.arange(8 * 12).reshape(8, 3, 2, 2).to(torch.uint8)),
        "features": None,
        "labels": torch.eye(2, dtype=torch.bool).repeat(4, 1),
        "train": torch.arange(2, 8),
        "query": torch.arange(2),
        "database": torch.arange(2, 8),
    }
    return RetrievalDataset(**{**fields, **changes})


def with_value(tensor, index, value):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


FEATURES = torch.ones(8, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.zeros(8, 2)}, r"labels must be bool \(N, C\), got torch.float32"),
        ({"labels": torch.zeros(8, dtype=torch.bool)}, "labels must be bool"),
        ({"labels": torch.zeros(7, 2, dtype=torch.bool)}, "7 label rows for 8 images"),
        ({"images": None}, "neither images nor features"),
        ({"features": FEATURES.double()}, "features must be float32"),
        ({"features": FEATURES[:7]}, "8 label rows for 7 feature rows"),
        ({"features": with_value(FEATURES, (5, 1), float("nan"))}, "1 rows .* first is row 5"),
        ({"train": torch.arange(2, 8).int()}, "train rows must be int64"),
        ({"query": torch.arange(0)}, "query is empty"),
        ({"database": torch.arange(0)}, "database is empty"),
        ({"query": torch.arange(1)}, "the protocol has 2 query rows, got 1"),
        ({"database": torch.arange(3, 9)}, r"database rows must be in 0..7, found 3..8"),
        ({"train": torch.arange(-1, 5)}, r"train rows must be in 0..7, found -1..4"),
        ({"train": torch.tensor([2, 3, 4, 4, 5, 6])}, "train lists row 4 more than once"),
        ({"query": torch.tensor([0, 2])}, "query and database must be disjoint, 1 .* row 2"),
        ({"train": torch.arange(1, 7)}, "query and train must be disjoint, 1 .* row 1"),
        ({"protocol": dataclasses.replace(PROTOCOL, cutoff=7)}, r"cutoff must be in 1..6"),
        ({"protocol": dataclasses.replace(PROTOCOL, cutoff=0)}, r"cutoff must be in 1..6"),
        ({"hierarchy": torch.ones(3, 3)}, r"hierarchy must be float \(2, 2\)"),
        ({"hierarchy": torch.full((2, 2), 1.5)}, r"hierarchy must be in \[0, 1\]"),
        ({"classes": ("one",)}, "classes must be 2 names, .* got 1"),
    ],
)
def test_a_wrong_data_set_is_refused_by_name_and_rule(changes, message):
    with pytest.raises(DatasetError, match=message) as caught:
        toy(**changes)
    assert str(caught.value).startswith("toy/2-6: ")
    assert "\n" not in str(caught.value)


def test_a_correct_data_set_is_accepted():
    assert toy().hierarchy is None
    assert toy(images=None, features=FEATURES).images is None
    assert toy(hierarchy=torch.eye(2)).hierarchy is not None


def test_data_digest_is_of_the_inputs_alone():
    other_labels = toy(labels=torch.ones(8, 2, dtype=torch.bool))
    assert toy().data_digest == toy().data_digest == other_labels.data_digest
    assert len(toy().data_digest) == len(toy().digest) == 64
    other_images = toy(images=MemoryImages(torch.zeros(8, 3, 2, 2, dtype=torch.uint8)))
    assert other_images.data_digest != toy().data_digest
    one = toy(images=None, features=FEATURES)
    two = toy(images=None, features=with_value(FEATURES, (0, 0), 2))
    assert len({toy().data_digest, one.data_digest, two.data_digest}) == 3


def test_digest_covers_protocol_rows_labels_inputs_and_hierarchy():
    sets = [
        toy(),
        toy(labels=torch.ones(8, 2, dtype=torch.bool)),
        toy(protocol=dataclasses.replace(PROTOCOL, cutoff=4)),
        toy(images=None, features=FEATURES),
        toy(hierarchy=torch.eye(2)),
        toy(query=torch.tensor([1, 0])),
        toy(train=torch.tensor([7, 2, 3, 4, 5, 6])),
    ]
    assert len({s.digest for s in sets}) == len(sets)


def test_tensor_digest_tells_types_and_shapes_apart():
    zeros = torch.zeros(4, dtype=torch.uint8)
    tensors = [zeros, zeros.reshape(2, 2), zeros.bool(), zeros[:3]]
    assert len({tensor_digest(t) for t in tensors}) == 4
    by_column = torch.arange(6).reshape(2, 3).T
    assert tensor_digest(by_column) == tensor_digest(by_column.contiguous())


def test_memory_images_reads_rows_in_the_order_asked():
    images = torch.arange(4 * 12).reshape(4, 3, 2, 2).to(torch.uint8)
    source = MemoryImages(images)
    assert torch.equal(source.read(torch.tensor([3, 0])), images[[3, 0]])
    assert len(source) == 4


@pytest.mark.parametrize("shape", [(4, 2, 2), (4, 1, 2, 2)])
def test_memory_images_refuses_other_shapes(shape):
    with pytest.raises(DatasetError, match="expected uint8"):
        MemoryImages(torch.zeros(shape, dtype=torch.uint8))


def test_memory_images_refuses_other_types():
    with pytest.raises(DatasetError, match=r"got torch\.float32"):
        MemoryImages(torch.zeros(4, 3, 2, 2))


def test_lookup_suggests_close_names_and_lists_all():
    known = {"digits": 1, "cifar10": 2}
    assert lookup("data set", "cifar10", known) == 2
    with pytest.raises(UnknownName, match=r"unknown data set 'CIFAR-10'; did you mean 'cifar10'\?"):
        lookup("data set", "CIFAR-10", known)
    with pytest.raises(UnknownName) as caught:
        lookup("data set", "zzz", known)
    assert str(caught.value) == "unknown data set 'zzz'; known: digits, cifar10"
    assert isinstance(caught.value, DatasetError)


@pytest.mark.parametrize(
    ("captions", "words"),
    [
        ([["a"]] * 3, "8 label rows for captions of 3"),
        ([["a"]] * 7 + [[]], r"captions of row 7 must be"),
        (["a dog"] * 8, r"captions of row 0 must be .* got 'a dog'"),
    ],
)
def test_captions_are_sentences_of_every_image(captions, words):
    with pytest.raises(DatasetError, match=words):
        toy(captions=captions)


def test_digest_tells_captions_apart():
    told = [toy(captions=[[word]] * 8).digest for word in ("cat", "dog")]
    assert len({*told, toy().digest}) == 3


# ---- names as a terminal shows them

RAW = "caf\udce9 \x1b[2J\r\n\x9b0m\0 \ud800 \u202e"
SHOWN = r"caf\xe9 \x1b[2J\r\n\x9b0m\x00 \ud800 \u202e"


def test_what_a_terminal_would_obey_is_written_out():
    assert printable(RAW) == SHOWN
    assert str(DatasetError(RAW)) == SHOWN
    for text in ("crow/été 鳥 1.png", "two  blanks", "a\xa0b\u3000c"):
        assert printable(text) == text


def test_one_line_is_one_line_of_what_can_be_shown():
    assert one_line(ValueError("a\n b\x1b[31m")) == r"a b\x1b[31m"
    assert one_line("\x1b" * 300) == (r"\x1b" * 300)[:197] + "..."


def test_names_of_classes_and_notes_are_shown_as_they_can_be():
    labels = torch.eye(2, dtype=torch.bool)
    contents = Contents(labels, classes=("a\x1b]0;b\x07", "caf\udce9"), notes=("\x1bc of\nit",))
    assert contents.classes == (r"a\x1b]0;b\x07", r"caf\xe9")
    assert contents.notes == (r"\x1bc of\nit",)
    assert contents.subset(torch.tensor([1])).classes == contents.classes


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 256, "a\0b"])
def test_a_name_that_no_file_could_have_is_refused_as_a_class(name):
    labels = torch.eye(2, dtype=torch.bool)
    with pytest.raises(DatasetError, match="at most 255 letters and no NUL") as caught:
        Contents(labels, classes=("a" * 255, name))
    assert len(str(caught.value)) < 200


def test_a_name_of_any_length_is_looked_up_in_a_short_line():
    with pytest.raises(UnknownName) as caught:
        lookup("data set", "x\x1b" * 5000, {"digits": 1})
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)
