"""CIMON, and the spectral clusters that its labels agree with."""

import pytest
import torch
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

import methods.cimon
import methods.spectral
from benchmarks.training.training_sets import ViewBank
from methods.cimon import CIMON
from methods.pairs import unit_rows
from methods.spectral import cut_vectors, discretise, spectral_clusters
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, InOrder, assert_gradient, assert_value, vectors


def bank(n=80, d=12, spread=0.3):
    g = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(5, d, generator=g)
    plain = centres[torch.arange(n) % 5] + torch.randn(n, d, generator=g)
    return plain, plain[:, None] + spread * torch.randn(n, 4, d, generator=g)


def test_cimon_matches_the_released_code_in_labels_values_and_gradients(golden, monkeypatch):
    z = vectors(golden, "cimon")
    clusters = iter([z["clusters_1"], z["clusters_2"]])
    monkeypatch.setattr(methods.cimon, "spectral_clusters", lambda *given: next(clusters))
    options = {name: float(z[key]) for name, key in (("t", "threshold"), ("tau", "temperature"))}
    method = CIMON(16, 16, eta=float(z["eta"]), centre=False, **options)
    views = torch.stack([z["features_1"], z["features_2"]])
    method.prepare(InOrder(views[0], views.transpose(0, 1)))
    S, W = method.labels(torch.arange(60))
    for a in (0, 1):
        assert torch.equal(S[a], z[f"similarity_{a + 1}"])
        torch.testing.assert_close(W[a], z[f"weights_{a + 1}"], rtol=0, atol=1e-5)
    method.head = Given(z["scores_1"], z["scores_2"])
    terms = method.loss(batch_of(method, views[:, z["index"]], z["index"]))
    assert_value(terms["semantic"], sum(z[f"semantic_{ab}"] for ab in ("11", "12", "21", "22")))
    assert_value(terms["contrastive"], z["eta"] * z["contrastive"])
    assert_value(sum(terms.values()), z["loss"])
    sum(terms.values()).backward()
    for a in (0, 1):
        assert_gradient(method.head.scores.grad[a], z[f"grad_scores_{a + 1}"])


@pytest.mark.parametrize(("options", "share"), [({"share": 0.1}, 0.1), ({"t": 2.0}, 1.0)])
def test_a_share_of_the_pairs_is_similar_or_those_up_to_a_distance(options, share):
    method = CIMON(12, 8, **options)
    method.prepare(ViewBank(*bank()))
    S, _ = method.labels(torch.arange(80))
    off = ~torch.eye(80, dtype=torch.bool)
    assert float((S[:, off] > 0).float().mean()) == pytest.approx(share, abs=0.01)


def test_a_pair_weighs_most_where_it_is_sure_and_nothing_where_clusters_disagree():
    method = CIMON(12, 8, n_clusters=5)
    method.prepare(ViewBank(*bank()))
    rows = torch.arange(80)
    S, W = method.labels(rows)
    same = method.clusters[:, :, None] == method.clusters[:, None]
    assert (W[same != (S > 0)] == 0).all()
    d = 1 - method.unit @ method.unit.mT
    agreed = d[0][(S[0] < 0) & ~same[0]], W[0][(S[0] < 0) & ~same[0]]
    order = agreed[0].argsort()
    assert (agreed[1][order].diff() > -1e-4).all()
    assert agreed[1].max() > 0.9


def test_label_views_differ_between_seeds_and_are_dropped_after_training():
    drawn = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        method = CIMON(12, 8).fit(ViewBank(*bank()), Keep(lambda method: drawn.append(method.unit)))
        assert not hasattr(method, "unit")
        assert "unit" not in method.state_dict()
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_copies_of_one_image_alone_give_a_finite_loss():
    method = CIMON(12, 8, centre=False)
    plain, views = bank()
    method.prepare(ViewBank(plain[:1].expand(80, -1), views[:1, :1].expand(80, 4, -1)))
    terms = method.loss(batch_of(method, views[:8, :2].transpose(0, 1)))
    assert sum(terms.values()).isfinite()


def test_a_share_of_all_pairs_is_refused():
    with pytest.raises(ValueError, match="CIMON: share must be below 1, got 1"):
        CIMON(12, 8, share=1.0)


# Spectral clusters


def overlapping(n=400, d=30, k=6):
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(k, d, generator=g)
    return unit_rows(centres[torch.arange(n) % k] + 0.8 * torch.randn(n, d, generator=g))


def test_spectral_clusters_are_those_of_scikit_learn_on_the_golden_features(golden):
    z = vectors(golden, "cimon")
    for view in ("1", "2"):
        found = spectral_clusters(unit_rows(z[f"features_{view}"]), int(z["n_clusters"]), 0)
        assert adjusted_rand_score(z[f"clusters_{view}"], found) == 1


def test_spectral_clusters_are_nearly_those_of_scikit_learn_from_landmarks_too(monkeypatch):
    U = overlapping()
    theirs = SpectralClustering(6, gamma=1.0, assign_labels="discretize", random_state=0)
    expected = theirs.fit_predict(U.double().numpy())
    for landmarks in (400, 120):
        monkeypatch.setattr(methods.spectral, "N_LANDMARKS", landmarks)
        assert adjusted_rand_score(expected, spectral_clusters(U, 6, 0)) > 0.95


@pytest.mark.parametrize("landmarks", [400, 300])
def test_relaxed_indicators_span_what_those_of_the_whole_matrix_span(landmarks):
    U = overlapping().double()
    A = torch.exp(2 * U @ U.T - 2)
    roots = A.sum(1).sqrt()
    exact = torch.linalg.eigh(A / (roots * roots[:, None]))[1][:, -5:]
    found = cut_vectors(U.float(), 5, torch.randperm(400)[:landmarks]) * roots[:, None]
    cosines = torch.linalg.svdvals(exact.T @ torch.linalg.qr(found)[0])
    assert cosines.min() > (0.999999 if landmarks == 400 else 0.97)


def test_rotated_indicators_are_found_whatever_row_comes_first():
    g = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.arange(7), torch.randint(2, (60,), generator=g)])
    R = torch.linalg.qr(torch.randn(7, 7, generator=g, dtype=torch.float64))[0]
    vectors = (torch.eye(7).double() / labels.bincount().sqrt())[labels] @ R
    for start in range(10):
        assert adjusted_rand_score(labels, discretise(vectors, start)) == 1


@pytest.mark.parametrize("n_clusters", [1, 3, 70])
def test_there_are_no_more_clusters_than_images(n_clusters):
    found = spectral_clusters(overlapping(n=20), n_clusters, 0)
    assert found.shape == (20,)
    assert found.max() < min(n_clusters, 20)
