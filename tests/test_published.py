import math
from dataclasses import replace

import pytest

from datasets import DATASETS
from datasets.protocols.table import PROTOCOLS
from methods import METHODS
from results.tables.published import published_figures, published_frame, published_markdown
from tests.record_factory import board_of, make_record

SDC = {"dataset": "cifar10", "protocol": "1k-5k", "backbone": "timm:vgg16.tv_in1k@224"}


def found(board, **wanted):
    frame = published_frame(board)
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    return frame


@pytest.mark.parametrize("column", ["published", "metric", "source", "backbone"])
def test_every_figure_says_what_it_is_and_where_it_stands(column):
    assert (published_figures()[column].str.len() > 1).all()


def test_figures_are_shares_of_known_lengths():
    assert published_figures()["value"].between(0, 1, inclusive="neither").all()
    assert set(published_figures()["bits"]) <= {0, 8, 12, 16, 24, 32, 36, 48, 64, 96, 128}
    assert not published_figures().duplicated().any()


def test_protocols_and_methods_are_those_of_the_suite():
    named = published_figures()[published_figures()["protocol"] != ""]
    assert {(d, p) for d, p in zip(named["dataset"], named["protocol"], strict=True)} <= {
        (dataset, protocol) for dataset in DATASETS for protocol in PROTOCOLS.get(dataset, ())
    }
    assert set(published_figures()["row"]) - {""} <= set(METHODS)
    without = published_figures()[published_figures()["protocol"] == ""]
    assert (without["setting"] != "").all()


def test_figures_of_pooled_splits_stand_under_pooled_protocols():
    cifar = published_figures().query("dataset == 'cifar10'")
    pooled = cifar[cifar["protocol"].isin(["10k-50k", "10k-5k"])]
    assert pooled.groupby("protocol").size().to_dict() == {"10k-50k": 26, "10k-5k": 24}
    assert pooled["setting"].str.startswith("pooled").all()
    official = cifar[cifar["protocol"] == "official"]
    assert set(official["published"]) == {"GreedyHash (unsupervised)", "NSH"}
    for name in pooled["protocol"].unique():
        assert PROTOCOLS["cifar10"][name].rule.startswith("pooled")


def test_ours_stand_beside_theirs_with_the_gap():
    ours = make_record(method="cibhash", metrics={"mAP@1000": 0.6}, **SDC)
    more = replace(ours, seed=1, digest="1" * 64, metrics={"mAP@1000": 0.62})
    row = found(board_of([ours, more]), published="CIBHash", bits=16).iloc[0]
    theirs = published_figures().query(
        "published == 'CIBHash' and protocol == '1k-5k' and bits == 16"
    )
    assert row["value"] == theirs["value"].item()
    assert row["gap"] == pytest.approx(0.61 - row["value"])
    assert (row["method"], row["n"]) == ("cibhash", 2)
    same_frozen_vgg16 = "weights not said, ours tv_in1k; protocol of the released code"
    assert row["differs"] == f"images: resizing not said, ours stretch; {same_frozen_vgg16}"


@pytest.mark.parametrize(
    ("dataset", "protocol", "resize", "said"),
    [
        ("cifar10", "wch", "", []),
        ("cifar10", "wch", ",crop", ["images: stretch, ours crop"]),
        ("mscoco", "5k-10k", "", ["images: crop, no margin, ours stretch"]),
    ],
)
def test_how_images_are_resized_is_a_difference(dataset, protocol, resize, said):
    name = f"timm:vit_base_patch16_224.augreg_in21k@224{resize}"
    metric = {"cifar10": "mAP@1000", "mscoco": "mAP@5000"}[dataset]
    record = make_record(
        dataset=dataset, protocol=protocol, backbone=name, method="wch", metrics={metric: 0.6}
    )
    row = found(board_of([record]), published="WCH", bits=16).iloc[0]
    assert [part for part in row["differs"].split("; ") if "images: " in part] == said
    assert "px" not in row["differs"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": "efficientnet_lite0@128"}, "VGG16 frozen, ours efficientnet_lite0@128"),
        ({"backbone": "timm:vgg16_bn.tv_in1k@224"}, "ours timm:vgg16_bn"),
        ({"backbone": "timm:vgg16.tv_in1k@32"}, "input of 224 px, ours of 32; images: "),
        ({"method": "cibhash(tau=0.5)"}, "ours with tau=0.5"),
        ({"protocol": "1k-5k~59990"}, "incomplete copy"),
    ],
    ids=["backbone", "near", "size", "settings", "incomplete"],
)
def test_what_differs_is_said(change, words):
    settings = SDC | {"method": "cibhash", "metrics": {"mAP@1000": 0.6}} | change
    row = found(board_of([make_record(**settings)]), published="CIBHash", bits=16).iloc[0]
    assert words in row["differs"]


def test_a_figure_that_ours_lack_stands_alone_with_the_reason():
    board = board_of([make_record(method="itq", metrics={"mAP@1000": 0.6}, **SDC)])
    reasons = {
        row.published: row.differs
        for row in found(board, bits=16).itertuples()
        if math.isnan(row.mean)
    }
    assert reasons["CIBHash"].startswith("not run here")
    assert reasons["SDC"].startswith("no method of this suite")
    assert reasons["SSDH (reimplementation)"].startswith("mAP@5000 is not recorded here")


def test_other_protocols_share_nothing():
    board = board_of([make_record(dataset="cifar10", protocol="wch", method="wch")])
    assert set(found(board)["protocol"]) == {"wch"}
    assert len(published_frame(board_of([make_record()]))) == 0
    assert "No figure is known" in published_markdown(board_of([make_record()]))
    assert len(published_frame(board_of([]))) == 0


def test_the_ranking_knows_nothing_of_them():
    board = board_of([make_record(method="itq", metrics={"mAP@1000": 0.6}, **SDC)])
    published_frame(board)
    assert set(board.leaderboard["method"]) == {"itq"}


def test_markdown_has_the_lengths_that_were_run_and_numbered_sources():
    names = ("itq", "itq(<b>=1)")
    board = board_of([make_record(method=m, metrics={"mAP@1000": 0.6}, **SDC) for m in names])
    text = published_markdown(board)
    assert "## cifar10 / 1k-5k, mAP@1000" in text
    assert "| 16 | ITQ | PAMI 2013 |" in text
    assert "| 32 |" not in text
    assert "<b>" not in text
    assert "\n1. SDC" in text or "\n1. github.com" in text
