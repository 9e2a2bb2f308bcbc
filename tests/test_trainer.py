import copy
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.trainer import Trainer, TrainingError
from methods import METHODS, HashMethod, Recipe

RECIPE = Recipe(epochs=3, batch_size=4)


class Recorder:
    """A training set that notes which rows were asked for."""

    def __init__(self, n):
        self.features = torch.randn(n, 5, generator=torch.Generator().manual_seed(0))
        self.asked = []

    def __len__(self):
        return len(self.features)

    def generator(self, seed):
        return torch.Generator().manual_seed(seed)

    def draw(self, n, n_views, generator):
        return torch.zeros(n, n_views)

    def views(self, index, drawn):
        self.asked.extend(index)
        return self.features[index][:, None].expand(-1, drawn.shape[-1], -1, -1)

    def parameters(self):
        return iter(())


class Probe(HashMethod):
    """Its loss is the mean score, so gradient descent lowers it without end."""

    paper = "none, http://localhost"
    n_views = 2

    def __init__(self, in_dim=5, n_bits=3):
        super().__init__(in_dim, n_bits)
        self.head = nn.Linear(in_dim, n_bits)
        self.progress = []

    def project(self, x):
        return self.head(x)

    def loss(self, batch):
        self.progress.append(float(batch.progress))
        assert self.training
        assert batch.views.shape[:2] == (2, len(batch.index))
        return {"score": self.project(batch.views).mean(), "zero": 0 * self.head.bias.sum()}


@pytest.mark.parametrize(("n", "steps", "size"), [(8, 2, 4), (11, 2, 4), (3, 1, 3), (1, 1, 1)])
def test_every_step_is_a_full_batch_without_repetition(n, steps, size):
    data = Recorder(n)
    Trainer(RECIPE, seed=0).train(Probe(), data)
    assert [len(index) for index in data.asked] == [size] * steps * 3
    for epoch in range(3):
        rows = torch.cat(data.asked[epoch * steps : (epoch + 1) * steps])
        assert len(rows.unique()) == len(rows)


def test_each_epoch_has_an_order_of_its_own_and_equal_seeds_have_equal_orders():
    def orders(seed):
        data = Recorder(64)
        Trainer(RECIPE, seed).train(Probe(), data)
        return torch.cat(data.asked).view(3, 64)

    assert torch.equal(orders(1), orders(1))
    assert not torch.equal(orders(1), orders(2))
    assert not torch.equal(orders(1)[0], orders(1)[1])


def test_progress_runs_from_zero_toward_one():
    method = Probe()
    Trainer(RECIPE, seed=0).train(method, Recorder(8))
    assert method.progress == pytest.approx([i / 6 for i in range(6)])


def test_matrices_are_multiplied_as_the_trainer_says_and_afterwards_as_before():
    seen = []

    class Looking(Probe):
        def loss(self, batch):
            seen.append(torch.get_float32_matmul_precision())
            if len(seen) == 3:
                raise RuntimeError("stop")
            return super().loss(batch)

    with pytest.raises(RuntimeError, match="stop"):
        Trainer(RECIPE, 0, matmul="medium").train(Looking(), Recorder(8))
    assert torch.get_float32_matmul_precision() == "highest"
    Trainer(RECIPE, 0).train(Looking(), Recorder(8))
    assert set(seen[:3]) == {"medium"}
    assert set(seen[3:]) == {"highest"}


def test_history_and_callback_hold_the_mean_of_each_term():
    told = []
    trainer = Trainer(RECIPE, 0, lambda *epoch: told.append(epoch))
    trainer.train(Probe(), Recorder(8))
    assert told == [(e + 1, 3, losses) for e, losses in enumerate(trainer.history)]
    assert [set(losses) for losses in trainer.history] == [{"score", "zero"}] * 3
    assert trainer.history[2]["score"] < trainer.history[0]["score"]
    assert trainer.history[0]["zero"] == 0


def test_history_holds_each_term_under_its_name():
    class Known(Probe):
        def loss(self, batch):
            nothing = 0 * self.head.bias.sum()
            return {"step": nothing + batch.progress, "two": nothing + 2}

    trainer = Trainer(replace(RECIPE, epochs=2), seed=0)
    trainer.train(Known(), Recorder(8))  # progress 0, 1/4, 1/2, 3/4
    assert trainer.history == [{"step": 0.125, "two": 2.0}, {"step": 0.625, "two": 2.0}]


