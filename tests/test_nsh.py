import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import methods.nsh
from benchmarks.training.training_sets import ViewBank
from methods import Batch
from methods.functional import soft_sort
from methods.nsh import NSH, sorted_nce
from tests.batches import batch_of
from tests.keep import Keep


def golden_softsort(golden):
    with np.load(golden / "softsort.npz", allow_pickle=False) as z:
        return {name: torch.from_numpy(np.asarray(z[name])) for name in z.files}


def test_soft_sort_matches_the_published_operator(golden):
    z = golden_softsort(golden)
    scores = z["scores"].requires_grad_()
    P = soft_sort(scores, float(z["temperature"]))
    torch.testing.assert_close(P, z["permutation"], rtol=1e-5, atol=1e-7)
    (P * torch.arange(P.numel()).view_as(P) / P.numel()).sum().backward()
    expected = z["grad_scores_of_weighted_sum"]
    torch.testing.assert_close(scores.grad, expected, rtol=1e-4, atol=1e-6)


def test_soft_sort_becomes_the_sort_and_shares_ties():
    scores = torch.tensor([[0.2, 0.9, 0.5], [0.3, 0.3, 0.1]])
    P = soft_sort(scores, 1e-3)
    torch.testing.assert_close(P @ scores[..., None], scores.sort(1, descending=True)[0][..., None])
    torch.testing.assert_close(P[1, 0], torch.tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(P.sum(-1), torch.ones(2, 3))


def sorted_nce_by_hand(P, z_1, z_2, m, tau):
    """The loss with the gathered latents built one by one."""
    n = len(z_1)
    total = 0.0
    for i in range(n):
        c = []
        for k in range(n):
            gathered = sum(P[i, k, j] * z_1[j] for j in range(n))
            c.append(torch.cosine_similarity(gathered, z_2[i], dim=0) / tau)
        for k in range(min(m, n)):
            rest = sum(c[j].exp() for j in range(m, n))
            total -= (c[k].exp() / (c[k].exp() + rest)).log()
    return total / (n * min(m, n))


@pytest.mark.parametrize("m", [1, 2, 4])
def test_sorted_nce_equals_a_loop_that_builds_the_gathered_latents(m):
    g = torch.Generator().manual_seed(m)
    z_1, z_2 = F.normalize(torch.randn(2, 5, 7, generator=g), dim=-1)
    P = soft_sort(torch.rand(5, 5, generator=g), 0.1)
    torch.testing.assert_close(
        sorted_nce(P, z_1, z_2, m, 0.3), sorted_nce_by_hand(P, z_1, z_2, m, 0.3)
    )


def test_sorted_nce_is_not_the_double_softmax_of_the_ports():
    """Where the order is right the loss can fall to zero; a second softmax holds it above 2.9."""
    z = torch.eye(50)
    loss = sorted_nce(soft_sort(torch.eye(50), 1e-3), z, z, 1, 0.05)
    assert loss < 1e-4


def test_sorted_nce_has_nothing_to_contrast_in_a_batch_of_positives():
    z = F.normalize(torch.randn(2, 2, 4), dim=-1).requires_grad_()
    P = soft_sort(torch.rand(2, 2), 0.1)
    loss = sorted_nce(P, z[0], z[1], 2, 0.1)
    loss.backward()
    assert loss.item() == 0
    assert z.grad.isfinite().all()


def batch(n=12, d=20, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    return Batch(x + 0.1 * torch.randn(2, n, d, generator=g), torch.arange(n), torch.tensor(0.0))


def gradient_of_hash_head():
    torch.manual_seed(0)
    method = NSH(20, 16)
    method.loss(batch())["sorted_nce"].backward()
    return [p.grad for p in method.head.parameters()]


def test_hash_head_learns_through_the_sorter_alone(monkeypatch):
    assert all(g.abs().sum() > 0 for g in gradient_of_hash_head())
    real = methods.nsh.soft_sort
    monkeypatch.setattr(methods.nsh, "soft_sort", lambda s, t: real(s, t).detach())
    assert all(g is None or g.abs().sum() == 0 for g in gradient_of_hash_head())


class Given(nn.Module):
    """Latents that are given, the same for both views."""

    def __init__(self, latents):
        super().__init__()
        self.latents = latents

    def forward(self, x):
        return self.latents.expand(len(x), -1, -1)


def test_codes_move_toward_the_order_of_the_latents():
    """Latents in two clusters, codes that mix them: training sorts the codes by cluster."""
    torch.manual_seed(0)
    n, k = 16, 8
    cluster = torch.arange(n) % 2
    latents = F.normalize(torch.eye(2)[cluster] + 0.05 * torch.randn(n, 2), dim=1)
    same = (cluster[:, None] == cluster) & ~torch.eye(n, dtype=torch.bool)
    method = NSH(k, k, m=4, tau=0.1, tau_s=1.0, lambda_q=0.0)
    method.head = nn.Identity()
    method.latent_head = Given(latents)
    scores = (0.3 * torch.randn(n, k)).requires_grad_()

    def agreement():
        codes = torch.where(scores.detach() > 0, 1.0, -1.0)
        similarity = codes @ codes.T / k
        return (similarity[same].mean() - similarity[~same].mean()).item()

    before = agreement()
    optimizer = torch.optim.Adam([scores], lr=0.02)
    for _ in range(100):
        terms = method.loss(batch_of(method, scores.expand(2, -1, -1)))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert agreement() > before + 0.3


def test_training_takes_the_mean_of_the_features_off_all_inputs():
    x = batch().views[0] + 5
    method = NSH(20, 8).fit(ViewBank(x, None, torch.device("cpu")), Keep())
    torch.testing.assert_close(method.mu, x.mean(0))
    torch.testing.assert_close(method.project(x), method.head(x - x.mean(0)))
    torch.manual_seed(0)
    again = NSH(20, 8)
    again.load_state_dict(method.state_dict() | {"mu": torch.zeros(20)})
    centred = batch()
    shifted = Batch(centred.views + method.mu, centred.index, torch.tensor(0.0))
    for name, term in again.loss(centred).items():
        torch.testing.assert_close(method.loss(shifted)[name], term, rtol=1e-3, atol=1e-4)


def test_head_can_be_replaced_to_check_the_loss_on_given_scores():
    """One bit of difference costs the same at every length: the sorter runs at tau_s / K."""
    method = NSH(8, 8, tau_s=1.0)
    method.head = nn.Identity()
    method.latent_head = nn.Identity()
    x = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    terms = method.loss(batch_of(method, x))
    h = torch.tanh(x)
    b = torch.where(x > 0, 1.0, -1.0)
    P = soft_sort(b[0] @ b[1].T / 16 + 0.5, 1 / 8)
    z_1, z_2 = F.normalize(x, dim=-1)
    torch.testing.assert_close(terms["sorted_nce"], sorted_nce(P, z_1, z_2, 2, method.tau))
    torch.testing.assert_close(terms["quantisation"], (h - b).square().mean() * method.lambda_q)
