"""CGHash: its terms, its neighbours, and its thresholds."""

import pytest
import torch

from benchmarks.training.targets import Value
from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import ViewBank
from methods import Recipe
from methods.base import Batch
from methods.cghash import CGHash
from tests.keep import Keep
from tests.released import Given, assert_gradient, assert_value, vectors


def told(x, n_classes=5, bank=None):
    return ViewBank(x, bank, target=Value(torch.tensor(n_classes)))


def test_values_and_gradients_are_those_of_the_released_code(golden):
    z = vectors(golden, "cghash")
    n, k = z["scores_anchor"].shape
    method = CGHash(8, k, tau=float(z["temperature"]), rho=float(z["rho"]))
    method.prepare(told(torch.randn(n, 8), len(z["predictor_bias"])))
    method.head = Given(z["scores_anchor"], z["scores_neighbour"])
    method.classifier.weight.data.copy_(z["predictor_weight"])
    method.classifier.bias.data.copy_(z["predictor_bias"])
    uniform = torch.stack([z["uniform_anchor"], z["uniform_neighbour"]], 1)
    batch = Batch(torch.zeros(2, n, 8), torch.arange(n), torch.tensor(0.0), uniform)
    terms = method.loss(batch)
    for name, key, weight in (
        ("consistency", "consistency", "consistency"),
        ("entropy", "negative_entropy", "entropy"),
        ("sharpness", "sharpness", "sharpness"),
        ("contrastive", "contrastive", "contrastive"),
    ):
        assert_value(terms[name], z[key] * z[f"weight_{weight}"])
    total = sum(terms.values())
    assert_value(total, z["loss"])
    total.backward()
    for view, name in enumerate(("anchor", "neighbour")):
        assert_gradient(method.head.scores.grad[view], z[f"grad_scores_{name}"])
    assert_gradient(method.classifier.weight.grad, z["grad_predictor_weight"])
    assert_gradient(method.classifier.bias.grad, z["grad_predictor_bias"])


def clusters(n=60, d=12):
    g = torch.Generator().manual_seed(0)
    return 4 * torch.randn(3, d, generator=g)[torch.arange(n) % 3] + torch.randn(n, d, generator=g)


def test_the_second_view_is_of_a_near_image_that_is_drawn_anew():
    x = clusters()
    method = CGHash(12, 8, neighbours=4)
    method.prepare(told(x))
    index, g = torch.arange(60), torch.Generator().manual_seed(0)
    first, second = method.viewed(index, g), method.viewed(index, g)
    assert torch.equal(first[0], index)
    assert (first[1] != index).all()
    assert torch.equal(first[1] % 3, index % 3)
    assert 0.5 < (first[1] != second[1]).float().mean() < 0.95


def test_the_trainer_shows_the_views_of_the_chosen_images():
    x = torch.arange(40.0)[:, None].expand(40, 12) + 0.1
    bank = x[:, None].expand(40, 3, 12) + torch.tensor([0.0, 0.25, 0.5])[:, None]
    shown = []

    class Shifted(CGHash):
        def viewed(self, index, generator):
            return torch.stack([index, (index + 1) % 40])

        def loss(self, batch):
            shown.append((batch.index, batch.views[:, :, 0]))
            return super().loss(batch)

    method = Shifted(12, 8)
    method.fit(told(x, 3, bank), Trainer(Recipe(epochs=2, batch_size=10), 0))
    for index, views in shown:
        assert torch.equal(views.floor().long(), torch.stack([index, (index + 1) % 40]))
    parts = torch.stack([views % 1 for _, views in shown])
    assert len(parts[:, 1].mul(20).round().unique()) == 3  # all views of a neighbour occur


def test_thresholds_are_the_medians_of_the_training_set():
    x = clusters()
    method = CGHash(12, 8).fit(told(x), Keep())
    assert method.encode(x).float().mean(0).tolist() == pytest.approx([0.5] * 8, abs=0.02)
    assert not hasattr(method, "classifier")
    assert "near" not in dict(method.named_buffers())


def test_the_classifier_has_the_number_of_classes_and_the_seed_of_the_method():
    begun = []
    for drawn, seed in enumerate((0, 1, 0)):
        torch.manual_seed(seed)
        method = CGHash(12, 8)
        torch.rand(drawn)  # what others draw in between changes nothing
        method.prepare(told(clusters(), 7))
        begun.append(method.classifier.weight.detach())
    assert begun[0].shape == (7, 8)
    assert torch.equal(begun[0], begun[2])
    assert not torch.equal(begun[0], begun[1])


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match=r"CGHash: rho must be at most 1, got 1\.5"):
        CGHash(12, 8, rho=1.5)
