"""What each method's paper promises, one section a method."""

import numpy as np
import pytest
import torch
from torch import nn

from methods import METHODS
from methods.cibhash import CIBHash
from methods.itq import ITQ
from methods.lsh import LSH
from tests.batches import batch_of


class Plain:
    """A training set of plain features."""

    def __init__(self, features):
        self.features = features

    def __len__(self):
        return len(self.features)

    def views(self, index, n_views):
        return self.features[index].expand(n_views, -1, -1)


def blobs(n=400, d=20, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) @ torch.randn(d, d, generator=g) + 5


# LSH


def test_lsh_bits_differ_with_probability_angle_over_pi():
    torch.manual_seed(0)
    method = LSH(2, 20_000).fit(Plain(torch.zeros(3, 2)), None)
    theta = 0.7
    a, b = method.encode(torch.tensor([[1.0, 0.0], [np.cos(theta), np.sin(theta)]]))
    assert float((a != b).float().mean()) == pytest.approx(theta / np.pi, abs=0.01)


def test_lsh_planes_pass_through_the_training_mean():
    x = blobs()
    method = LSH(20, 8).fit(Plain(x), None)
    scores = method.project(x.mean(0, keepdim=True))
    torch.testing.assert_close(scores, torch.zeros(1, 8), atol=1e-4, rtol=0)


def test_lsh_fitted_twice_forgets_the_first():
    x, other = blobs(), blobs(seed=1) * 3
    torch.manual_seed(0)
    once = LSH(20, 16).fit(Plain(x), None)
    torch.manual_seed(0)
    twice = LSH(20, 16).fit(Plain(other), None).fit(Plain(x), None)
    assert torch.equal(once.encode(x), twice.encode(x))


# ITQ


def quantisation_loss(scores):
    """||B - V R||^2 of rotated principal components."""
    return float((torch.where(scores > 0, 1.0, -1.0) - scores).square().sum())


def test_itq_lowers_the_quantisation_loss_at_every_length_of_training():
    x = blobs()
    losses = []
    for n_iter in (0, 1, 5, 50):
        torch.manual_seed(0)
        losses.append(quantisation_loss(ITQ(20, 8, n_iter=n_iter).fit(Plain(x), None).project(x)))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_itq_gives_the_same_codes_whatever_signs_the_library_finds(monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(200, 12) * torch.linspace(2, 0.5, 12)
    real, codes = torch.linalg.eigh, []
    for signs in (torch.ones(12), torch.tensor([1.0, -1.0] * 6)):
        monkeypatch.setattr(
            torch.linalg, "eigh", lambda X, s=signs: (real(X)[0], real(X)[1] * s.double())
        )
        torch.manual_seed(1)
        codes.append(ITQ(12, 8).fit(x.clone()).encode(x))
    assert torch.equal(*codes)


def test_itq_is_a_rotation_of_the_leading_principal_directions():
    x = blobs()
    method = ITQ(20, 8).fit(Plain(x), None)
    weight = method.head.weight.double()  # (K, D), rows are orthonormal
    torch.testing.assert_close(weight @ weight.T, torch.eye(8).double(), atol=1e-5, rtol=0)
    centred = (x - x.mean(0)).double()
    kept = (centred @ weight.T).square().sum()
    best = torch.linalg.svdvals(centred)[:8].square().sum()
    torch.testing.assert_close(kept, best, rtol=1e-6, atol=0)


def test_itq_alternation_stops_where_neither_step_can_improve():
    """At the fixed point R solves Procrustes for its own codes: B^T V R is symmetric, >= 0."""
    x = blobs()
    method = ITQ(20, 6, n_iter=500).fit(Plain(x), None)
    v_r = method.project(x).double()
    b = torch.where(v_r > 0, 1.0, -1.0).double()
    m = b.T @ v_r
    torch.testing.assert_close(m, m.T, rtol=1e-3, atol=1e-2 * float(m.abs().max()))
    assert torch.linalg.eigvalsh((m + m.T) / 2).min() > 0


def test_itq_gives_more_bits_than_features():
    x = blobs(d=5)
    codes = ITQ(5, 16).fit(Plain(x), None).encode(x)
    share = codes.float().mean(0)
    assert codes.shape == (400, 16)
    assert ((share > 0.1) & (share < 0.9)).all()


# CIBHash


def cibhash_on_scores(**options):
    method = CIBHash(4, 16, **options)
    method.head = nn.Identity()
    return method


def test_cibhash_matches_the_official_code_in_values_and_gradients(golden):
    with np.load(golden / "cibhash.npz", allow_pickle=False) as z:
        vectors = {name: torch.from_numpy(np.asarray(z[name])) for name in z.files}
    method = cibhash_on_scores(tau=float(vectors["temperature"]), beta=float(vectors["weight"]))
    views = torch.stack([vectors["scores_1"], vectors["scores_2"]]).requires_grad_()
    terms = method.loss(batch_of(method, views))
    assert terms["contrastive"].item() == pytest.approx(vectors["contrastive"].item(), rel=1e-5)
    kl = (vectors["weight"] * vectors["kl"]).item()
    assert terms["kl"].item() == pytest.approx(kl, rel=1e-5)
    sum(terms.values()).backward()
    for gradient, name in zip(views.grad, ("grad_scores_1", "grad_scores_2"), strict=True):
        torch.testing.assert_close(gradient, vectors[name], rtol=1e-4, atol=1e-8)


def test_cibhash_kl_vanishes_exactly_where_the_views_agree():
    scores = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    method = cibhash_on_scores()
    same = method.loss(batch_of(method, torch.stack([scores, scores])))
    other = method.loss(batch_of(method, torch.stack([scores, -scores])))
    assert same["kl"].item() == pytest.approx(0, abs=1e-7)
    assert other["kl"].item() > 1e-4


def test_cibhash_dropout_acts_in_training_only():
    torch.manual_seed(0)
    method = CIBHash(20, 8, dropout=0.5)
    x = blobs()
    views = torch.stack([x, x])
    one, other = (method.loss(batch_of(method, views, seed=seed)) for seed in (0, 1))
    assert one["contrastive"] != other["contrastive"]
    assert torch.equal(method.encode(x), method.project(x) > 0)


def test_cibhash_dropout_keeps_the_mean_and_spares_each_feature_by_itself():
    noise = CIBHash(20, 8, dropout=0.25).noise(4000, torch.Generator().manual_seed(0))
    assert noise.shape == (4000, 2, 20)
    assert noise.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert float(noise.mean()) == pytest.approx(1, abs=0.01)
    assert CIBHash(20, 8).noise(4, torch.Generator()) is None
    with pytest.raises(ValueError, match="dropout must be below 1, got 1"):
        CIBHash(20, 8, dropout=1.0)


def test_cibhash_recipe_shows_the_longer_training_at_16_bits():
    assert [METHODS["cibhash"].recipe.epochs_for(k) for k in (16, 32, 64)] == [80, 60, 60]
