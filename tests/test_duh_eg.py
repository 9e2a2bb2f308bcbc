"""DUH-EG: guidance by nouns, and contrast with it."""

import pytest
import torch

from benchmarks.training.targets import Value
from benchmarks.training.training_sets import ViewBank
from methods.duh_eg import DUHEG
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, assert_gradient, assert_value, vectors


def guided(x, nouns):
    return ViewBank(x, None, target=Value(nouns))


def released(z):
    d, k = z["image_features"].shape[1], z["scores_noun"].shape[1]
    settings = {"T": "noun_temperature", "s": "threshold", "tau": "temperature"}
    method = DUHEG(d, k, **{name: float(z[key]) for name, key in settings.items()})
    method.prepare(guided(z["image_features"], z["noun_features"]))
    return method


def test_guidance_values_and_gradients_are_those_of_the_released_code(golden):
    z = vectors(golden, "duheg")
    method = released(z)
    torch.testing.assert_close(method.g, z["guidance"], rtol=0, atol=1e-5)
    torch.testing.assert_close(method.g, z["guidance_half"], rtol=0, atol=2e-3)
    scores = [Given(z["scores_view_1"]), Given(z["scores_view_2"])]
    method.guide = Given(z["scores_noun"])
    method.project = lambda x: scores[int(x[0, 0])](x)
    views = torch.zeros(2, len(z["index"]), z["image_features"].shape[1])
    views[1] = 1
    terms = method.loss(batch_of(method, views, z["index"]))
    assert_value(terms["guidance"], z["loss_view_1_noun"] + z["loss_view_2_noun"])
    assert_value(terms["views"], z["loss_views"])
    total = sum(terms.values())
    assert_value(total, z["loss"])
    total.backward()
    assert_gradient(scores[0].scores.grad[0], z["grad_scores_view_1"])
    assert_gradient(scores[1].scores.grad[0], z["grad_scores_view_2"])
    assert_gradient(method.guide.scores.grad[0], z["grad_scores_noun"])


def test_guidance_depends_on_no_block_of_images(monkeypatch):
    g = torch.Generator().manual_seed(0)
    data = guided(torch.randn(50, 12, generator=g), torch.randn(7, 12, generator=g))
    found = []
    for rows in (9, 1024):
        monkeypatch.setattr("methods.duh_eg._ROWS", rows)
        method = DUHEG(12, 8, T=0.1)
        method.prepare(data)
        found.append(method.g)
    torch.testing.assert_close(found[0], found[1])


def test_guidance_is_there_for_the_training_alone():
    met = []
    data = guided(torch.randn(20, 12), torch.eye(12))
    method = DUHEG(12, 8).fit(data, Keep(lambda method: met.append(method.g.shape)))
    assert met == [(20, 12)]
    assert not hasattr(method, "g")


def test_a_similarity_of_one_is_refused():
    with pytest.raises(ValueError, match=r"DUHEG: s must be below 1, got 1\.0"):
        DUHEG(12, 8, s=1.0)
