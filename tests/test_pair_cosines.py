"""BiHalf and GreedyHash, which keep the cosines of random pairs."""

import pytest
import torch
from torch import nn

from benchmarks.contract.stand_ins import blobs
from benchmarks.training.trainer import Trainer
from methods.bihalf import BiHalf
from methods.functional import half_half
from methods.greedyhash import GreedyHash
from methods.recipe import Recipe
from tests.batches import batch_of
from tests.released import Given, assert_gradient, assert_value, vectors


def test_bihalf_matches_the_released_code_in_values_and_gradients(golden):
    z = vectors(golden, "bihalf")
    method = BiHalf(20, 16, gamma=float(z["gamma"]))
    method.head = Given(z["scores"])
    assert torch.equal(half_half(z["scores"]), z["codes"])
    terms = method.loss(batch_of(method, z["features"][None]))
    assert_value(terms["similarity"], z["loss"])
    sum(terms.values()).backward()
    assert_gradient(method.head.scores.grad[0], z["grad_scores"])


def test_an_odd_batch_has_one_bit_less_set_as_in_the_released_code(golden):
    z = vectors(golden, "bihalf")
    assert torch.equal(half_half(z["scores_odd"]), z["codes_odd"])


def test_half_of_a_batch_gets_the_bit_even_where_scores_are_equal():
    codes = half_half(torch.tensor([[1.0, 2], [1, 2], [1, 9], [1, 2]]))
    assert codes.tolist() == [[1, 1], [1, -1], [-1, 1], [-1, -1]]


def test_the_codes_of_queries_are_signs_and_not_halves():
    method = BiHalf(2, 2)
    method.head = nn.Identity()
    assert method.encode(torch.tensor([[1.0, 2.0], [3.0, -4.0]])).tolist() == [[1, 1], [1, 0]]


def test_the_last_image_of_an_odd_batch_makes_no_pair():
    method, x = BiHalf(3, 3), torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    method.head = Given(x)
    method.loss(batch_of(method, x[None]))["similarity"].backward()
    assert method.head.scores.grad[0, 4].tolist() == [0, 0, 0]
    assert method.head.scores.grad[0, :4].abs().min() > 0


def test_greedyhash_matches_the_released_code_in_values_and_gradients(golden):
    z = vectors(golden, "greedyhash")
    method = GreedyHash(20, 16, alpha=float(z["weight"]))
    method.head = Given(z["scores"])
    terms = method.loss(batch_of(method, z["features"][None]))
    assert_value(terms["similarity"], z["similarity"])
    assert_value(terms["quantisation"], z["weight"] * z["quantisation"])
    sum(terms.values()).backward()
    assert_gradient(method.head.scores.grad[0], z["grad_scores"])


@pytest.mark.parametrize("centre", [True, False])
def test_greedyhash_gives_most_images_alike_codes_on_uncentred_features_alone(centre):
    """A random pair of codes differs in half of the bits, and where they collapse in a sixth."""
    data, _ = blobs(GreedyHash)
    data.features.add_(5)
    torch.manual_seed(0)
    method = GreedyHash(24, 16, centre=centre)
    method.fit(data.features, Trainer(Recipe(epochs=60, batch_size=32), 0))
    share = torch.pdist(method.encode(data.features).float(), 0).mean() / 16
    assert share > 0.4 if centre else share < 0.2
