import pytest
import torch

from methods import kmh, newton
from methods.kmh import KMH
from methods.statistics import dealt, principal_axes
from tests.golden_arrays import CLOSE, arrays

CASES = pytest.mark.parametrize(("b", "n_bits"), [(2, 8), (4, 8), (2, 16), (4, 16)])


@pytest.fixture
def z(golden):
    return arrays(golden, "kmh")


@CASES
def test_rotation_and_corners_are_those_of_the_authors(z, b, n_bits):
    name, M = f"b{b}_{n_bits}", n_bits // b
    axes = principal_axes(z["x_train"].float())
    R = axes.vectors[:, dealt(axes.variances, M, 24 // M)]
    torch.testing.assert_close(R, z[f"rotation_{name}"], **CLOSE)
    Y = ((z["x_train"] - axes.mean) @ R).view(300, M, 24 // M).transpose(0, 1)
    centres, h = kmh.corners(Y, b)
    torch.testing.assert_close(centres, z[f"centres_init_{name}"], **CLOSE)
    torch.testing.assert_close(h[:, 0, 1], 2 * z[f"scale_{name}"])


@CASES
def test_it_trains_to_the_centres_and_codes_of_the_exact_minimiser(z, b, n_bits):
    name = f"b{b}_{n_bits}"
    x = z["x_train"].float()
    method = KMH(24, n_bits, b=b).double().fit(x)
    torch.testing.assert_close(method.centres, z[f"centres_{name}"], rtol=1e-6, atol=1e-6)
    for part in ("train", "test"):
        assert torch.equal(method.encode(z[f"x_{part}"]), z[f"codes_{part}_{name}"].bool())


def errors(Y, centres, h):
    """Quantisation and affinity errors of each subspace."""
    d2 = torch.cdist(Y, centres).square()
    least, nearest = d2.min(-1)
    p = torch.nn.functional.one_hot(nearest, h.shape[1]).double().mean(1)
    off = (torch.cdist(centres, centres) - h).square()
    return torch.stack([least.mean(1), (p[:, :, None] * p[:, None] * off).sum((1, 2))], 1)


@CASES
def test_the_objective_falls_to_that_of_the_authors(z, b, n_bits):
    name = f"b{b}_{n_bits}"
    method = KMH(24, n_bits, b=b).double().fit(z["x_train"].float())
    M, _, width = method.centres.shape
    Y = ((z["x_train"] - method.mu) @ method.R).view(300, M, width).transpose(0, 1)
    h = kmh.corners(Y, b)[1]
    found = errors(Y, method.centres, h)
    torch.testing.assert_close(found, z[f"objective_trace_{name}"][:, -1], rtol=1e-6, atol=0)
    weigh = torch.tensor([1.0, 10.0]).double()
    theirs = z[f"objective_fminunc_{name}"] @ weigh
    torch.testing.assert_close(found @ weigh, theirs, rtol=1e-2, atol=0)


def test_stored_centres_encode(z):
    method = KMH(24, 8, b=2)
    method.load_state_dict({"mu": z["mean"], "R": z["rotation_b2_8"], "centres": z["centres_b2_8"]})
    for part in ("train", "test"):
        assert torch.equal(method.encode(z[f"x_{part}"]), z[f"codes_{part}_b2_8"].bool())


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_the_best_place_has_no_slope_and_no_better_neighbour():
    others, h = random(6, 8, 5), random(6, 8, seed=1).abs() + 0.5
    mean, weights = random(6, 5, seed=2), random(6, 8, seed=3).abs()
    start = others.mean(1) + 0.1 * random(6, 5, seed=4)

    def value(c):
        off = (c[:, None] - others).norm(dim=-1) - h
        return (c - mean).square().sum(1) + (weights * off.square()).sum(1)

    best = newton.best_place(start, mean, others, h, weights).requires_grad_()
    (slope,) = torch.autograd.grad(value(best).sum(), best)
    assert slope.abs().max() < 1e-9
    assert (value(best) < value(start)).all()
    for seed in range(20):
        assert (value(best + 1e-3 * random(6, 5, seed=seed)) > value(best)).all()


@pytest.mark.parametrize("signs", [[1.0, 2.0], [1.0, -2.0]])
@pytest.mark.parametrize("n", [3, 9])
def test_a_step_divides_the_slope_by_the_absolute_curvatures(n, signs):
    alpha, U, slope = torch.tensor(signs).double()[:, None], random(2, n, 5), random(2, 5, seed=1)
    least = torch.full((2, 1), 1e-6).double()
    values, E = torch.linalg.eigh(U.mT @ U + alpha[..., None] * torch.eye(5))
    expected = E @ ((E.mT @ slope[..., None]) / values.abs()[..., None])
    found = newton.newton_steps(alpha, U, least)(slope)
    torch.testing.assert_close(found, expected.squeeze(-1), rtol=1e-9, atol=1e-12)


def test_an_empty_cluster_stays_and_pushes_nothing():
    centres, p = random(1, 4, 3), torch.tensor([[0.5, 0.5, 0.0, 0.0]]).double()
    S, h = random(1, 4, 3, seed=1), torch.ones(1, 4, 4).double()
    moved = kmh.improved(centres, h, p, S, 10.0)
    assert torch.equal(moved[:, 2:], centres[:, 2:])
    assert (moved[:, :2] != centres[:, :2]).all()
    elsewhere = centres.clone()
    elsewhere[:, 2:] += 5
    torch.testing.assert_close(kmh.improved(elsewhere, h, p, S, 10.0)[:, :2], moved[:, :2])


@pytest.mark.parametrize("n_bits", [12, 20, 32, 64])
def test_dimensions_are_added_where_subspaces_have_too_few(n_bits):
    """Ten dimensions make no 3, 5, 8 or 16 subspaces of 4 or more."""
    x = random(300, 10).float() + 5
    method = KMH(10, n_bits, n_iter=10).fit(x)
    R = method.R.double()
    torch.testing.assert_close(R @ R.T, torch.eye(10).double(), atol=1e-6, rtol=0)
    share = method.encode(x).double().mean(0)
    alive = (share > 0) & (share < 1)
    assert alive.sum() >= min(n_bits, 10)
    assert not share[~alive].any()
    assert KMH(10, n_bits).R.shape[1] >= max(10, n_bits)


@pytest.mark.parametrize(("n_bits", "ways"), [(18, "16 and 20"), (1, "4 and 8")])
def test_a_length_that_subspaces_cannot_give_is_refused(n_bits, ways):
    with pytest.raises(ValueError, match=f"multiple of b = 4, got {n_bits}; {ways} work, or anoth"):
        KMH(24, n_bits)


def test_rows_may_be_fewer_than_centres_and_alike():
    x = random(7, 6).float()
    same = torch.full((20, 6), 0.1)
    for given in (x, x[torch.arange(50) % 3], x[:1], same):
        assert KMH(6, 8).fit(given).project(given).isfinite().all()
    assert not KMH(6, 8).fit(same).project(same).any()
