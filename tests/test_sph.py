import numpy as np
import pytest
import torch

from benchmarks.evaluation.float_ranking import rank_floats
from benchmarks.grid.yardsticks.spherical import SphericalDistance
from methods.sph import SpH, half_way, spheres
from tests.golden_arrays import CLOSE, SQUARED, arrays, same_codes


@pytest.mark.parametrize("n_bits", [8, 16])
def test_spheres_move_as_those_of_the_authors(golden, n_bits):
    z = arrays(golden, "sph")
    x = z["x_train"].float()
    start = x[z[f"init_index_{n_bits}"]].double().mean(1)
    centres, trace = spheres(x, start, 300)
    torch.testing.assert_close(centres, z[f"centres_{n_bits}"], **CLOSE)
    assert len(trace) - 1 == z[f"iterations_{n_bits}"]
    found = torch.tensor(trace, dtype=torch.float64)
    torch.testing.assert_close(found, z[f"trace_{n_bits}"], **CLOSE)


@pytest.mark.parametrize("n_bits", [8, 16])
def test_codes_are_those_of_the_authors_also_on_the_spheres(golden, n_bits):
    z = arrays(golden, "sph")
    x = z["x_train"].float()
    method = SpH(24, n_bits)
    method.draws.copy_((z[f"init_index_{n_bits}"] + 0.5) / len(x))
    exact = SpH(24, n_bits).double()
    exact.draws.copy_(method.draws)
    method.fit(x)
    assert torch.equal(method.encode(x), z[f"codes_train_{n_bits}"].bool())
    assert torch.equal(method.encode(z["x_test"]), z[f"codes_test_{n_bits}"].bool())
    exact.fit(x)
    torch.testing.assert_close(exact.radii, z[f"radii_{n_bits}"], **CLOSE)
    for part in ("train", "test"):
        scores = exact.project(z[f"x_{part}"])
        torch.testing.assert_close(scores, z[f"scores_{part}_{n_bits}"], **CLOSE)


def test_stored_spheres_encode(golden):
    z = arrays(golden, "sph")
    method = SpH(24, 8)
    stored = {"centres": z["centres_8"], "radii": z["radii_8"], "draws": method.draws}
    method.load_state_dict(stored)
    for part in ("train", "test"):
        expected = z[f"scores_{part}_8"]
        torch.testing.assert_close(method.project(z[f"x_{part}"]).double(), expected, **SQUARED)
        same_codes(method.encode(z[f"x_{part}"]), expected, z[f"codes_{part}_8"])


def blobs(n=200, d=6):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0)) + 50


@pytest.mark.parametrize("n", [2, 7, 200])
def test_every_sphere_holds_half_of_the_rows(n):
    x = blobs(n)
    assert SpH(6, 8).fit(x).encode(x).sum(0).tolist() == [max(1, n // 2)] * 8


def test_the_loop_ends_at_its_cap_with_the_evenest_spheres():
    x = blobs(13)  # too few for even overlaps
    start = x[torch.arange(30).view(6, 5) % 13].double().mean(1)
    centres, trace = spheres(x, start, 25)
    assert len(trace) == 26
    excess = [max(mean / 0.10, std / 0.15) for mean, std in trace]
    best = min(range(1, 26), key=excess.__getitem__)
    assert excess[best] < excess[-1]
    torch.testing.assert_close(centres, spheres(x, start, best)[0])


def test_features_that_do_not_vary_give_bits_that_are_zero():
    x = torch.full((20, 6), 0.1)
    assert not SpH(6, 8, n_iter=3).fit(x).encode(x).any()


def test_half_of_one_row_is_that_row():
    assert half_way(torch.tensor([[2.0, 3.0]])).tolist() == [2, 3]


@pytest.mark.parametrize("n_bits", [8, 16])
def test_the_spherical_distance_ranks_as_that_of_the_authors(golden, n_bits):
    z = arrays(golden, "sph")
    method = SphericalDistance(24, n_bits)
    method.draws.copy_((z[f"init_index_{n_bits}"] + 0.5) / len(z["x_train"]))
    method.fit(z["x_train"].float())
    query, items = method.project(z["x_test"]), method.database(z["x_train"])
    assert torch.equal(items, z[f"codes_train_{n_bits}"].float())
    labels = (torch.arange(300) % 3 == 0)[:, None]
    (stats,) = rank_floats(query, torch.ones(50, 1), items, labels, rule=method.rule, device="cpu")
    distance = z[f"xor_test_train_{n_bits}"] / z[f"and_test_train_{n_bits}"].double()
    assert distance.isinf().any()
    for d, n, relevant in zip(distance, stats.items, stats.relevant, strict=True):
        level = d.unique(return_inverse=True)[1]
        share = torch.stack([labels[level == i].double().mean() for i in level.unique()])
        found = np.repeat(relevant[n > 0] / n[n > 0], n[n > 0])
        np.testing.assert_allclose(found, share[level.sort().values])
