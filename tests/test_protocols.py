import dataclasses

import numpy as np
import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.digests import tensor_digest
from datasets.errors import DatasetError, UnknownName
from datasets.protocols.protocol import Protocol_
from datasets.protocols.rules import RULES
from datasets.protocols.table import PROTOCOLS

CIFAR = list(PROTOCOLS["cifar10"])
CHANGED = ["cifar10/unseen", "cifar10/longtail-100", "cifar100/unseen", "tiny_imagenet/unseen"]
# Rows of the train and test parts, and classes, of the complete copies.
COMPLETE = {
    "cifar100": (50_000, 10_000, 100),
    "mnist": (60_000, 10_000, 10),
    "fashion_mnist": (60_000, 10_000, 10),
    "tiny_imagenet": (100_000, 10_000, 200),
    "ucmerced": (2100, 0, 21),
}
ALL = [p for known in PROTOCOLS.values() for p in known.values()]
PARTS = {"train": torch.arange(50_000), "test": torch.arange(50_000, 60_000)}

# Published numbers rest on these. A change here is a change of the protocol: never edit a value,
# add a protocol under another name.
PROTOCOL_DIGESTS = {
    "digits/300-1497": "322d5fd33cecf23c",
    "cifar10/1k-5k": "9aeffc00e3df4aec",
    "cifar10/official": "12a82c586e718ee0",
    "cifar10/cibhash": "c19e625b496f0f93",
    "cifar10/wch": "6ff4fc3321a16d5f",
    "cifar10/10k-50k": "7685ed65f85f51c5",
    "cifar10/10k-5k": "a6ec7d871143b385",
    "cifar10/unseen": "e4d22f7d91f7e065",
    "cifar10/longtail-100": "33c2bc51d1b0cfe6",
    "cifar100/official": "2dcfbfa07075c772",
    "cifar100/unseen": "009b65c30feda0aa",
    "cifar100/1k-5k": "1d247de08a5c33c3",
    "cifar100/coarse-official": "2dccf77fb71e0b29",
    "cifar100/coarse-1k-5k": "5857f857ab73db1c",
    "mnist/1k-5k": "a2d52d7d1992e050",
    "mnist/official": "33b1a37888397ead",
    "fashion_mnist/1k-5k": "885f04a7c31a0063",
    "fashion_mnist/official": "5e2d033a93b86bb2",
    "tiny_imagenet/official": "f3f5024c05c9917a",
    "tiny_imagenet/unseen": "b65ee1c84579110a",
    "ucmerced/scene": "029d42d9da5a74d6",
    "ucmerced/multi": "60b1c852a2f988d2",
    "nuswide21/2k-10k": "058840c58a693fa6",
    "nuswide21/lists": "1582a750df4a98c4",
    "nuswide81/5k-10k": "62a8fa1c9484b17c",
    "nuswide81/lists": "66b8f17dc63bc850",
    "mscoco/5k-10k": "bef24de358c338ab",
    "mscoco/lists": "e760287ce6f87e79",
    "flickr25k/2k-5k": "6025472d4ca20629",
    "flickr25k/bihalf": "6e1c6dfee5df2d5b",
    "flickr25k/labelled": "43bd0d65377a5a57",
    "flickr25k/ssdh": "3ecb7c88ce74fa19",
    "flickr25k/lists": "fca118f8e575d05e",
    "voc2012/1k-4k": "1f851874918f18a0",
    "voc2012/lists": "c94c4d585bb38aaf",
    "imagenet100/lists": "d4e202e857ed78a2",
    "imagenet/official": "9200216ace35944b",
    "conceptual_captions/official": "e445468b4b1243d5",
    "synthetic/tiny": "0550ad114c00afda",
}
ROWS_OF_REAL_LABELS = {
    "digits/300-1497": "0515d5000f62edcf",
    "cifar10/1k-5k": "43342215362e761e",
    "cifar10/official": "7a952b86af97e7f4",
    "cifar10/cibhash": "8b9e70c40f330360",
    "cifar10/wch": "d894a74530648c37",
    "cifar10/10k-50k": "2531e39f4a483f09",
    "cifar10/10k-5k": "c0f4cbefd938f6bb",
    "cifar10/unseen": "509da7ad9b9f9261",
    "cifar10/longtail-100": "f39daf49e54f13b0",
    "synthetic/tiny": "7d9d5b52985dad9a",
}
ROWS_OF_CYCLING_LABELS = {
    "cifar10/1k-5k": "5c047d49f5c61b17",
    "cifar10/official": "7a952b86af97e7f4",
    "cifar10/cibhash": "6ba5b0e75a0b2e82",
    "cifar10/wch": "7ed420a66b32013f",
    "cifar10/10k-50k": "f6fd5f6acfa2a57f",
    "cifar10/10k-5k": "4865162de6965ed6",
    "cifar100/official": "7a952b86af97e7f4",
    "cifar100/1k-5k": "abd811d3eeb0fe82",
    "cifar100/coarse-official": "7a952b86af97e7f4",
    "cifar100/coarse-1k-5k": "aa757154f8bd8143",
    "mnist/1k-5k": "cac3ff99ae16374c",
    "mnist/official": "f2ffdcd1302cb0a1",
    "fashion_mnist/1k-5k": "cac3ff99ae16374c",
    "fashion_mnist/official": "f2ffdcd1302cb0a1",
    "tiny_imagenet/official": "fe4a52ae2a286af9",
    "ucmerced/scene": "6133bac595e1b3a9",
    "ucmerced/multi": "fbb041b5840e2d6d",
}

