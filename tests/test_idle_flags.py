"""No flag is passed over in silence."""

import numpy as np
import pytest

from benchmarks import run


@pytest.fixture
def features(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", features=rng.random((60, 8)), labels=np.arange(60) % 3)
    return f"features:{tmp_path}/mine.npz"


def plan(tmp_path, capsys, *flags):
    folders = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache"]
    assert run.main([*flags, "--bits", "8", "--seeds", "1", "--dry-run", *folders]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped")]


@pytest.mark.parametrize(
    "flags", [["--epochs", "3"], ["--recipe", "common"], ["--views", "fresh"], ["--matmul", "high"]]
)
def test_a_flag_of_trainings_is_said_to_do_nothing_for_closed_forms(tmp_path, capsys, flags):
    methods = ["--methods", "lsh", "cibhash", "itq", "--datasets", "synthetic"]
    said = f"skipped: {flags[0]} for lsh, itq: closed forms train without it"
    assert plan(tmp_path, capsys, *methods, *flags) == [said]


def test_fine_tuning_a_closed_form_is_said(tmp_path, capsys):
    flags = ["--methods", "lsh", "--datasets", "synthetic", "--finetune"]
    flags += ["--backbone", "efficientnet_lite0", "--input-size", "32"]
    said = "skipped: --finetune for lsh: closed forms train without it"
    assert plan(tmp_path, capsys, *flags) == [said]


def test_a_backbone_for_given_features_is_said(tmp_path, capsys, features):
    flags = ["--methods", "lsh", "--datasets", features, "--backbone", "pixels"]
    (said,) = plan(tmp_path, capsys, *flags, "--input-size", "32")[:1]
    assert said.startswith("skipped: --backbone for features-mine")
    assert said.endswith(": its features are given")
    said = plan(tmp_path, capsys, *flags[:4], "--resize", "crop")
    assert [line.split(" for ")[0] for line in said] == ["skipped: --resize"]


def test_an_encoder_that_nothing_reads_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.grid.planning.check_encoder", lambda name: name)
    flags = ["--methods", "lsh", "--datasets", "synthetic", "--text-encoder", "st:m"]
    said = "skipped: --text-encoder: no method here learns from captions"
    assert plan(tmp_path, capsys, *flags) == [said]


def test_flags_that_all_take_are_not_mentioned(tmp_path, capsys):
    flags = ["--methods", "cibhash", "--datasets", "synthetic", "--epochs", "3", "--matmul", "high"]
    assert plan(tmp_path, capsys, *flags) == []
