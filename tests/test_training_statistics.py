"""What methods take of a whole training set."""

import gc

import pytest
import torch

from methods import METHODS, statistics
from methods.statistics import anchors, dealt, k_means, mean_row, principal_axes


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(300, 6, generator=generator) * torch.tensor([5.0, 3, 2, 1, 1, 0]) + 7


def test_principal_axes_are_the_eigenvectors_of_the_covariance(x):
    axes, covariance = principal_axes(x), x.double().T.cov()
    torch.testing.assert_close(
        covariance @ axes.vectors, axes.vectors * axes.variances, atol=1e-9, rtol=1e-9
    )
    torch.testing.assert_close(axes.mean, x.double().mean(0))
    assert axes.variances.tolist() == sorted(axes.variances.tolist(), reverse=True)
    assert (axes.vectors.max(0).values >= -axes.vectors.min(0).values).all()


def test_a_direction_without_variance_is_no_principal_axis(x):
    axes = principal_axes(x)
    assert axes.variances[5] == 0
    assert axes.vectors.norm(dim=0).tolist() == pytest.approx([1, 1, 1, 1, 1, 0])
    assert axes.leading(8).shape == (6, 8)


def test_two_methods_find_the_principal_axes_once(x, monkeypatch):
    found, real = [], torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda m: found.append(1) or real(m))
    for n_bits in (4, 6):
        METHODS["itq"](6, n_bits).fit(x)
    assert len(found) == 1


def test_changed_features_are_other_features(x):
    before = principal_axes(x).mean
    x += 1
    torch.testing.assert_close(principal_axes(x).mean, before + 1)


def test_what_was_found_goes_with_the_features():
    gc.collect()
    before = len(statistics._known)
    x = torch.randn(5, 2)
    principal_axes(x)
    assert len(statistics._known) == before + 1
    del x
    gc.collect()
    assert len(statistics._known) == before


def test_the_mean_is_exact_to_float64_however_many_rows_there_are():
    x = torch.full((20_001, 3), 7.3)
    x[::2] += 2**-16
    exact = x[1].double() + 2**-16 * 10_001 / 20_001
    torch.testing.assert_close(mean_row(x), exact, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    "variances", [[5.0, 5.0, 2.0, 1.0, 0.0], [3.0, 0.0, 0.0, 0.0, 0.0], [0.0] * 5]
)
def test_every_axis_is_dealt_once_and_those_that_lack_fill_the_rest(variances):
    order = dealt(torch.tensor(variances).double(), 3, 3)
    assert sorted(order.tolist()) == list(range(9))
    assert all(part == sorted(part) for part in order.view(3, 3).tolist())
    assert order.view(3, 3)[:, 0].tolist() == [0, 1, 2]


def test_axes_are_dealt_to_the_part_of_the_smallest_product():
    variances = torch.tensor([2.0**8, 2.0**3, 2.0**3, 2.0**3, 2.0, 1.0]).double()
    assert dealt(variances, 2, 3).tolist() == [0, 4, 5, 1, 2, 3]


def test_anchors_are_the_means_of_the_rows_nearest_to_them(x):
    found = anchors(x, 7, 100, 3)
    nearest = torch.cdist(x.double(), found).argmin(1)
    for k in range(7):
        torch.testing.assert_close(found[k], x[nearest == k].double().mean(0), rtol=1e-5, atol=1e-5)
    assert not torch.equal(found, anchors(x, 7, 100, 4))
    assert torch.equal(found, anchors(x.clone(), 7, 100, 3))


def test_there_are_no_more_anchors_than_rows(x):
    assert anchors(x[:5], 9, 10, 0).shape == (5, 6)


def test_a_centre_without_rows_moves_to_the_row_farthest_from_its_own():
    x = torch.tensor([[0.0], [1.0], [10.0]])
    assert sorted(k_means(x, torch.tensor([[0.5], [99.0]]), 10).flatten().tolist()) == [0.5, 10.0]