# Labels of the real size, two or fewer a row: of row i, i and i squared modulo the classes.
MULTI_LABEL = {
    "nuswide21/2k-10k": (195_834, 21, 0, "674ec8fe1b24d63e"),
    "nuswide81/5k-10k": (209_347, 81, 0, "05ea0595dfc727a9"),
    "mscoco/5k-10k": (122_218, 80, 0, "db469b5a01590230"),
    "flickr25k/2k-5k": (25_000, 24, 419, "639bbfeaff664ff0"),
    "flickr25k/bihalf": (25_000, 24, 419, "639bbfeaff664ff0"),
    "flickr25k/labelled": (25_000, 24, 419, "4c1e035e2bc7a409"),
    "voc2012/1k-4k": (11_540, 20, 0, "2390e91b0d5407fb"),
}


def one_hot(classes, n_classes=10):
    return torch.nn.functional.one_hot(classes, n_classes).bool()


def rows_digest(split):
    return tensor_digest(split.train, split.query, split.database)[:16]


def protocol(**changes):
    small = Protocol_(
        "toy", "small", 4, 4, 16, "pooled, train inside the database", 5, "shares a label", "here"
    )
    return dataclasses.replace(small, **changes)


@pytest.mark.parametrize("p", ALL, ids=lambda p: p.label)
def test_protocol_digest_is_pinned(p):
    assert len(p.digest) == 64
    assert p.digest[:16] == PROTOCOL_DIGESTS[p.label]


def test_every_protocol_has_a_digest_of_its_own():
    assert len({p.digest for p in ALL}) == len(ALL)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Protocol_)])
def test_digest_covers_every_field_but_the_notes(field):
    value = getattr(protocol(), field)
    if field == "tunes":
        changed = protocol(name="other")
    else:
        changed = value + "x" if isinstance(value, str) else value + 1
    other = protocol(**{field: changed})
    assert (other.digest == protocol().digest) == (field in ("source", "resize"))


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_rows_of_embedded_data_are_pinned(name):
    data = datasets.load(name)
    assert rows_digest(data) == ROWS_OF_REAL_LABELS[data.protocol.label]


@pytest.mark.parametrize("name", CIFAR)
def test_rows_of_cifar10_are_pinned(name, shared_data):
    data = datasets.load(f"cifar10/{name}", LoadOptions(shared_data))
    assert rows_digest(data) == ROWS_OF_REAL_LABELS[data.protocol.label]


