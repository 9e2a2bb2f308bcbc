"""The scripts that measure: what they run is what they say, and their sums are right."""

import argparse
import shlex
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch

from benchmarks import run
from benchmarks.features.backbones import backbone
from benchmarks.grid.method_settings import method_spec
from benchmarks.perf import closed_forms, gpu
from benchmarks.perf.exactness import OnceBank
from benchmarks.perf.many_records import fill
from benchmarks.perf.steps import N_TRAIN, Setting, encoding, field_image, field_step, our_step
from benchmarks.perf.training import Way
from benchmarks.training.trainer import Trainer, train_together
from methods import METHODS, Recipe
from results.store import ResultStore
from results.store.planned_grid import standings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torchvision's own imports


def test_a_bank_of_which_each_view_is_used_once_hands_out_all_of_them():
    n, v = 12, 6
    bank = torch.arange(n * v).view(n, v, 1).expand(-1, -1, 5).half()
    training, seen = OnceBank(bank[:, 0], bank, 2), []

    class Looks(METHODS["cibhash"]):
        stacks = False

        def loss(self, batch):
            seen.append(batch.views[..., 0])
            assert torch.equal(batch.views[..., 0].long() // v, batch.index.expand(2, -1))
            return super().loss(batch)

    recipe = Recipe(epochs=3, batch_size=4)
    train_together([Trainer(recipe, 0)], [Looks(5, 8)], training)
    assert sorted(torch.cat(seen, 1).flatten().tolist()) == list(range(n * v))


def test_a_way_costs_its_steps_codes_and_what_every_cell_repeats():
    epochs = method_spec("cibhash").recipe.epochs_for(32)
    steps = epochs * (N_TRAIN // 64)
    way = Way("w", {"cibhash": 2.0}, lambda *methods: 0.0, {"cibhash": 3.0, "lsh": 1.0}, each=10.0)
    assert way.seconds("cibhash", 32, 5) == 5 * (2 * steps + 3 + 10)
    assert replace(way, together=True).seconds("cibhash", 32, 5) == 2 * steps + 5 * (3 + 10)
    assert way.seconds("lsh", 32, 2) == 2 * (1 + 10)


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_every_way_can_be_timed():
    at = Setting(backbone("pixels", 8), torch.device("cpu"), steps=1, seeds=2, workers=0)
    for name in ("cibhash", "wch"):
        spec = method_spec(name)
        assert our_step(at, spec) > 0
        assert our_step(at, spec, fresh=True) > 0
        assert our_step(at, spec, stack=2) > 0
        assert encoding(at, spec) > 0
        assert field_step(at, spec) > 0
    assert field_image(at) > 0


def test_the_large_folder_holds_whole_records_of_a_finished_grid(tmp_path):
    store = ResultStore(tmp_path)
    fill(store, 30)
    scan = store.scan()
    assert (len(scan.records), scan.skipped) == (30, [])
    assert [standing.state for standing in standings(store, scan)] == ["done"] * 30
    assert all(store.has(record) for record in scan.records)


def test_the_features_of_closed_forms_are_as_long_as_asked_and_like_those_of_a_network():
    X = closed_forms.features(1500, 24)
    assert X.shape == (1500, 24)
    assert float(X.min()) == 0
    assert torch.equal(X[:1024], closed_forms.features(1024, 24))


def test_the_cost_of_a_closed_form_counts_what_it_keeps_and_not_its_features():
    class Keeps(METHODS["lsh"]):
        def fit(self, data, trainer=None):
            torch.ones(64 * 2**20).sum()  # 256 MiB
            return super().fit(data)

    spec = replace(method_spec("lsh"), cls=Keeps)
    cost = closed_forms.cost(spec, rows=500, dim=8, bits=8)
    assert 250 < cost.memory < 350
    assert cost.fit > 0
    assert cost.encode > 0


def test_each_closed_form_has_a_row_by_its_settings(capsys):
    arguments = ["--rows", "300", "--dim", "12", "--bits", "8", "--methods", "pcah", "cbe"]
    assert closed_forms.main([*arguments, "--set", "cbe.optimise=true"]) == 0
    rows = capsys.readouterr().out.splitlines()[4:]
    assert [row.split(" | ")[0] for row in rows] == ["| pcah", "| cbe(optimise)"]


def test_a_failed_step_on_a_gpu_stops_no_other(tmp_path):
    steps = [
        gpu.Step("Good", "platform", "", 60),
        gpu.Step("Bad", "no_such_module", "", 60),
        gpu.Step("Slow", "http.server", "--bind 127.0.0.1 0", 1),
        gpu.Step("Good again", "platform", "", 60),
    ]
    done = list(gpu.outcomes(steps))
    assert [one.verdict for one in done] == [
        *("ok", "failed: exit code 1", "failed: not done within 1 s", "ok")
    ]
    page = gpu.page(done)
    assert "| Bad | failed: exit code 1 |" in page
    assert "No module named no_such_module" in page
    assert page.index("## Good") < page.index("## Bad") < page.index("## Slow")


def test_steps_on_a_gpu_end_within_the_time_of_all():
    (late,) = gpu.outcomes([gpu.Step("Late", "platform", "", 60)], limit=0)
    assert late.verdict == "not run: the 0 s of all steps are spent"


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would run for minutes")
def test_without_a_gpu_it_says_what_it_would_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gpu.main([]) == 0
    told = capsys.readouterr().out
    assert all(step.call in told for step in gpu.STEPS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", gpu.STEPS, ids=lambda step: step.title)
def test_what_runs_on_a_gpu_has_good_arguments(step, monkeypatch, tmp_path, capsys):
    arguments = shlex.split(step.arguments.replace("cuda", "cpu"))
    if step.module == "benchmarks.run":
        plan = [*arguments, "--dry-run", "--out", str(tmp_path), "--cache", str(tmp_path)]
        assert run.main(plan) == 0
    elif step.module != "pytest":
        real = argparse.ArgumentParser.parse_args

        def parse(parser, *given):
            real(parser, *given)
            raise KeyboardInterrupt

        monkeypatch.setattr(sys, "argv", [step.module, *arguments])
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
        with pytest.raises(KeyboardInterrupt):
            import_module(step.module).main()
