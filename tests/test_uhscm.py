"""UHSCM: concepts that are kept, and the loss on what images have of them."""

import pytest
import torch

from benchmarks.training.targets import Value
from benchmarks.training.training_sets import ViewBank
from methods.uhscm import UHSCM
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, assert_gradient, assert_value, vectors

SETTINGS = {
    **{"tau": "tau", "gamma": "gamma", "s": "threshold"},
    **{"alpha": "weight_contrastive", "beta": "weight_quantisation"},
}


def named(x, names):
    return ViewBank(x, None, target=Value(names))


def test_similarity_values_and_gradients_are_those_of_the_released_code(golden):
    z = vectors(golden, "uhscm")
    (n, d), k = z["image_features"].shape, z["scores"].shape[1]
    method = UHSCM(d, k, **{name: float(z[key]) for name, key in SETTINGS.items()})
    method.prepare(named(z["image_features"], z["concept_features"]))
    assert method.P.shape == (n, int(z["kept"].sum()))
    S = method.similarity(torch.arange(n))
    torch.testing.assert_close(S, z["similarity"], rtol=0, atol=1e-5)
    method.head = Given(z["scores"])
    terms = method.loss(batch_of(method, torch.zeros(1, len(z["index"]), d), z["index"]))
    assert_value(terms["semantic"], z["semantic"])
    assert_value(terms["contrastive"], z["contrastive"] * z["weight_contrastive"])
    assert_value(terms["quantisation"], z["quantisation"] * z["weight_quantisation"])
    total = sum(terms.values())
    assert_value(total, z["loss"])
    total.backward()
    assert_gradient(method.head.scores.grad[0], z["grad_scores"])


def test_names_that_no_image_shows_change_nothing():
    g = torch.Generator().manual_seed(0)
    names = torch.nn.functional.normalize(torch.randn(6, 12, generator=g), dim=1)
    x = 5 * names[torch.arange(40) % 3] + 0.1 * torch.randn(40, 12, generator=g)
    found = []
    for given in (names[:3], names):
        method = UHSCM(12, 8)
        method.prepare(named(x, given))
        found.append(method.similarity(torch.arange(40)))
    torch.testing.assert_close(found[0], found[1])


def test_names_of_which_one_alone_is_met_are_refused():
    x = torch.ones(10, 12)
    with pytest.raises(ValueError, match=r"UHSCM\.fit: .* of 2 only one is; give names of what"):
        UHSCM(12, 8).prepare(named(x, torch.stack([torch.ones(12), -torch.ones(12)])))


def test_concepts_are_there_for_the_training_alone():
    met = []
    x = torch.eye(12)[:4].repeat(9, 1)
    method = UHSCM(12, 8).fit(named(x, torch.eye(12)[:4]), Keep(lambda m: met.append(m.P.shape)))
    assert met == [(36, 4)]
    assert not hasattr(method, "P")
