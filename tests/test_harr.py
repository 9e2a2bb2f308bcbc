"""HARR: winners, what pairs are judged by, and the three terms."""

import pytest
import torch

from benchmarks.training.training_sets import ViewBank
from methods.harr import HARR
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, assert_gradient, assert_value, vectors


def test_harr_matches_the_released_code_in_winners_values_and_gradients(golden):
    z = vectors(golden, "harr")
    (n, d), k, window = z["features"].shape, z["scores_strong"].shape[1], int(z["window"])
    names = {"lambda_bt": "weight_correlation", "lambda_q": "weight_quantisation", "share": "share"}
    options = {name: float(z[key]) for name, key in names.items()}
    method = HARR(d, k, permutations=len(z["permutations"]), window=window, centre=False, **options)
    method.order.copy_(z["permutations"][:, :window])
    method.prepare(ViewBank(z["features"], None))
    assert torch.equal(method.winners.long(), z["winners"])
    A = method.agreement(torch.arange(n))
    torch.testing.assert_close(A, z["agreement"])
    theta, most, least = method.span
    assert_value(theta, z["threshold"])
    assert torch.equal((theta <= A).float(), z["positives"])
    assert_value(most - theta, z["span_positive"])
    assert_value(theta - least, z["span_negative"])
    method.head = Given(z["scores_weak_1"], z["scores_weak_2"], z["scores_strong"])
    x = z["features"][z["index"]].expand(3, -1, -1)
    terms = method.loss(batch_of(method, x, z["index"]))
    assert_value(terms["contrastive"], z["contrastive"])
    correlation = z["weight_correlation"] * (z["on_diagonal"] + z["off_diagonal"])
    assert_value(terms["correlation"], correlation)
    assert_value(terms["quantisation"], z["weight_quantisation"] * z["quantisation"])
    assert_value(sum(terms.values()), z["loss"])
    sum(terms.values()).backward()
    for view in range(3):
        assert_gradient(method.head.scores.grad[view], z[f"grad_scores_{view + 1}"])


def test_a_share_of_all_pairs_is_similar():
    x = torch.randn(90, 12, generator=torch.Generator().manual_seed(0))
    for share in (0.1, 0.5):
        method = HARR(12, 8, share=share)
        method.prepare(ViewBank(x, None))
        A = method.agreement(torch.arange(90))
        assert float((method.span[0] <= A).float().mean()) == pytest.approx(share, abs=0.02)


def test_winners_are_there_for_the_training_alone():
    met = []
    data = ViewBank(torch.randn(30, 12), torch.randn(30, 3, 12))
    method = HARR(12, 8).fit(data, Keep(lambda method: met.append(method.winners.dtype)))
    assert met == [torch.uint8]
    assert not hasattr(method, "winners")


def test_a_share_of_all_pairs_is_refused():
    with pytest.raises(ValueError, match=r"HARR: share must be < 1, .* got 1"):
        HARR(12, 8, share=1.0)
