"""Seeds that train together: each ends where it would end alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.contract.stand_ins import told
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.stacked_seeds import StackedSeeds
from benchmarks.training.trainer import Trainer, TrainingError, _Training, train_together
from benchmarks.training.training_sets import ViewBank
from methods import METHODS, HashMethod, Recipe
from tests.batches import batch_of
from tests.test_checkpoint import TRAINED

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=4, batch_size=16, schedule="cosine", weight_decay=1e-3)
SEEDS = (3, 7, 8)


def data_of(name, device=CPU, kind=ViewBank):
    cls = METHODS[name]
    tokens = (5,) if cls.consumes == "tokens" else ()
    bank = torch.randn(48, 4, *tokens, 12, generator=torch.Generator().manual_seed(0))
    target = told(cls.supervision, torch.arange(48) % 3, torch.eye(12)[:3])
    return kind(bank[:, 0], bank.half(), device, target)


def started(name, seed, data, **params):
    torch.manual_seed(seed)
    method = METHODS[name](12, 8, **params)
    method.prepare(data)
    return method


def together(name, seeds=SEEDS, recipe=RECIPE, folder=None, on_epoch=None, **params):
    """Train seeds as a stack, or a single one alone."""
    data = data_of(name)
    methods = [started(name, seed, data, **params) for seed in seeds]
    trainers = [Trainer(recipe, seed) for seed in seeds]
    for seed, trainer in zip(seeds, trainers, strict=True):
        if folder is not None:
            trainer.checkpoint = Checkpoint(folder / f"{seed}.safetensors", "cell", every=0)
        if on_epoch is not None:
            trainer.on_epoch = on_epoch
    train_together(trainers, methods, data)
    return methods, [trainer.history for trainer in trainers]


def assert_same(one, other):
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("name", TRAINED)
def test_each_seed_ends_as_it_would_alone(name, optimizer):
    recipe = replace(RECIPE, optimizer=optimizer)
    stacked, histories = together(name, recipe=recipe)
    for seed, method, history in zip(SEEDS, stacked, histories, strict=True):
        ((alone,), (own,)) = together(name, [seed], recipe)
        assert_same(method, alone)
        for epoch, losses in zip(history, own, strict=True):
            assert epoch == pytest.approx(losses, rel=1e-3, abs=1e-4)
    one, other = (next(method.head.parameters()) for method in stacked[:2])
    assert not torch.equal(one, other)
    assert not any(method.training for method in stacked)


@pytest.mark.parametrize(
    ("name", "params"), [("cibhash", {"dropout": 0.5}), ("kl_hash_hierarchy", {"lambda_cls": 1.0})]
)
def test_so_do_options_that_draw_or_that_add_parameters(name, params):
    stacked, _ = together(name, **params)
    for seed, method in zip(SEEDS, stacked, strict=True):
        ((alone,), _) = together(name, [seed], **params)
        assert_same(method, alone)


def test_a_stacked_loss_is_a_row_of_the_losses_alone():
    data = data_of("nsh")
    methods = [started("nsh", seed, data) for seed in SEEDS]
    views = torch.randn(3, 2, 6, 12)
    one = batch_of(methods[0], views[0])
    terms = StackedSeeds(methods).loss(replace(one, views=views, index=one.index.expand(3, -1)))
    for i, method in enumerate(methods):
        for name, value in method.loss(batch_of(method, views[i])).items():
            torch.testing.assert_close(terms[name][i], value)


class Killed(Exception):
    pass


def die_after(epoch):
    def on_epoch(done, epochs, losses):
        if done == epoch:
            raise Killed

    return on_epoch


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_stack_goes_on_from_the_checkpoints_of_its_members(optimizer, tmp_path):
    recipe = replace(RECIPE, optimizer=optimizer)
    whole, histories = together("kl_hash", recipe=recipe)
    with pytest.raises(Killed):
        together("kl_hash", recipe=recipe, folder=tmp_path, on_epoch=die_after(2))
    told = []
    resumed, resumed_histories = together(
        "kl_hash", recipe=recipe, folder=tmp_path, on_epoch=lambda *epoch: told.append(epoch[0])
    )
    assert told == [3, 4]
    assert resumed_histories == histories
    for one, other in zip(whole, resumed, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_checkpoints_pass_between_stacks_and_single_trainings(tmp_path):
    """Whatever is left of a stack goes on, whether together or not."""
    whole, histories = together("cibhash")
    with pytest.raises(Killed):
        together("cibhash", folder=tmp_path, on_epoch=die_after(1))
    with pytest.raises(Killed):
        together("cibhash", SEEDS[:1], folder=tmp_path, on_epoch=die_after(3))
    resumed, resumed_histories = together("cibhash", folder=tmp_path)
    for one, other, history, resumed_history in zip(
        whole, resumed, histories, resumed_histories, strict=True
    ):
        assert_same(one, other)
        assert len(history) == len(resumed_history) == 4


def test_epochs_are_told_with_the_mean_over_seeds():
    told = []
    _, histories = together("nsh", on_epoch=lambda *epoch: told.append(epoch))
    assert [epoch for epoch, _, _ in told] == [1, 2, 3, 4]
    for epoch, _, losses in told:
        for name, value in losses.items():
            own = [history[epoch - 1][name] for history in histories]
            assert value == pytest.approx(sum(own) / 3)


class Diverges(HashMethod):
    """Its loss is finite but for weights that begin above a bound."""

    paper = "none, http://localhost"
    stacks = True

    def __init__(self, in_dim, n_bits):
        super().__init__(in_dim, n_bits)
        self.head = nn.Linear(in_dim, n_bits)

    def project(self, x):
        return self.head(x)

    def loss(self, batch):
        terms = {"good": self.project(batch.views[0]).mean()}
        return terms | {"bad": terms["good"] / (self.head.bias[0] < 5)}


def test_a_term_that_is_not_finite_for_one_seed_is_named():
    data = data_of("cibhash")
    methods = [Diverges(12, 8) for _ in range(2)]
    nn.init.constant_(methods[1].head.bias, 9.0)
    trainers = [Trainer(RECIPE, seed) for seed in range(2)]
    with pytest.raises(TrainingError, match=r"Diverges: loss term 'bad' .* in epoch 1"):
        train_together(trainers, methods, data)


@pytest.mark.gpu
@pytest.mark.parametrize("seeds", [SEEDS, SEEDS[:1]])
@pytest.mark.parametrize("name", TRAINED)
def test_no_step_waits_for_the_device(name, seeds, monkeypatch):
    """Between the draws for some steps and the end of the epoch nothing is read back."""
    cuda = torch.device("cuda")
    data = data_of(name, cuda)
    methods = []
    for seed in seeds:
        torch.manual_seed(seed)
        methods.append(METHODS[name](12, 8).to(cuda))
        methods[-1].prepare(data)
    draw, end = _Training._draw, _Training._end_epoch

    def strict(self, n):
        torch.cuda.set_sync_debug_mode("default")
        drawn = draw(self, n)
        torch.cuda.set_sync_debug_mode("error")
        return drawn

    def relaxed(self):
        torch.cuda.set_sync_debug_mode("default")
        end(self)

    monkeypatch.setattr(_Training, "_draw", strict)
    monkeypatch.setattr(_Training, "_end_epoch", relaxed)
    train_together([Trainer(RECIPE, seed) for seed in seeds], methods, data)


@pytest.mark.gpu
@pytest.mark.parametrize("name", TRAINED)
def test_a_captured_stack_ends_as_on_the_cpu(name):
    """The same draws, moved: generators of the CPU and of CUDA draw different numbers."""
    cuda = torch.device("cuda")

    class SameDraws(ViewBank):
        def generator(self, seed):
            return torch.Generator().manual_seed(seed)

        def draw(self, n, n_views, generator):
            return (
                torch.rand(n, 4, generator=generator)
                .argsort(1)[:, :n_views]
                .to(self.features.device)
            )

    def train(device):
        data = data_of(name, device, SameDraws)
        methods = []
        for seed in SEEDS:
            torch.manual_seed(seed)
            method = METHODS[name](12, 8, **({"lambda_kl": 0.0} if "kl" in name else {}))
            methods.append(method.to(device))
            method.prepare(data)
        train_together([Trainer(RECIPE, seed) for seed in SEEDS], methods, data)
        return methods

    for one, other in zip(train(CPU), train(cuda), strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b.cpu(), atol=1e-3, rtol=1e-2)
