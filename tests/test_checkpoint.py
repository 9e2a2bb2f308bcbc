"""A training that was interrupted ends where an uninterrupted one ends."""

from dataclasses import replace

import pytest
import torch

from benchmarks.contract.stand_ins import told
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import ViewBank
from methods import METHODS, Recipe
from methods.base import HashMethod

TRAINED = [name for name, cls in METHODS.items() if cls.loss is not HashMethod.loss]
CPU = torch.device("cpu")
RECIPE = Recipe(epochs=6, batch_size=16, schedule="cosine", weight_decay=1e-3)


def build(name):
    cls = METHODS[name]
    torch.manual_seed(3)
    tokens = (5,) if cls.consumes == "tokens" else ()
    bank = torch.randn(48, 4, *tokens, 12)
    target = told(cls.supervision, torch.arange(48) % 3, torch.eye(12)[:3])
    data = ViewBank(bank[:, 0], bank.half(), CPU, target)
    return cls(12, 8), data


class Killed(Exception):
    pass


def train(name, recipe, checkpoint=None, die_after=None):
    """Train; with `die_after`, as a process that is killed after so many epochs."""
    method, data = build(name)

    def on_epoch(epoch, epochs, losses):
        if epoch == die_after:
            raise Killed

    trainer = Trainer(recipe, 5, on_epoch, checkpoint=checkpoint)
    if die_after is None:
        method.fit(data, trainer)
    else:
        with pytest.raises(Killed):
            method.fit(data, trainer)
    return method, trainer.history


def same(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_resumed_training_ends_in_the_same_parameters(name, optimizer, tmp_path):
    recipe = replace(RECIPE, optimizer=optimizer)
    whole, history = train(name, recipe)
    checkpoint = Checkpoint(tmp_path / "c.safetensors", "cell", every=0)
    train(name, recipe, checkpoint, die_after=4)
    torch.manual_seed(99)  # another process has other draws behind it
    resumed, resumed_history = train(name, recipe, checkpoint)
    assert same(whole, resumed)
    assert resumed_history == history


def test_a_resumed_training_does_only_what_is_left(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.safetensors", "cell", every=0)
    train("cibhash", RECIPE, checkpoint, die_after=4)
    method, data = build("cibhash")
    told = []
    method.fit(data, Trainer(RECIPE, 5, lambda *t: told.append(t[0]), checkpoint=checkpoint))
    assert told == [5, 6]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"x" * 500),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_checkpoint_starts_the_training_anew(damage, tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.safetensors", "cell", every=0)
    train("cibhash", RECIPE, checkpoint, die_after=4)
    damage(checkpoint.path)
    assert checkpoint.read() is None
    assert same(train("cibhash", RECIPE)[0], train("cibhash", RECIPE, checkpoint)[0])


def test_a_checkpoint_of_another_cell_is_not_resumed(tmp_path):
    train("nsh", RECIPE, Checkpoint(tmp_path / "c.safetensors", "one", every=0), die_after=4)
    assert Checkpoint(tmp_path / "c.safetensors", "other").read() is None


def test_checkpoints_are_as_rare_as_asked(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.safetensors", "cell", every=3600)
    train("cibhash", RECIPE, checkpoint)
    assert not checkpoint.path.exists()


def test_a_disk_that_refuses_costs_the_checkpoint_only(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    checkpoint = Checkpoint(tmp_path / "file" / "c.safetensors", "cell", every=0)
    assert same(train("cibhash", RECIPE)[0], train("cibhash", RECIPE, checkpoint)[0])


def test_clearing_a_checkpoint_that_is_not_there_is_no_error(tmp_path):
    Checkpoint(tmp_path / "c.safetensors", "cell").clear()