@pytest.mark.parametrize("name", [n for n in CIFAR if f"cifar10/{n}" not in CHANGED])
def test_rows_of_cifar10_protocols_on_cycling_labels(name):
    p = PROTOCOLS["cifar10"][name]
    labels = one_hot(torch.arange(60_000) % 10)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    train, query, database = split = p.split(labels, PARTS)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert rows_digest(p.split(labels, PARTS)) == rows_digest(split)

    assert rows_digest(split) == ROWS_OF_CYCLING_LABELS[p.label]
    assert (len(query), len(train), len(database)) == (p.n_query, p.n_train, p.n_database)
    for rows in split:
        assert rows.dtype == torch.int64
        assert torch.equal(rows, rows.unique())
    assert not torch.isin(query, database).any()
    assert not torch.isin(query, train).any()
    assert labels[train].sum(0).tolist() == [p.n_train // 10] * 10
    inside = torch.isin(train, database)
    assert not inside.any() if name == "wch" else inside.all()
    if p.rule.startswith("pooled"):
        assert labels[query].sum(0).tolist() == [p.n_query // 10] * 10
        assert (query >= 50_000).any()
        assert (query < 50_000).any()
    else:
        assert (query >= 50_000).all()
        assert torch.equal(database, PARTS["train"])


@pytest.mark.parametrize(
    "p",
    [p for name in COMPLETE for p in PROTOCOLS[name].values() if p.label not in CHANGED],
    ids=lambda p: p.label,
)
def test_rows_of_hub_protocols_on_cycling_labels(p):
    n_train, n_test, n_classes = COMPLETE[p.dataset]
    n_classes = 20 if p.name.startswith("coarse-") else n_classes
    n = n_train + n_test
    labels = one_hot(torch.arange(n) % n_classes, n_classes)
    if p.name == "multi":
        labels = one_hot(torch.arange(n) % 17, 17) | one_hot(torch.arange(n) * 5 % 17, 17)
    parts = {"train": torch.arange(n_train), "test": torch.arange(n_train, n)}
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    train, query, database = split = p.split(labels, parts)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert rows_digest(p.split(labels, parts)) == rows_digest(split)

    assert rows_digest(split) == ROWS_OF_CYCLING_LABELS[p.label]
    assert (len(train), len(query), len(database)) == (p.n_train, p.n_query, p.n_database)
    assert not torch.isin(query, database).any()
    assert torch.isin(train, database).all()
    if p.name != "multi":
        for rows in split:
            assert labels[rows].sum(0).unique().numel() == 1
    if p.rule.startswith("official"):
        assert torch.equal(query, parts["test"])
        assert torch.equal(database, parts["train"])
    else:
        assert len(query) + len(database) == n


@pytest.mark.parametrize("name", MULTI_LABEL)
def test_rows_of_protocols_on_several_labels_are_pinned(name):
    n_rows, n_classes, n_unlabelled, pinned = MULTI_LABEL[name]
    rows = torch.arange(n_rows)
    labels = one_hot(rows % n_classes, n_classes) | one_hot(rows**2 % n_classes, n_classes)
    labels[:n_unlabelled] = False
    p = datasets.protocol_of(name)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    train, query, database = split = p.split(labels)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert rows_digest(p.split(labels)) == rows_digest(split) == pinned
    assert (len(query), len(train), len(database)) == (p.n_query, p.n_train, p.n_database)
    assert not torch.isin(query, database).any()
    assert torch.isin(train, database).all()
    assert labels[database].any(1).all() == (name not in ("flickr25k/2k-5k", "flickr25k/bihalf"))


def test_official_parts_of_a_thousand_classes_are_split():
    """A tenth of ImageNet's rows, all of its classes."""
    p = dataclasses.replace(
        PROTOCOLS["imagenet"]["official"], n_query=5000, n_train=100_000, n_database=128_000
    )
    rows = torch.arange(133_000)
    labels = torch.zeros(len(rows), 1000, dtype=torch.bool)
    labels[rows, rows % 1000] = True
    parts = {"train": torch.arange(128_000), "test": torch.arange(128_000, 133_000)}
    train, query, database = p.split(labels, parts)
    assert labels[train].sum(0).tolist() == [100] * 1000
    assert torch.equal(query, parts["test"])
    assert torch.equal(database, parts["train"])


def test_lists_are_kept_as_they_are():
    listed = protocol(rule="as listed")
    parts = {"train": torch.tensor([7, 5, 6, 4]), "test": torch.arange(4)}
    with pytest.raises(DatasetError, match="needs a list of database rows"):
        listed.split(one_hot(torch.arange(20) % 4, 4), parts)
    train, query, database = listed.split(
        one_hot(torch.arange(20) % 4, 4), parts | {"database": torch.arange(4, 20)}
    )
    assert train.tolist() == [4, 5, 6, 7]
    assert (query.tolist(), len(database)) == ([0, 1, 2, 3], 16)


def test_protocols_that_differ_in_the_database_share_queries_and_training_rows():
    labels = one_hot(torch.arange(60_000) % 10)
    inside, apart = (PROTOCOLS["cifar10"][n].split(labels, PARTS) for n in ("1k-5k", "wch"))
    assert torch.equal(inside.query, apart.query)
    assert torch.equal(inside.train, apart.train)


def test_half_of_the_test_part_is_drawn_without_regard_to_class():
    labels = one_hot(torch.arange(60_000) % 10)
    counts = labels[PROTOCOLS["cifar10"]["cibhash"].split(labels, PARTS).query].sum(0)
    assert counts.sum() == 5000
    assert (counts - 500).abs().max() < 100
    assert (counts != 500).any()


def test_a_remainder_goes_to_the_first_classes():
    split = protocol(n_query=5, n_database=15).split(one_hot(torch.arange(20) % 4, 4))
    assert one_hot(torch.arange(20) % 4, 4)[split.query].sum(0).tolist() == [2, 1, 1, 1]


def test_a_row_with_several_labels_is_drawn_once():
    labels = torch.ones(20, 4, dtype=torch.bool)
    train, query, database = protocol().split(labels)
    assert (len(train.unique()), len(query.unique()), len(database.unique())) == (4, 4, 16)


def test_too_few_rows_of_a_class_are_refused():
    labels = one_hot(torch.tensor([0] * 10 + [1] * 10 + [3] * 10), 4)
    with pytest.raises(
        DatasetError, match="small: the protocol has 4 train rows, these 30 rows give 3"
    ):
        protocol().split(labels)


def test_another_number_of_rows_is_refused():
    with pytest.raises(DatasetError, match="has 16 database rows, these 21 rows give 17"):
        protocol().split(one_hot(torch.arange(21) % 4, 4))


def test_official_rules_need_the_original_parts():
    official = protocol(rule="official parts, train is the database")
    with pytest.raises(DatasetError, match="needs the original train part, the data set has no"):
        official.split(one_hot(torch.arange(20) % 4, 4))


def test_unknown_rule_is_refused():
    with pytest.raises(UnknownName, match="unknown split rule 'pooled'"):
        protocol(rule="pooled").split(one_hot(torch.arange(20) % 4, 4))


def test_every_rule_is_known_and_used():
    assert {p.rule for p in ALL} == set(RULES)


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_names_load_by_default_and_in_full(name):
    assert name in datasets.DATASETS
    assert datasets.protocol_of(name) is next(iter(PROTOCOLS[name].values()))
    for p in PROTOCOLS[name].values():
        assert datasets.protocol_of(p.label) is p


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifra10", "unknown data set 'cifra10'; did you mean 'cifar10'"),
        ("cifar10/offical", "unknown protocol of cifar10 'offical'; did you mean 'official'"),
        ("cifar10/", "unknown protocol of cifar10 ''; known: 1k-5k"),
    ],
)
def test_unknown_names_are_refused(name, message):
    with pytest.raises(UnknownName, match=message):
        datasets.load(name)
