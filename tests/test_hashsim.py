"""HashSIM: targets of pairs from label views, and a contrast of bits."""

import torch

from benchmarks.training.training_sets import ViewBank
from methods.hashsim import HashSIM
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, InOrder, assert_gradient, assert_value, vectors


def test_hashsim_matches_the_released_code_in_targets_values_and_gradients(golden):
    z = vectors(golden, "hashsim")
    views = torch.stack([z["features_1"], z["features_2"]])
    (n, d), k = z["features_1"].shape, z["scores_1"].shape[1]
    method = HashSIM(d, k, tau=float(z["temperature"]), centre=False)
    method.prepare(InOrder(views[0], views.transpose(0, 1)))
    S = method.targets(torch.arange(n))
    for a in (0, 1):
        torch.testing.assert_close(S[a], z[f"similarity_{a + 1}"], rtol=0, atol=1e-5)
    method.head = Given(z["scores_1"], z["scores_2"])
    terms = method.loss(batch_of(method, views[:, z["index"]], z["index"]))
    assert_value(terms["structure"], z["semantic_1"] + z["semantic_2"])
    assert_value(terms["contrastive"], z["bit_contrastive"])
    assert_value(sum(terms.values()), z["loss"])
    sum(terms.values()).backward()
    for a in (0, 1):
        assert_gradient(method.head.scores.grad[a], z[f"grad_scores_{a + 1}"])


def test_label_views_differ_between_seeds_and_are_dropped_after_training():
    data, drawn = ViewBank(torch.randn(40, 12), torch.randn(40, 4, 12)), []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        method = HashSIM(12, 8).fit(data, Keep(lambda method: drawn.append(method.unit)))
        assert not hasattr(method, "unit")
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
