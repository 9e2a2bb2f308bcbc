from dataclasses import replace

import numpy as np
import pytest
import torch

import datasets
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import protocol_info, score_codes, score_floats
from benchmarks.run import main
from datasets.assemble import assemble
from datasets.contents import LoadOptions
from datasets.digests import tensor_digest
from datasets.errors import DatasetError, OptionError
from datasets.labels import Labels
from datasets.protocols.table import PROTOCOLS
from datasets.protocols.training_part import long_tail, query_groups, unseen_classes
from datasets.sources.synthetic import load_synthetic
from results.store.store import ResultStore

COMPLETE = {"cifar10": (50_000, 10), "cifar100": (50_000, 100), "tiny_imagenet": (100_000, 200)}
TRAINING_ROWS = {
    "cifar10/unseen": "92fcf0a1fcad0e4b",
    "cifar10/longtail-100": "edb09d305608e32d",
    "cifar100/unseen": "be0fc58b832e95e7",
    "tiny_imagenet/unseen": "d5b3a49c380d8680",
}
BASE = {"cifar10/unseen": "1k-5k", "cifar10/longtail-100": "official"}


def split_of(label, name=None):
    dataset, _, own = label.partition("/")
    n, n_classes = COMPLETE[dataset]
    labels = Labels.one_each(torch.arange(n + 10_000) % n_classes, n_classes)
    parts = {"train": torch.arange(n), "test": torch.arange(n, n + 10_000)}
    p = PROTOCOLS[dataset][name or own]
    return p, labels, p.split(labels, parts)


@pytest.mark.parametrize("label", TRAINING_ROWS)
def test_only_training_rows_differ_from_the_protocol_that_leaves_nothing_out(label):
    _, _, base = split_of(label, BASE.get(label, "official"))
    p, labels, split = split_of(label)
    assert torch.equal(split.query, base.query)
    assert torch.equal(split.database, base.database)
    assert torch.isin(split.train, base.train).all()
    assert len(split.train) == p.n_train < len(base.train)
    assert tensor_digest(split.train)[:16] == TRAINING_ROWS[label]
    if p.unseen:
        left = unseen_classes(label, labels.n_classes, 0.25)
        of_rest = torch.isin(labels[base.train].classes, left.int())
        assert torch.equal(split.train, base.train[~of_rest])


@pytest.mark.parametrize("name", ["unseen", "longtail-100"])
def test_real_labels_give_the_sizes_of_the_protocol(name, shared_data):
    data = datasets.load(f"cifar10/{name}", LoadOptions(shared_data))
    sizes = data.labels[data.train].class_sizes().tolist()
    if name == "unseen":
        assert sizes == [500, 500, 0, 500, 0, 500, 500, 500, 0, 500]
    else:
        assert sizes == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_a_class_keeps_fewer_rows_than_the_one_before():
    labels = Labels.one_each(torch.arange(300) % 3, 3)
    kept = long_tail(labels, torch.arange(30, 300), 9)
    assert labels[kept].class_sizes().tolist() == [90, 30, 10]
    assert len(kept.unique()) == 130
    assert (kept >= 30).all()


@pytest.mark.parametrize(("share", "n"), [(0.25, 3), (0.24, 2), (0.8, 8)])
def test_a_share_is_rounded_to_whole_classes(share, n):
    assert len(unseen_classes("x", 10, share)) == n


@pytest.mark.parametrize(("n_classes", "share"), [(2, 0.5), (3, 0.1), (4, 0.75)])
def test_too_few_classes_to_leave_any_out_are_told(n_classes, share):
    with pytest.raises(DatasetError, match=f"of {n_classes} classes are .*too few classes"):
        unseen_classes("birds/10q-50t", n_classes, share)


