import dataclasses

import numpy as np
import pytest
import torch

import datasets
from datasets.base import DatasetError, LoadOptions, UnknownName, tensor_digest
from datasets.protocols import PROTOCOLS, RULES, Protocol_

CIFAR = list(PROTOCOLS["cifar10"])
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
    "cifar10/cimon": "5a66aef82edc04d8",
    "synthetic/tiny": "0550ad114c00afda",
}
ROWS_OF_REAL_LABELS = {
    "digits/300-1497": "0515d5000f62edcf",
    "cifar10/1k-5k": "43342215362e761e",
    "cifar10/official": "7a952b86af97e7f4",
    "cifar10/cibhash": "8b9e70c40f330360",
    "cifar10/wch": "d894a74530648c37",
    "cifar10/cimon": "582fe82a06efef23",
    "synthetic/tiny": "7d9d5b52985dad9a",
}
ROWS_OF_CYCLING_LABELS = {
    "cifar10/1k-5k": "5c047d49f5c61b17",
    "cifar10/official": "7a952b86af97e7f4",
    "cifar10/cibhash": "6ba5b0e75a0b2e82",
    "cifar10/wch": "7ed420a66b32013f",
    "cifar10/cimon": "c61224173d7be168",
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
def test_digest_covers_every_field_but_the_note(field):
    value = getattr(protocol(), field)
    other = protocol(**{field: value + 1 if isinstance(value, int) else value + "x"})
    assert (other.digest == protocol().digest) == (field == "source")


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_rows_of_embedded_data_are_pinned(name):
    data = datasets.load(name)
    assert rows_digest(data) == ROWS_OF_REAL_LABELS[data.protocol.label]


@pytest.mark.parametrize("name", CIFAR)
def test_rows_of_cifar10_are_pinned(name, shared_data):
    data = datasets.load(f"cifar10/{name}", LoadOptions(shared_data))
    assert rows_digest(data) == ROWS_OF_REAL_LABELS[data.protocol.label]


@pytest.mark.parametrize("name", CIFAR)
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
    if name in ("1k-5k", "wch"):
        assert labels[query].sum(0).tolist() == [100] * 10
        assert (query >= 50_000).any()
        assert (query < 50_000).any()
    else:
        assert (query >= 50_000).all()
        assert torch.equal(database, PARTS["train"])


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