def test_epochs_follow_the_code_length():
    trainer = Trainer(replace(RECIPE, epochs_at={3: 5}), 0)
    trainer.train(Probe(n_bits=3), Recorder(8))
    assert len(trainer.history) == 5


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_moments_of_units_that_died_do_not_become_denormal(optimizer, tmp_path):
    """They halve every seven steps; a CPU takes several times as long for denormal numbers."""

    class Dies(Probe):
        def loss(self, batch):
            alive = (batch.progress < 0.1).float()
            return {"score": self.project(batch.views).mean() + alive * self.head.bias.sum()}

        def project(self, x):
            return x @ self.head.weight.T

    checkpoint = Checkpoint(tmp_path / "kept", "digest", 0.0)
    recipe = replace(RECIPE, epochs=100, optimizer=optimizer)
    Trainer(recipe, 0, checkpoint=checkpoint).train(Dies(), Recorder(40))
    tensors, history = checkpoint.read()
    assert len(history) == 100  # a thousand steps
    moments = [v for name, v in tensors.items() if name.startswith("optimizer") and v.ndim]
    assert moments
    for moment in moments:
        assert ((moment == 0) | (moment.abs() > torch.finfo(torch.float32).tiny)).all()
    assert any((moment == 0).all() for moment in moments)
    assert any((moment != 0).all() for moment in moments)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_method_is_left_in_evaluation_mode_and_changed(optimizer):
    method = Probe()
    before = method.head.weight.clone()
    Trainer(replace(RECIPE, optimizer=optimizer), 0).train(method, Recorder(8))
    assert not method.training
    assert not torch.equal(method.head.weight, before)


def test_non_finite_loss_names_method_term_and_epoch():
    """The term that was the first to fail: it ruins the parameters, and they all other terms."""

    class Diverges(Probe):
        def loss(self, batch):
            terms = super().loss(batch)
            return terms | {"bad": terms["score"] / (0.0 if batch.progress > 0.3 else 1.0)}

    with pytest.raises(TrainingError, match=r"Diverges: loss term 'bad' .* in epoch 2"):
        Trainer(RECIPE, 0).train(Diverges(), Recorder(8))


def test_non_finite_parameter_is_named_though_the_loss_was_finite():
    class Explodes(Probe):
        def loss(self, batch):
            return {"root": (self.head.bias * 0).sqrt().sum() + self.head.weight.sum()}

    with pytest.raises(TrainingError, match=r"Explodes: parameter 'head.bias' is not finite"):
        Trainer(replace(RECIPE, epochs=1, batch_size=8), 0).train(Explodes(), Recorder(8))


def test_non_finite_parameter_of_the_backbone_is_named_too():
    class WithBackbone(Recorder):
        weight = nn.Parameter(torch.zeros(()))

        def parameters(self):
            return iter([self.weight])

        def views(self, index, drawn):
            return super().views(index, drawn) + 0 * self.weight.sqrt()

    with pytest.raises(TrainingError, match="parameter 'of the backbone' is not finite"):
        Trainer(replace(RECIPE, epochs=1, batch_size=8), 0).train(Probe(), WithBackbone(8))


class Remembers(Probe):
    """Keeps what it has seen, where its loss can find it."""

    def __init__(self, in_dim=5, n_bits=3, *, start=0.0):
        super().__init__(in_dim, n_bits)
        self.register_buffer("steps", torch.full((1,), start))
        self.seen = []

    def loss(self, batch):
        self.steps += 1
        self.seen.append(batch.index)
        return super().loss(batch)


def test_a_second_fit_ends_where_the_first_ended():
    torch.manual_seed(3)
    method, data = Remembers(n_bits=4, start=2.0), Recorder(8)
    first = copy.deepcopy(method.fit(data, Trainer(RECIPE, 0)))
    torch.manual_seed(9)  # whatever was drawn since
    drawn = torch.rand(3)
    torch.manual_seed(9)
    assert method.fit(data, Trainer(RECIPE, 0)) is method
    assert torch.equal(torch.rand(3), drawn)  # nothing is taken from the generator of others
    assert all(map(torch.equal, method.state(), first.state()))
    assert method.steps == 2 + 6
    assert len(method.seen) == 6


def test_a_fit_after_one_that_failed_starts_anew():
    torch.manual_seed(3)
    method, data = Remembers(), Recorder(8)

    def stop(epoch, epochs, losses):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.fit(data, Trainer(RECIPE, 0, stop))
    torch.manual_seed(3)
    fresh = Remembers().fit(data, Trainer(RECIPE, 0))
    assert all(map(torch.equal, method.fit(data, Trainer(RECIPE, 0)).state(), fresh.state()))


def test_a_method_that_was_pickled_starts_anew_too():
    method, data = METHODS["cibhash"](5, 3, hidden=4), Recorder(8)
    method.fit(data, Trainer(RECIPE, 0))
    again = pickle.loads(pickle.dumps(method)).fit(data, Trainer(RECIPE, 0))
    assert all(map(torch.equal, again.state(), method.state()))


def test_weights_that_were_loaded_are_where_a_first_fit_starts():
    torch.manual_seed(3)
    one, other, data = Probe(), Probe(), Recorder(8)
    other.load_state_dict(one.state_dict())
    for method in (one, other):
        method.fit(data, Trainer(RECIPE, 0))
    assert torch.equal(one.head.weight, other.head.weight)


def test_method_without_parameters_is_refused():
    class Empty(Probe):
        def __init__(self):
            super().__init__()
            self.head.requires_grad_(False)

    with pytest.raises(TrainingError, match="needs parameters"):
        Trainer(RECIPE, 0).train(Empty(), Recorder(8))