def test_a_query_of_a_left_out_class_is_unseen_whatever_else_it_shows():
    left = int(unseen_classes("x", 4, 0.25)[0])
    other = (left + 1) % 4
    matrix = torch.zeros(4, 4, dtype=torch.bool)
    matrix[0, left] = matrix[1, other] = matrix[2, left] = matrix[2, other] = True
    groups = query_groups("x", Labels.of(matrix), torch.arange(4), 0.25, 0)
    assert groups["unseen"].tolist() == [True, False, True, False]
    assert groups["seen"].tolist() == [False, True, False, False]
    assert query_groups("x", Labels.of(matrix), torch.arange(4), 0, 0) == {}


def small(**changes):
    p = replace(PROTOCOLS["synthetic"]["tiny"], **changes)
    return assemble(p, load_synthetic(p, LoadOptions()), LoadOptions())


@pytest.mark.parametrize(
    ("changes", "first", "second"),
    [
        ({"unseen": 0.2, "n_drawn": 300, "n_train": 240}, "seen", "unseen"),
        ({"imbalance": 10, "n_drawn": 300, "n_train": 127}, "head", "tail"),
    ],
)
def test_scores_tell_both_kinds_of_queries_and_the_gap(changes, first, second):
    data = small(**changes)
    codes = torch.randint(2, (600, 8), generator=torch.Generator().manual_seed(0)).bool()
    packed = [PackedBits.of(codes[rows]) for rows in (data.query, data.database)]
    scores = score_codes(*packed, data, "cpu")
    groups = query_groups(
        "x", data.labels, data.query, data.protocol.unseen, data.protocol.imbalance
    )
    for name in (first, second):
        expected = scores.query_ap[groups[name].numpy()].mean()
        assert scores.metrics[f"mAP@100:{name}"] == pytest.approx(expected, abs=1e-6)
    gap = scores.metrics[f"mAP@100:{first}"] - scores.metrics[f"mAP@100:{second}"]
    assert scores.metrics["mAP@100:gap"] == gap != 0
    vectors = [codes[rows].float() for rows in (data.query, data.database)]
    assert "mAP@100:gap" in score_floats(*vectors, data).metrics
    assert "mAP@100:gap" not in score_codes(*packed, small(), "cpu").metrics
    assert protocol_info(data, "")["rule"] == data.protocol.split_rule != data.protocol.rule


def write_features(path, n_classes=4):
    rng = np.random.default_rng(0)
    labels = np.arange(80) % n_classes
    np.savez(path, features=rng.normal(size=(80, 8)).astype(np.float32), labels=labels)
    return f"features:{path}"


def test_own_data_leave_classes_out(tmp_path, capsys):
    name = write_features(tmp_path / "birds.npz")
    data = datasets.load(name, LoadOptions(unseen=0.25))
    left = unseen_classes("x", 4, 0.25)
    assert not torch.isin(data.labels[data.train].classes, left.int()).any()
    base = datasets.load(name)
    assert data.protocol.label == base.protocol.label + "-unseen25"
    assert torch.equal(data.query, base.query)
    call = ["--datasets", name, "--unseen-classes", "0.25", "--methods", "lsh", "--bits", "8"]
    call += ["--seeds", "1", "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert main(call) == 0
    for record in ResultStore(tmp_path).scan().records:
        assert {"mAP@72:seen", "mAP@72:unseen", "mAP@72:gap"} <= record.metrics.keys()
    table = (tmp_path / "report/leaderboard.csv").read_text()
    assert "mAP@72:gap" in table
    assert (
        "25% of the classes unseen in training" in (tmp_path / "report/leaderboard.md").read_text()
    )


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_outside_0_and_1_is_refused(tmp_path, share):
    name = write_features(tmp_path / "birds.npz")
    with pytest.raises(OptionError, match="--unseen-classes must be between 0 and 1"):
        datasets.load(name, LoadOptions(unseen=share))


def test_own_data_of_two_classes_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="too few classes"):
        datasets.load(write_features(tmp_path / "two.npz", 2), LoadOptions(unseen=0.25))


def test_data_with_named_protocols_refuse_the_flag():
    with pytest.raises(OptionError, match="--unseen-classes is of your own data"):
        datasets.load("digits", LoadOptions(unseen=0.25))
