import math

import pytest
import torch

from methods import sgh
from methods.sgh import SGH
from tests.golden_arrays import CLOSE, SQUARED, arrays, check_scores, same_codes


@pytest.fixture
def z(golden):
    return arrays(golden, "sgh")


def fitted(z, n_bits, monkeypatch):
    """Fit in float64 to the stored bases and order."""
    monkeypatch.setattr(sgh, "some_rows", lambda X, n, seed: X[z["base_index"]])
    method = SGH(24, n_bits, n_bases=60).double()
    method.order.copy_(z[f"order_{n_bits}"])
    return method.fit(z["x_train"].float())


def test_transformed_features_match_the_stored_ones(z):
    p, q = sgh.features(z["input_train"])
    torch.testing.assert_close(p, z["p"], **CLOSE)
    torch.testing.assert_close(q, z["q"], **CLOSE)
    x = z["input_train"]
    f = (-x.square().sum(1) / 2).exp()
    line = math.sinh(1) * x @ x.T + math.cosh(1)  # through exp at -1 and 1
    torch.testing.assert_close(p @ q.T, 2 * torch.outer(f, f) * line - 1)


@pytest.mark.parametrize("n_bits", [8, 16])
def test_it_trains_to_the_hyperplanes_of_the_authors(z, monkeypatch, n_bits):
    method = fitted(z, n_bits, monkeypatch)
    for name in ("scale", "delta"):
        torch.testing.assert_close(getattr(method, name), z[name][0], **CLOSE)
    torch.testing.assert_close(method.bias, z["bias"], **CLOSE)
    torch.testing.assert_close(method.bases, z["input_train"][z["base_index"]], **CLOSE)
    torch.testing.assert_close(method.W, z[f"w_{n_bits}"], **CLOSE)
    check_scores(method, z, f"scores_{{}}_{n_bits}", single=SQUARED)


@pytest.mark.parametrize("n_bits", [8, 16])
def test_similarities_and_the_norm_of_hyperplanes_match(z, n_bits):
    x, order = z["x_train"], z[f"order_{n_bits}"]
    bases = z["input_train"][z["base_index"]]
    kernel, _, A = sgh.similarity(x, z["mean"], z["scale"][0], bases)
    torch.testing.assert_close(n_bits * A, z[f"a0_{n_bits}"], **CLOSE)
    kernel = kernel - kernel.mean(0)
    torch.testing.assert_close(kernel, z["kernel_train"], **CLOSE)
    W = sgh.hyperplanes(kernel, n_bits * A, order)
    right = kernel.T @ kernel + sgh.GAMMA * torch.eye(60).double()
    torch.testing.assert_close((W * (right @ W)).sum(0), torch.ones(n_bits).double())


def test_stored_parameters_encode(z):
    method = SGH(24, 8, n_bases=60)
    stored = {
        "mu": z["mean"],
        "scale": z["scale"][0],
        "bases": z["input_train"][z["base_index"]],
        "delta": z["delta"][0],
        "bias": z["bias"],
        "W": z["w_8"],
    }
    method.load_state_dict(method.state_dict() | stored)
    for part in ("train", "test"):
        expected = z[f"scores_{part}_8"]
        scores = method.project(z[f"x_{part}"].float()).double()
        torch.testing.assert_close(scores, expected, **SQUARED)
        same_codes(method.encode(z[f"x_{part}"]), expected, z[f"codes_{part}_8"])


def test_the_scale_of_the_features_does_not_matter():
    """Norms of 1000 would underflow, and leave noise."""
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    codes = []
    for factor in (1, 1024):
        torch.manual_seed(0)
        codes.append(SGH(6, 8, n_bases=40).fit(x * factor).encode(x * factor))
    assert torch.equal(*codes)


def test_rows_may_be_fewer_than_bases_and_alike():
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    same = torch.full((20, 6), 0.1)
    for given in (x, x[torch.arange(50) % 3], x[:1], same):
        assert SGH(6, 16).fit(given).project(given).isfinite().all()
    assert not SGH(6, 16).fit(same).project(same).any()
