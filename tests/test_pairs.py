"""Distances of all pairs of a training set, and the labels that SSDH makes of them."""

import numpy as np
import pytest
import torch

import methods.pairs
from benchmarks.training.training_sets import ViewBank
from methods.pairs import pair_distances, views_of_all
from methods.ssdh import SSDH
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, assert_gradient, assert_value, vectors


def features(n=150, d=12, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).exp()


def by_hand(x, centre, first):
    """Mode, spreads and all distances from a whole matrix."""
    x = x.double() - x.double().mean(0) * centre
    u = x / x.norm(dim=1, keepdim=True)
    d = (1 - u @ u.T).fill_diagonal_(0).numpy()
    counts, edges = np.histogram(d[d > first], first + np.arange(201) / 100)
    mode = edges[counts.argmax()]
    sides = d[d <= mode], d[d > mode]
    return mode, *(np.sqrt(np.mean((side - mode) ** 2)) for side in sides), d


def test_an_image_with_itself_is_at_a_distance_of_exactly_nothing():
    """A few images, so that their own distances, rounded, would fill the first bin."""
    for seed in range(200):
        x = features(n=4, d=40, seed=seed)
        assert pair_distances(x, False, 0.0).mode == pytest.approx(by_hand(x, False, 0.0)[0])


@pytest.mark.parametrize("pairs", [1, 1000, 10**9])
@pytest.mark.parametrize("centre", [False, True])
def test_mode_and_spreads_are_those_of_the_whole_matrix_in_any_blocks(centre, pairs, monkeypatch):
    monkeypatch.setattr(methods.pairs, "_PAIRS", pairs)
    found = pair_distances(features(), centre, 0.0)
    mode, left, right, _ = by_hand(features(), centre, 0.0)
    assert (found.mode, found.left, found.right) == pytest.approx((mode, left, right), rel=1e-5)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.999])
def test_a_quantile_leaves_that_share_of_the_pairs_below(share):
    found = pair_distances(features(), True, 0.0)
    apart = by_hand(features(), True, 0.0)[-1][~np.eye(150, dtype=bool)]
    assert found.quantile(share) == pytest.approx(np.quantile(apart, share), abs=2e-3)
    assert found.share_up_to(found.quantile(share)) == pytest.approx(share, abs=2e-3)


def test_images_at_no_distance_have_spreads_of_nothing():
    found = pair_distances(torch.eye(3)[[0] * 5], False, 0.0)
    assert (found.mode, found.left, found.right) == (0, 0, 0)
    assert found.quantile(0.5) == 0


def test_distances_of_a_training_set_are_met_once_for_all_lengths(monkeypatch):
    met, real = [], methods.pairs._sums_by_bin
    monkeypatch.setattr(methods.pairs, "_sums_by_bin", lambda *d: met.append(1) or real(*d))
    data = ViewBank(features(), None)
    for n_bits in (8, 16):
        SSDH(12, n_bits).fit(data, Keep())
    assert len(met) == 2  # one block, and within it


def test_the_views_of_all_images_are_those_that_were_drawn_in_any_blocks(monkeypatch):
    data = ViewBank(features(), torch.randn(150, 4, 12))
    whole = views_of_all(data, 2, 7, torch.device("cpu"))
    monkeypatch.setattr(methods.pairs, "_IMAGES", 11)
    drawn = data.draw(150, 2, data.generator(7))
    assert torch.equal(whole, data.views(torch.arange(150), drawn))
    assert torch.equal(whole, views_of_all(data, 2, 7, torch.device("cpu")))


# SSDH


def test_ssdh_matches_the_released_code_in_labels_values_and_gradients(golden):
    z = vectors(golden, "ssdh")
    found = pair_distances(z["features"], False, -1e-8)
    expected = [z[name].item() for name in ("mode", "left_std", "right_std")]
    assert [found.mode, found.left, found.right] == pytest.approx(expected, rel=1e-6)
    method = SSDH(24, 16, centre=False)
    method.prepare(ViewBank(z["features"], None))
    assert torch.equal(method.labels(torch.arange(72)), z["similarity"])
    method.head = Given(z["scores"])
    terms = method.loss(batch_of(method, z["features"][z["index"]][None], z["index"]))
    assert_value(terms["structure"], z["loss"])
    terms["structure"].backward()
    assert_gradient(method.head.scores.grad[0], z["grad_scores"])


def test_ssdh_tells_what_shares_of_the_pairs_it_learns_from():
    x = features()
    method = SSDH(12, 8)
    method.prepare(ViewBank(x, None))
    S = method.labels(torch.arange(150))[~torch.eye(150, dtype=torch.bool)]
    shares = [float(side.float().mean()) for side in (S > 0, S < 0)]
    assert method.shares.tolist() == pytest.approx(shares, abs=2e-3)
    assert min(shares) > 0.01


def test_ssdh_drops_its_labels_when_it_is_trained():
    method = SSDH(12, 8).fit(ViewBank(features(), None), Keep())
    assert not hasattr(method, "labels")
