"""One contract for every method: a class in METHODS is tested before its author writes a test."""

import pickle

import pytest
import torch

from benchmarks.contract import ON_CUDA, checks_of
from benchmarks.contract.stand_ins import blobs, fitted
from methods import METHODS, HashMethod
from tests.batches import batch_of

EXCUSED = {
    "images_alike_get_codes_alike-pcah": "all axes weigh alike, and most hold noise",
}
"""Checks that a method cannot pass, being what it is, and why."""


def case(name, cls, check):
    label = f"{check.__name__}-{name}"
    fails = pytest.mark.xfail(reason=EXCUSED.get(label, ""), strict=True)
    return pytest.param(check, cls, id=label, marks=fails if label in EXCUSED else ())


CASES = [case(name, cls, check) for name, cls in METHODS.items() for check in checks_of(cls)]


@pytest.mark.parametrize(("check", "cls"), CASES)
def test_contract(check, cls):
    check(cls)


@pytest.mark.gpu
@pytest.mark.parametrize("check", ON_CUDA, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", METHODS)
def test_contract_on_cuda(check, name):
    check(METHODS[name])


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
def test_other_seeds_give_other_codes_where_a_method_draws(cls):
    data, _ = blobs(cls)
    draws = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        draws.append(torch.cat([t.flatten().double() for t in cls(data.shape[-1], 16).state()]))
    codes, others = (fitted(cls, seed=seed).encode(data.features) for seed in (0, 1))
    assert torch.equal(codes, others) == torch.equal(*draws)


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
def test_a_fitted_method_is_pickled_without_its_training_set(cls):
    method, (data, _) = fitted(cls, epochs=1), blobs(cls)
    sent = pickle.dumps(method)
    assert torch.equal(pickle.loads(sent).encode(data.features), method.encode(data.features))
    state = pickle.dumps(method.state_dict())
    assert len(sent) < len(state) + 2 * data.features.numel()  # four bytes a number


@pytest.mark.parametrize("name", [n for n, c in METHODS.items() if c.loss is HashMethod.loss])
def test_loss_of_a_closed_form_is_an_error_that_says_so(name):
    method = METHODS[name](24, 16)
    batch = batch_of(method, torch.zeros(1, 4, 24))
    with pytest.raises(TypeError, match="call fit"):
        method.loss(batch)
