"""SGH-generative: its objective with drawn and with fixed thresholds, and where it begins."""

from dataclasses import replace

import pytest
import torch

from benchmarks.training.training_sets import ViewBank
from methods.gen_hash import GenHash
from tests.batches import batch_of
from tests.released import assert_gradient, assert_value, vectors


@pytest.mark.parametrize("kind", ["half", "sampled"])
def test_the_objective_is_that_of_the_released_code(kind, golden):
    z = vectors(golden, "sgh")
    d, k = z["encoder_weight"].shape
    weights = {"alpha": float(z["weight_entropy"]), "weight_decay": float(z["weight_decay"])}
    method = GenHash(d, k, stochastic=kind == "sampled", **weights)
    method.head.weight.data.copy_(z["encoder_weight"].T)
    method.head.bias.data.copy_(z["encoder_bias"])
    for name, key in ("U", "decoder_weight"), ("scale", "scale"), ("shift", "shift"):
        getattr(method, name).data.copy_(z[key])
    batch = batch_of(method, z["features"][None])
    assert (batch.noise is None) == (kind == "half")
    terms = method.loss(batch if kind == "half" else replace(batch, noise=z["uniform"]))
    assert_value(terms["reconstruction"], z[f"{kind}_reconstruction"])
    assert_value(terms["entropy"], z["weight_entropy"] * z[f"{kind}_entropy"])
    assert_value(sum(terms.values()), z[f"{kind}_loss"])
    sum(terms.values()).backward()
    assert_gradient(method.head.weight.grad.T, z[f"{kind}_grad_encoder_weight"])
    assert_gradient(method.head.bias.grad, z[f"{kind}_grad_encoder_bias"])
    assert_gradient(method.U.grad, z[f"{kind}_grad_decoder_weight"])
    assert_gradient(method.scale.grad, z[f"{kind}_grad_scale"])
    assert_gradient(method.shift.grad, z[f"{kind}_grad_shift"])


def test_it_begins_at_mean_and_variance_and_with_bits_around_the_mean():
    x = 5 + 3 * torch.randn(200, 12, generator=torch.Generator().manual_seed(0))
    method = GenHash(12, 8)
    method.prepare(ViewBank(x, None))
    torch.testing.assert_close(method.shift.data, x.mean(0))
    torch.testing.assert_close(method.scale.data, x.var(0))
    torch.testing.assert_close(method.project(x).mean(0), torch.zeros(8), rtol=0, atol=1e-5)
