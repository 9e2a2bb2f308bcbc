import math

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from benchmarks.training.training_sets import ViewBank
from methods.kl_hash import (
    KLHash,
    KLHashCaptions,
    KLHashHierarchy,
    groups_at_zero,
    kl_divergence,
    relative_similarity,
    symmetric_beta,
)
from tests.batches import batch_of
from tests.keep import Keep

CPU = torch.device("cpu")
BETA = torch.distributions.Beta(0.1, 0.1)


def mean_estimate(draw, k, n=128, runs=20):
    """Mean log ratio of `draw()` against fresh near-binary samples."""
    torch.manual_seed(0)
    return sum(float(kl_divergence(draw(n, k), BETA.sample((n, k)))) for _ in range(runs)) / runs


@pytest.mark.parametrize("k", [16, 32, 64])
@pytest.mark.parametrize(
    ("name", "draw", "low", "high"),
    [
        ("the target itself", lambda n, k: BETA.sample((n, k)), -0.05, 0.05),
        ("fair coins", lambda n, k: torch.randint(0, 2, (n, k)).float(), -0.08, 0.0),
        ("uniform", lambda n, k: torch.rand(n, k), 0.28, 0.40),
        ("narrow", lambda n, k: 0.5 + 0.05 * torch.randn(n, k), 1.9, 2.3),
        ("all equal", lambda n, k: torch.full((n, k), 0.3), 6.9, 8.5),
        ("two codes", lambda n, k: torch.randint(0, 2, (n, 1)).float().expand(n, k), 7.0, 8.5),
    ],
)
def test_divergence_has_the_values_known_for_outputs_of_a_kind(k, name, draw, low, high):
    assert low <= mean_estimate(draw, k) <= high, name


@pytest.mark.parametrize("shift", [0.0, 0.5, 0.8])
def test_estimator_finds_a_known_divergence(shift):
    """Unit normals a distance apart: KL = shift^2 / 2 a dimension."""
    d, n = 3, 3000
    torch.manual_seed(1)
    p, q = torch.randn(n, d), torch.randn(n, d) + shift
    estimate = d * float(kl_divergence(p, q)) + math.log(n / (n - 1))
    assert estimate == pytest.approx(d * shift**2 / 2, abs=0.12)


def test_estimator_finds_the_divergence_of_other_widths():
    """N(0, 1) from N(0, s^2): KL = log s + 1/(2 s^2) - 1/2 a dimension."""
    d, n, s = 2, 3000, 3.0
    torch.manual_seed(2)
    p, q = torch.randn(n, d), s * torch.randn(n, d)
    expected = d * (math.log(s) + 1 / (2 * s**2) - 0.5)
    assert d * float(kl_divergence(p, q)) == pytest.approx(expected, abs=0.12)


def test_divergence_equals_a_loop_by_hand():
    torch.manual_seed(0)
    z, target = torch.rand(6, 4), torch.rand(9, 4)
    total = 0.0
    for i in range(6):
        to_target = min(torch.dist(z[i], q) for q in target)
        to_others = min(torch.dist(z[i], z[j]) for j in range(6) if j != i)
        total += math.log(to_target) - math.log(to_others)
    assert float(kl_divergence(z, target)) == pytest.approx(total / 6, abs=1e-5)


def similarity_by_hand(z, d, gamma, rho):
    n = len(z)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    D = {p: float((z[p[0]] - z[p[1]]).abs().sum()) for p in pairs}
    tau_z = sum(D.values()) / len(pairs)
    tau_d = sum(float(d[p]) for p in pairs) / len(pairs)
    w = {p: (gamma / (gamma + float(d[p]) / tau_d)) ** rho for p in pairs}
    gaps = sum(w[p] * abs(D[p] / tau_z - float(d[p]) / tau_d) for p in pairs)
    return gaps / sum(w.values())


def test_similarity_equals_a_loop_by_hand():
    torch.manual_seed(0)
    z, x = torch.rand(7, 5), F.normalize(torch.randn(7, 3), dim=1)
    d = 1 - x @ x.T
    expected = similarity_by_hand(z, d, 0.1, 2.0)
    assert float(relative_similarity(z, d, 0.1, 2.0)) == pytest.approx(expected, rel=1e-4)


def test_similarity_is_blind_to_the_scale_of_both_distances_and_zero_where_they_agree():
    torch.manual_seed(0)
    z, d = torch.rand(7, 5), torch.rand(7, 7)
    d = d + d.T
    loss = relative_similarity(z, d, 0.1, 2.0)
    torch.testing.assert_close(relative_similarity(3 * z, 7 * d, 0.1, 2.0), loss)
    own = torch.cdist(z, z, p=1)
    assert float(relative_similarity(z, own, 0.1, 2.0)) == pytest.approx(0, abs=1e-6)


