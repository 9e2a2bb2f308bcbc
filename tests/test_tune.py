"""The tuning command on small data: equal trials, on training images, kept and gone on from."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("optuna")

from benchmarks import tune
from benchmarks.tuning import run_tuning
from datasets import load
from methods import METHODS
from results.store.store import ResultStore

STEM = "synthetic-tiny-pixels"

FAILS = """
import torch
from methods.itq import ITQ
from methods.lsh import LSH
from methods.space import Range, search_space


class Fails(LSH):
    paper = "Me, https://example.org"
    space = search_space(a=Range(0.0, 1.0, "mine", log=False))

    def __init__(self, in_dim, n_bits, *, a: float = 0.1):
        super().__init__(in_dim, n_bits)
        self.a = a

    def fit(self, data, trainer=None):
        if self.a > 0.5:
            raise RuntimeError("it diverged")
        return super().fit(data, trainer)


class TooFar(ITQ):
    paper = "Me, https://example.org"
    space = search_space(n_iter=Range(-5, 60, "mine", log=False))
"""


def call(folder, *arguments, methods=("lsh", "isohash", "knnh")):
    where = ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--datasets", "synthetic"]
    return tune.main([*where, "--bits", "8", "--methods", *methods, *arguments])


def trials(folder):
    return pd.read_csv(folder / "out/tuning" / f"{STEM}.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    assert call(folder, "--trials", "6") == 0
    return folder


def test_each_method_gets_as_many_trials_and_one_where_nothing_is_open(tuned):
    counts = trials(tuned)["method"].value_counts()
    assert counts.to_dict() == {"lsh": 1, "isohash": 6, "knnh": 6}


def test_the_first_trial_has_the_method_s_own_settings(tuned):
    first = trials(tuned).query("trial == 0").set_index("method")["settings"].map(json.loads)
    own = {"lsh": {}, "isohash": {"algorithm": "lift_and_projection"}, "knnh": {"k": 20}}
    assert first.to_dict() == own


def test_settings_lie_in_the_space(tuned):
    for row in trials(tuned).itertuples():
        for name, value in json.loads(row.settings).items():
            assert value in METHODS[row.method].space[name]


def test_a_trial_is_a_cell_under_the_protocol_for_tuning(tuned):
    store, train = ResultStore(tuned / "out/tuning"), set(load("synthetic").train.tolist())
    for row in trials(tuned).itertuples():
        record = store.read(store.runs / row.record)
        assert (record.protocol, record.bits, record.seed) == ("tiny+tune", 8, 0)
        assert record.metrics[record.metric] == float(row.score)
        assert record.metrics["views.agreement"] == float(row.agreement)
        arrays = store.arrays(store.runs / row.record)
        assert train.issuperset(arrays["query_rows"])
        assert train.issuperset(arrays["database_rows"])


def test_the_best_of_each_method_is_written(tuned):
    from benchmarks.grid.presets.tuned_settings import read_tuned
    from results.store.run_key import Table

    path = tuned / f"out/tuning/{STEM}.toml"
    found = read_tuned(str(path), Table("synthetic", "tiny", "pixels"))
    rows = trials(tuned)
    assert (found.bits, found.trials, list(found.methods)) == (8, 6, ["isohash", "knnh"])
    for name, values in found.methods.items():
        of_method = rows[rows["method"] == name].reset_index()
        best = of_method["score"].astype(float).idxmax()
        assert json.loads(of_method.loc[best, "settings"]) == values
    assert load("synthetic+tune").digest in path.read_text()


def test_nothing_but_records_and_what_is_shown_is_written(tuned):
    kinds = {path.suffix for path in (tuned / "out").rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".csv", ".svg", ".toml"}


def test_the_same_call_runs_nothing_again(tuned, monkeypatch):
    before = trials(tuned)
    monkeypatch.setattr(run_tuning, "run_all", lambda *given: pytest.fail("a cell ran again"))
    assert call(tuned, "--trials", "6") == 0
    pd.testing.assert_frame_equal(trials(tuned), before)


def test_more_trials_go_on_behind_those_that_are_there(tuned, tmp_path):
    assert call(tmp_path, "--trials", "4") == 0
    fewer = trials(tmp_path)
    assert call(tmp_path, "--trials", "6") == 0
    whole = trials(tuned)
    pd.testing.assert_frame_equal(trials(tmp_path), whole)
    kept = whole[whole["trial"] < 4].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer, kept)


def test_a_method_is_tried_alike_whichever_others_are_beside_it(tuned, tmp_path):
    assert call(tmp_path, "--trials", "6", methods=["knnh"]) == 0
    whole = trials(tuned)
    of_knnh = whole[whole["method"] == "knnh"].reset_index(drop=True)
    pd.testing.assert_frame_equal(trials(tmp_path), of_knnh)


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FAILS)
    return path


def test_a_trial_that_fails_counts_and_keeps_its_reason(tmp_path, mine, monkeypatch, capsys):
    methods = [f"{mine}:Fails"]
    assert call(tmp_path, "--trials", "8", methods=methods) == 1
    found = trials(tmp_path)
    failed = found[found["reason"] != ""]
    values = found["settings"].map(json.loads).map(lambda values: values["a"])
    assert len(found) == 8
    assert 0 < len(failed) < 8
    assert (values > 0.5).equals(found["reason"] != "")
    assert failed["reason"].str.startswith("RuntimeError: it diverged").all()
    assert (failed["score"] == "").all()
    ran = []
    monkeypatch.setattr(run_tuning, "run_all", lambda *given: ran.append(given))
    assert call(tmp_path, "--trials", "8", methods=methods) == 1
    assert not ran
    pd.testing.assert_frame_equal(trials(tmp_path), found)


def test_a_space_beyond_the_constructor_s_limits_is_refused_before_a_trial(tmp_path, mine, capsys):
    assert call(tmp_path, methods=["lsh", f"{mine}:TooFar"]) == 2
    error = capsys.readouterr().err
    assert "error: --methods too_far: space reaches {'n_iter': -5}: " in error
    assert "n_iter must be at least 0, got -5" in error
    assert not list((tmp_path / "out").rglob("*.json"))


@pytest.mark.parametrize("flag", ["--seeds", "--recipe=common", "--finetune", "--epochs"])
def test_flags_that_tuning_has_to_say_itself_are_refused(tmp_path, flag, capsys):
    with pytest.raises(SystemExit) as left:
        call(tmp_path, flag)
    assert left.value.code == 2
    assert f"{flag.partition('=')[0]} is of benchmarks.run alone" in capsys.readouterr().err


def test_no_trials_are_refused(tmp_path, capsys):
    assert call(tmp_path, "--trials", "0") == 2
    assert "--trials" in capsys.readouterr().err


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in ("search", "report", "run_tuning"):
        monkeypatch.delitem(sys.modules, f"benchmarks.tuning.{name}", raising=False)
    assert call(tmp_path) == 2
    assert "pip install 'hashbench[tune]'" in capsys.readouterr().err


def test_neighbours_of_a_query_can_be_what_is_tuned_for(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", features=x)
    where = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache"]
    data = ["--datasets", f"features:{tmp_path / 'x.npz'}", "--relevance", "knn:3"]
    assert tune.main([*where, *data, "--methods", "knnh", "--bits", "4", "--trials", "2"]) == 0
    (path,) = (tmp_path / "out/tuning").glob("*.toml")
    assert 'protocol = "8q-72t+knn3-l2"' in path.read_text()
    assert torch.tensor(pd.read_csv(path.with_suffix(".csv"))["score"]).isfinite().all()
