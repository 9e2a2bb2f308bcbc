import pytest
import torch
from torch.nn import functional as F

from methods.crovca import CroVCA, coding_rate, cross_view_alignment
from tests.batches import batch_of
from tests.released import assert_gradient, assert_value, vectors


class EachGiven(torch.nn.Module):
    """A head that gives the scores of one view after the other."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores.clone().requires_grad_()
        self.left = iter(self.scores)

    def forward(self, x):
        return next(self.left)


def test_crovca_matches_the_released_code_in_values_and_gradients(golden):
    z = vectors(golden, "crovca")
    assert float(z["weight_alignment"]) == 1
    method = CroVCA(3, 16, lambda_r=float(z["weight_coding_rate"]), eps=float(z["eps"]))
    method.head = EachGiven(z["scores"])
    terms = method.loss(batch_of(method, torch.zeros(*z["scores"].shape[:2], 3)))
    assert_value(terms["alignment"], z["alignment"])
    assert_value(terms["coding_rate"], z["weight_coding_rate"] * z["coding_rate"])
    assert_value(sum(terms.values()), z["loss"])
    sum(terms.values()).backward()
    assert_gradient(method.head.scores.grad, z["grad_scores"])


@pytest.mark.parametrize("n_views", [2, 3, 4])
def test_alignment_is_the_mean_over_all_ordered_pairs_of_views(n_views):
    v = torch.randn(n_views, 5, 7, generator=torch.Generator().manual_seed(0))
    pairs = [(a, b) for a in range(n_views) for b in range(n_views) if a != b]
    each = [F.binary_cross_entropy_with_logits(v[a], (v[b] > 0).float()) for a, b in pairs]
    torch.testing.assert_close(cross_view_alignment(v), torch.stack(each).mean())


def test_coding_rate_is_lowest_for_one_direction_and_highest_for_all():
    one, all_ = torch.ones(1, 8, 8), torch.eye(8)[None]
    some = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0))
    rates = [float(coding_rate(v, 0.05)) for v in (one, some, all_)]
    assert rates == sorted(rates)
    assert rates[2] == pytest.approx(4 * torch.tensor(21.0).log().item(), rel=1e-5)
    assert float(coding_rate(3 * some, 0.05)) == pytest.approx(rates[1], rel=1e-5)


def test_each_view_is_normalised_by_itself():
    """A shift of one view alone, as of a darker picture, is none of its scores."""
    torch.manual_seed(0)
    method, x = CroVCA(6, 8, hidden=4), torch.randn(2, 9, 6)
    method.head[1] = torch.nn.Identity()
    shifted = torch.stack([x[0], x[1] + 2])
    before, after = (method.loss(batch_of(method, views)) for views in (x, shifted))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-5)