def test_target_is_the_cosine_of_centred_features_and_zero_between_views():
    features = torch.randn(10, 6, generator=torch.Generator().manual_seed(0)) + 5
    index, views = torch.tensor([1, 4, 7]), torch.randn(2, 3, 6)

    def check(method):
        terms = method.loss(batch_of(method, views, index))
        x = F.normalize(features - features.mean(0), dim=1)[torch.cat([index, index])]
        d = 1 - x @ x.T
        assert d[0, 3].item() == pytest.approx(0, abs=1e-6)
        z = torch.sigmoid(method.project(views)).flatten(0, 1)
        expected = relative_similarity(z, d, method.gamma, 2.0)
        torch.testing.assert_close(terms["similarity"], expected)

    torch.manual_seed(0)
    keep = Keep(check)
    method = KLHash(6, 8, lambda_kl=0.0).fit(ViewBank(features, None, CPU), keep)
    assert keep.called
    torch.testing.assert_close(method.mu, features.mean(0))


def test_every_step_draws_a_fresh_target():
    torch.manual_seed(0)
    method = KLHash(6, 8)
    method.target = lambda rows: torch.rand(len(rows), len(rows))
    views = torch.randn(2, 4, 6)
    one, other = (method.loss(batch_of(method, views, seed=seed))["kl"] for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize("alpha", [0.03, 0.1, 0.5, 1.0, 3.0])
def test_target_has_the_distribution_that_it_is_named_after(alpha):
    generator = torch.Generator().manual_seed(0)
    x = symmetric_beta(alpha, (100, 200), generator).double()
    assert x.shape == (100, 200)
    assert ((x >= 0) & (x <= 1)).all()
    assert (x < 0.5).double().mean() == pytest.approx(0.5, abs=0.012)
    nearer = torch.minimum(x, 1 - x).flatten()
    expected = stats.beta(alpha, alpha)
    for quantile in (1e-6, 1e-4, 0.01, 0.1, 0.25, 0.4):
        below = (nearer < quantile).double().mean()
        assert below == pytest.approx(2 * expected.cdf(quantile), abs=0.012)
    small = x[x < 1e-12]  # of the lower end alone, where floats go on
    assert len(small) / x.numel() == pytest.approx(expected.cdf(1e-12), abs=0.012)


class Distances(ViewBank):
    """A training set whose target is given."""

    def __init__(self, d):
        x = torch.randn(len(d), 6, generator=torch.Generator().manual_seed(0))
        super().__init__(x, None, CPU)
        self.d = d

    def target_distances(self, rows, others):
        return self.d[rows][:, others]


CLASSES = torch.tensor([0, 1, 0, 2, 1])
BY_CLASS = (CLASSES[:, None] - CLASSES).abs() / 2.0


@pytest.mark.parametrize("cls", [KLHashCaptions, KLHashHierarchy])
def test_declared_target_replaces_the_distances_of_the_features(cls):
    index, views = torch.tensor([3, 0, 2]), torch.randn(2, 3, 6)

    def check(method):
        z = torch.sigmoid(method.project(views)).flatten(0, 1)
        d = BY_CLASS[index.repeat(2)][:, index.repeat(2)]
        terms = method.loss(batch_of(method, views, index))
        expected = relative_similarity(z, d, method.gamma, 2.0)
        torch.testing.assert_close(terms["similarity"], expected)
        assert set(terms) == {"similarity", "kl"}

    torch.manual_seed(0)
    keep = Keep(check)
    cls(6, 8, lambda_kl=0.0).fit(Distances(BY_CLASS), keep)
    assert keep.called


def test_what_a_method_learns_from_is_declared():
    assert KLHash.supervision == "none"
    assert KLHashCaptions.supervision == "captions"
    assert KLHashHierarchy.supervision == "hierarchy"


def test_classes_are_the_groups_at_distance_zero():
    groups = groups_at_zero(Distances(BY_CLASS))
    assert groups.tolist() == [0, 1, 0, 2, 1]


def test_an_image_apart_from_itself_is_a_group_of_its_own():
    d = BY_CLASS.clone()
    d[3] = d[:, 3] = 1.0
    assert groups_at_zero(Distances(d)).tolist() == [0, 1, 0, 2, 1]


def test_classification_term_is_the_cross_entropy_of_a_linear_layer_over_z():
    def check(method):
        index, views = torch.arange(5), torch.randn(2, 5, 6)
        got = method.loss(batch_of(method, views, index))["classification"]
        z = torch.sigmoid(method.project(views))
        both = torch.cat([method.classifier(z[0]), method.classifier(z[1])])
        expected = 0.5 * F.cross_entropy(both, torch.cat([CLASSES, CLASSES]))
        torch.testing.assert_close(got, expected)
        assert "classifier.weight" in {name for name, _ in method.named_parameters()}

    torch.manual_seed(0)
    keep = Keep(check)
    method = KLHashHierarchy(6, 8, lambda_cls=0.5).fit(Distances(BY_CLASS), keep)
    assert keep.called
    assert set(method.state_dict()) == set(KLHashHierarchy(6, 8).state_dict())
    assert vars(method).keys() == vars(KLHashHierarchy(6, 8)).keys()


def test_classes_that_overlap_are_refused():
    """Image 1 has both labels: it is at distance 0 from images that are apart."""
    d = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="some images have several labels; set lambda_cls = 0"):
        KLHashHierarchy(6, 8, lambda_cls=1.0).fit(Distances(d), Keep())
