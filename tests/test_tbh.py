"""TBH: one step's losses and gradients, actor and critics at once."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from methods.oh import OH
from methods.tbh import TBH
from tests.batches import batch_of
from tests.released import assert_gradient, assert_value, vectors


def layers(method):
    return {
        "encoder_hidden": method.head[0],
        "encoder_binary": method.head[2],
        "encoder_continuous": method.continuous,
        "graph": method.graph,
        "decoder_hidden": method.decoder[0],
        "decoder_out": method.decoder[2],
        "critic_binary": method.binary_critic,
        "critic_continuous": method.continuous_critic,
    }


def test_a_step_has_the_losses_and_all_gradients_of_the_released_code(golden):
    z = vectors(golden, "tbh")
    d, hidden = z["encoder_hidden_weight"].shape
    (n, k), width = z["random_binary"].shape, z["random_continuous"].shape[1]
    method = TBH(d, k, hidden=hidden, width=width, centre=False)
    for name, layer in layers(method).items():
        layer.weight.data.copy_(z[f"{name}_weight"].T)
        layer.bias.data.copy_(z[f"{name}_bias"])
    drawn = torch.cat([z["random_binary"], z["random_continuous"]], 1)
    assert drawn.shape == method.noise(n, torch.Generator()).shape
    terms = method.loss(replace(batch_of(method, z["features"][None]), noise=drawn))
    assert_value(terms["reconstruction"], z["reconstruction"])
    assert_value(terms["binary"], z["adversarial_binary"])
    assert_value(terms["continuous"], z["adversarial_continuous"])
    sum(terms.values()).backward()
    for name, layer in layers(method).items():
        assert_gradient(layer.weight.grad.T, z[f"grad_{name}_weight"])
        assert_gradient(layer.bias.grad, z[f"grad_{name}_bias"])


def test_centred_features_are_reconstructed_below_their_mean_too():
    for centre in (True, False):
        method = TBH(12, 8, centre=centre)
        z = torch.rand(40, 512, generator=torch.Generator().manual_seed(1))
        assert bool((method.decoder(z) < 0).any()) == centre


@pytest.mark.parametrize("cls", [TBH, OH])
def test_weights_begin_as_keras_draws_them(cls):
    torch.manual_seed(0)
    for layer in cls(200, 64).modules():
        if isinstance(layer, nn.Linear):
            bound = (6 / sum(layer.weight.shape)) ** 0.5
            assert 0.9 < float(layer.weight.detach().abs().max()) / bound <= 1
            assert not layer.bias.any()
