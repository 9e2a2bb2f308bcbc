"""Methods as a library: matrices in place of training sets."""

import numpy as np
import pytest
import torch

from benchmarks.training import Trainer, ViewBank
from methods import METHODS, HashMethod, Recipe
from methods.cibhash import CIBHash
from methods.itq import ITQ
from methods.kl_hash import KLHash
from methods.lsh import LSH
from methods.wch import WCH

N, D, K = 60, 12, 8
RECIPE = Recipe(epochs=3, batch_size=20)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(1, 2, (N, D))


class Plain(HashMethod):
    """Trained, without views: its scores learn the features' mean."""

    paper = "none, http://localhost"
    consumes = "features"

    def __init__(self, in_dim, n_bits):
        super().__init__(in_dim, n_bits)
        self.head = torch.nn.Linear(in_dim, n_bits)

    def project(self, x):
        return self.head(x)

    def loss(self, batch):
        self.require_views(batch)
        return {"mean": self.head(batch.views[0]).mean(0).square().sum()}


class Tokens(LSH):
    consumes = "tokens"


class Captions(Plain):
    supervision = "captions"


def made(cls):
    torch.manual_seed(0)
    return cls(D, K)


@pytest.mark.parametrize("cls", [LSH, ITQ])
def test_a_closed_form_learns_from_a_matrix_as_from_a_training_set(cls, x):
    expected = made(cls).fit(ViewBank(torch.tensor(x), None), None).encode(torch.tensor(x))
    for matrix in (x, x.astype(np.float32), torch.tensor(x), np.asfortranarray(x)):
        method = made(cls).fit(matrix)
        assert torch.equal(method.encode(x), expected)
        assert torch.equal(method.fit(matrix).encode(matrix), expected)


def test_a_trained_method_learns_from_a_matrix_as_from_a_training_set(x):
    one, other = made(Plain), made(Plain)
    trainers = Trainer(RECIPE, 0), Trainer(RECIPE, 0)
    one.fit(x, trainers[0])
    other.fit(ViewBank(torch.tensor(x), None), trainers[1])
    assert trainers[0].history == trainers[1].history
    assert trainers[0].history[-1]["mean"] < trainers[0].history[0]["mean"]
    assert torch.equal(one.head.weight, other.head.weight)


def test_views_made_by_hand_train_a_method(x):
    rows = torch.tensor(x).float()
    views = rows[:, None] + 0.1 * torch.randn(N, 3, D, generator=torch.Generator().manual_seed(0))
    trainer = Trainer(RECIPE, 0)
    method = made(CIBHash).fit(ViewBank(rows, views), trainer)
    assert method.encode(x).shape == (N, K)
    assert trainer.history[-1]["contrastive"] < trainer.history[0]["contrastive"]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_a_matrix_or_says_in_one_line_what_it_needs(name, x):
    method = made(METHODS[name])
    trainer = Trainer(RECIPE, 0)
    if method.n_views == 1 and method.supervision == "none":
        assert method.fit(x, trainer) is method
        return
    before = [p.clone() for p in method.parameters()]
    with pytest.raises((ValueError, TypeError)) as caught:
        method.fit(x, trainer)
    assert str(caught.value).startswith(f"{type(method).__name__}.fit: ")
    assert "\n" not in str(caught.value)
    assert all(map(torch.equal, method.parameters(), before))


@pytest.mark.parametrize(
    ("cls", "shape", "message"),
    [
        (ITQ, (N,), r"ITQ\.fit: expected features of shape \(N, D\) with D = 12, got \(60,\)"),
        (ITQ, (N, 5), r"with D = 12, got \(60, 5\)"),
        (ITQ, (0, D), r"got \(0, 12\)"),
        (LSH, (N, 3, D), r"LSH\.fit: expected features of shape \(N, D\) .* got \(60, 3, 12\)"),
        (Tokens, (N, D), r"expected tokens of shape \(N, T, D\) with D = 12, got \(60, 12\)"),
        (WCH, (N, D), r"WCH\.fit: expected tokens of shape"),
        (KLHash, (N, D), r"it learns from 2 views of each image, and got inputs alone; give "),
        (Captions, (N, D), r"it learns from captions, and got inputs alone"),
        (Plain, (N, D), r"Plain\.fit: it is trained, so it needs a trainer; give "),
    ],
)
def test_what_a_matrix_cannot_give_is_said(cls, shape, message):
    with pytest.raises((ValueError, TypeError), match=message):
        made(cls).fit(np.ones(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_no_numbers_are_refused_with_their_row(x, value):
    x[7, 3] = x[9, 0] = value
    with pytest.raises(ValueError, match=r"ITQ\.fit: inputs must be finite, 2 rows are not, .* 7"):
        made(ITQ).fit(x)


def test_lists_are_refused(x):
    with pytest.raises(TypeError, match=r"LSH\.fit: expected an array or tensor, got a list"):
        made(LSH).fit(x.tolist())


def test_tokens_are_taken_by_a_method_that_consumes_them():
    tokens = np.random.default_rng(0).normal(size=(N, 3, D))
    assert made(Tokens).training_set(tokens).mean().shape == (D,)


def test_a_read_only_array_is_encoded_as_its_tensor(x):
    method = made(LSH).fit(x)
    x.flags.writeable = False
    assert torch.equal(method.encode(x), method.encode(torch.tensor(x)))
    with pytest.raises(ValueError, match=r"LSH\.encode: .* D = 12, got \(60, 11\)"):
        method.encode(x[:, 1:])
