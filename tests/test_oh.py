"""OH: its step, its queues and its momentum copy."""

import pytest
import torch

from benchmarks.training.training_sets import ViewBank
from methods.oh import OH
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import assert_gradient, assert_value, vectors


def layers(head, latent):
    return {"trunk": head[0], "binary": head[2], "continuous": latent}


def released(z):
    """A method about to take the step of the golden vectors."""
    d, hidden = z["query_trunk_weight"].shape
    k, width = z["queue_codes"].shape[1], z["queue_latents"].shape[1]
    options = {name: float(z[name]) for name in ("temperature", "momentum")}
    sizes = {"hidden": hidden, "width": width, "queue": len(z["queue_codes"])}
    method = OH(d, k, centre=False, **options, **sizes)
    method.prepare(ViewBank(z["features_1"], None))
    for side, modules in ("query", (method.head, method.latent)), ("key", method.key):
        for name, layer in layers(*modules).items():
            layer.weight.data.copy_(z[f"{side}_{name}_weight"].T)
            layer.bias.data.copy_(z[f"{side}_{name}_bias"])
    for name in ("codes", "latents", "overviews"):
        getattr(method, name).copy_(z[f"queue_{name}"])
    return method


def test_a_step_is_that_of_the_released_code(golden):
    z = vectors(golden, "oh")
    method = released(z)
    terms = method.loss(batch_of(method, torch.stack([z["features_1"], z["features_2"]])))
    assert_value(terms["queue"], z["loss_queue"])
    assert_value(terms["batch"], z["loss_batch"])
    sum(terms.values()).backward()
    for name, layer in layers(method.head, method.latent).items():
        assert_gradient(layer.weight.grad.T, z[f"grad_query_{name}_weight"])
        assert_gradient(layer.bias.grad, z[f"grad_query_{name}_bias"])
    for name, layer in layers(*method.key).items():
        torch.testing.assert_close(layer.weight.T, z[f"key_{name}_weight_after"])
        torch.testing.assert_close(layer.bias, z[f"key_{name}_bias_after"])
    for name in ("codes", "latents", "overviews"):
        torch.testing.assert_close(getattr(method, name), z[f"queue_{name}_after"])


def test_copy_and_queues_are_there_for_the_training_alone():
    met = []
    data = ViewBank(torch.randn(30, 12), torch.randn(30, 2, 12))
    method = OH(12, 8, queue=50).fit(data, Keep(lambda method: met.append(method.codes.shape)))
    assert met == [(50, 8)]
    names = [name for name, _ in method.named_parameters()] + list(method.state_dict())
    assert not [name for name in names if "key" in name or "queue" in name or "codes" in name]
    assert not hasattr(method, "overviews")


def test_queues_begin_with_the_noise_of_the_seed():
    data, begun = ViewBank(torch.randn(30, 12), None), []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        method = OH(12, 8, queue=50)
        method.prepare(data)
        begun.append(method.latents)
    assert torch.equal(begun[0], begun[2])
    assert not torch.equal(begun[0], begun[1])


def test_a_momentum_above_one_is_refused():
    with pytest.raises(ValueError, match=r"OH: momentum must be at most 1, got 1\.5"):
        OH(12, 8, momentum=1.5)
