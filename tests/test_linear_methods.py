"""Closed forms of a projection: what the authors' files compute, and what the papers promise."""

import numpy as np
import pytest
import torch

from methods import METHODS, dsh
from methods.cbe import largest_root, minimiser
from methods.dsh import balanced_pairs, clustered
from methods.functional import quantising_rotation
from methods.isohash import follow_gradient, lift_and_project
from methods.knnh import neighbours, smoothed
from methods.sh import lowest_modes
from methods.sklsh import neighbour_distance
from methods.statistics import centred_product, principal_axes
from tests.golden_arrays import CLOSE, arrays, check_scores, same_codes

LENGTHS = (8, 16)


def made(name, x, n_bits, inject=(), dtype=torch.float64, **settings):
    """Fit a method to x (N, D), with some of its buffers given, in double precision."""
    method = METHODS[name](x.shape[1], n_bits, **settings).to(dtype)
    for buffer, value in dict(inject).items():
        setattr(method, buffer, value.to(dtype) if value.is_floating_point() else value)
    return method.fit(x)


@pytest.mark.parametrize("k", LENGTHS)
def test_lsh_gives_the_scores_of_its_projection(golden, k):
    z = arrays(golden, "lsh")
    method = METHODS["lsh"](24, k).double()
    method.head.weight.copy_(z[f"projection_{k}"].T)
    check_scores(method.fit(z["x_train"]), z, f"scores_{{}}_{k}")


@pytest.mark.parametrize("k", LENGTHS)
def test_pcah_is_that_of_the_authors(golden, k):
    z = arrays(golden, "pcah")
    axes = principal_axes(z["x_train"].float())
    torch.testing.assert_close(axes.variances[:k], z[f"eigenvalues_{k}"], **CLOSE)
    torch.testing.assert_close(axes.leading(k), z[f"pca_{k}"], **CLOSE)
    check_scores(made("pcah", z["x_train"], k), z, f"scores_{{}}_{k}")


@pytest.mark.parametrize("k", LENGTHS)
def test_pca_rr_is_that_of_the_authors(golden, k):
    z = arrays(golden, "pcarr")
    check_scores(made("pca_rr", z["x_train"], k, {"R": z[f"rotation_{k}"]}), z, f"scores_{{}}_{k}")


@pytest.mark.parametrize("k", LENGTHS)
def test_itq_is_that_of_the_authors_and_its_objective_falls_as_theirs(golden, k):
    z = arrays(golden, "itq")
    check_scores(
        made("itq", z["x_train"], k, {"R_0": z[f"rotation_init_{k}"]}, n_iter=51),
        z,
        f"scores_{{}}_{k}",
    )
    V = centred_product(z["x_train"], z["mean"], z[f"pca_{k}"])
    R, losses = z[f"rotation_init_{k}"], []
    for _ in range(52):
        losses.append((torch.where(V @ R > 0, 1.0, -1.0) - V @ R).square().sum())
        R = quantising_rotation(V, R, 1)
    torch.testing.assert_close(torch.stack(losses), z[f"objective_{k}"], **CLOSE)
    learnt = quantising_rotation(V, z[f"rotation_init_{k}"], 51)
    torch.testing.assert_close(learnt, z[f"rotation_{k}"], **CLOSE)


@pytest.mark.parametrize("k", LENGTHS)
@pytest.mark.parametrize("n_iter", [25, 100])
def test_isohash_is_that_of_the_authors(golden, k, n_iter):
    z = arrays(golden, "isohash")
    start = z[f"rotation_init_{k}"]
    Q = lift_and_project(z[f"eigenvalues_{k}"], start, n_iter)
    torch.testing.assert_close(Q, z[f"rotation_{n_iter}_{k}"], **CLOSE)
    check_scores(
        made("isohash", z["x_train"], k, {"R_0": start}, n_iter=n_iter),
        z,
        f"scores_{{}}_{n_iter}_{k}",
    )


@pytest.mark.parametrize("k", [8, 16, 32])
def test_sh_is_that_of_the_authors(golden, k):
    z = arrays(golden, "sh")
    side, omega = lowest_modes(z[f"high_{k}"] - z[f"low_{k}"], k)
    torch.testing.assert_close(omega.square(), z[f"omega2_{k}"], **CLOSE)
    modes = torch.zeros_like(z[f"modes_{k}"])
    R = (z[f"high_{k}"] - z[f"low_{k}"])[side]
    modes[torch.arange(k), side] = (omega * R / torch.pi).round().long()
    assert torch.equal(modes, z[f"modes_{k}"])
    check_scores(made("sh", z["x_train"], k), z, f"scores_{{}}_{k}")


@pytest.mark.parametrize("k", LENGTHS)
@pytest.mark.parametrize("gamma", ["g1", "g001"])
def test_sklsh_is_that_of_its_draws(golden, k, gamma):
    z = arrays(golden, "sklsh")
    draws = {"w": z[f"gauss_{k}"], "phi": z[f"phase_{k}"], "t": z[f"threshold_{k}"]}
    settings = {"gamma": float(z[f"gamma_{gamma}"]), "scale": False}
    check_scores(made("sklsh", z["x_train"], k, draws, **settings), z, f"scores_{{}}_{gamma}_{k}")


@pytest.mark.parametrize("k", LENGTHS)
def test_knnh_is_that_of_the_authors(golden, k):
    z = arrays(golden, "knnh")
    V = centred_product(z["x_train"], z["mean"], z[f"pca_{k}"])
    near = neighbours(V, 20)
    assert torch.equal(near.sort(1).values, z[f"neighbours_{k}"].sort(1).values)
    torch.testing.assert_close(smoothed(V, near), z[f"smoothed_{k}"], **CLOSE)
    R = quantising_rotation(smoothed(V, near), z[f"rotation_init_{k}"], 1001)
    torch.testing.assert_close(R, z[f"rotation_{k}"], **CLOSE)
    learnt = smoothed(V, near) @ R > 0
    assert torch.equal(learnt, z[f"codes_train_gallery_{k}"].bool())
    check_scores(
        made("knnh", z["x_train"], k, {"R_0": z[f"rotation_init_{k}"]}), z, f"scores_{{}}_{k}"
    )


@pytest.mark.parametrize("k", LENGTHS)
def test_dsh_is_that_of_the_authors(golden, k):
    z = arrays(golden, "dsh")
    x, mu = z["x_train"], z["mean"]
    centres, sizes = clustered(x, mu, x[z[f"start_index_{k}"]] - mu, 3)
    torch.testing.assert_close(centres, z[f"cluster_centres_{k}"], **CLOSE)
    assert torch.equal(sizes, z[f"cluster_labels_{k}"].bincount())
    pairs = balanced_pairs(centres, sizes, 3)
    assert len(pairs) == len(z[f"candidate_ratio_{k}"])
    chosen = {tuple(sorted(pair)) for pair in z[f"selected_pairs_{k}"].tolist()}
    assert set(map(tuple, pairs[:k].tolist())) == chosen


@pytest.mark.parametrize("k", LENGTHS)
def test_dsh_gives_the_authors_scores_up_to_the_order_and_side_of_planes(golden, k, monkeypatch):
    z = arrays(golden, "dsh")
    monkeypatch.setattr(dsh, "some_rows", lambda X, m, seed: X[z[f"start_index_{k}"]])
    method = made("dsh", z["x_train"], k)
    apart = [torch.cdist(method.head.weight, side * z[f"normals_{k}"]) for side in (1, -1)]
    nearest = torch.minimum(*apart).argmin(1)
    assert nearest.sort().values.tolist() == list(range(k))
    side = torch.where(apart[0] < apart[1], 1.0, -1.0)[torch.arange(k), nearest]
    for rows in ("train", "test"):
        expected = side * z[f"scores_{rows}_{k}"][:, nearest]
        torch.testing.assert_close(method.project(z[f"x_{rows}"]), expected, **CLOSE)


def draws_of_cbe(z, k):
    return {"r_0": z["r_init"], "r": z["r_init"], "s": z["signs"], "outputs": torch.arange(k)}


def test_cbe_rand_is_the_circular_convolution_of_the_authors(golden):
    z = arrays(golden, "cbe")
    method = made("cbe", z["x_train"], 24, draws_of_cbe(z, 24))
    length = (z["x_train"] - z["mean"]).norm(dim=1, keepdim=True)
    scores = method.project(z["x_train"]) / length
    torch.testing.assert_close(scores, z["rand_scores_train_24"], **CLOSE)
    assert torch.equal(scores > 0, z["rand_codes_train_24"].bool())
    codes = method.float().encode(z["x_test"])
    same_codes(codes, z["rand_scores_test_24"], z["rand_codes_test_24"])


@pytest.mark.parametrize("k", LENGTHS)
def test_cbe_rand_takes_the_outputs_that_were_drawn(golden, k):
    z = arrays(golden, "cbe")
    chosen = z["bit_permutation"][:k]
    method = made("cbe", z["x_train"], k, draws_of_cbe(z, k) | {"outputs": chosen})
    assert torch.equal(method.project(z["x_test"]) > 0, z["rand_codes_test_24"][:, chosen].bool())
    assert len(METHODS["cbe"](24, k).outputs.unique()) == k


@pytest.mark.parametrize("k", LENGTHS)
def test_cbe_opt_takes_the_exact_step_of_the_authors_objective(golden, k):
    z = arrays(golden, "cbe")
    method = METHODS["cbe"](24, k, optimise=True)
    r, objective = method.learn(z["input_train"] * z["signs"], z["r_init"])
    torch.testing.assert_close(r, z[f"opt_r_closed_form_{k}"], **CLOSE)
    expected = z[f"opt_objective_closed_form_{k}"]
    torch.testing.assert_close(torch.tensor(objective, dtype=torch.float64), expected, **CLOSE)
    assert objective[0] == pytest.approx(float(z[f"opt_objective_{k}"][0]), rel=1e-7)
    assert objective == sorted(objective, reverse=True)
    fitted = made("cbe", z["x_train"], k, draws_of_cbe(z, k), optimise=True)
    for rows in ("train", "test"):
        codes = fitted.project(z[f"x_{rows}"]) > 0
        assert torch.equal(codes, z[f"opt_codes_{rows}_closed_form_{k}"].bool())
        authors = z[f"opt_codes_{rows}_{k}"].bool()
        assert (codes != authors).float().mean() < 0.01


@pytest.mark.parametrize("centred", [False, True])
def test_sign_is_binary_quantisation(golden, centred):
    z = arrays(golden, "binary_quantisation")
    method = METHODS["sign"](24, 24, centre=centred).fit(z["embedding_train"])
    part = "centred" if centred else "raw"
    for rows in ("train", "test"):
        codes = method.encode(z[f"embedding_{rows}"])
        assert torch.equal(codes, z[f"codes_{rows}_{part}"].bool())
        packed = torch.from_numpy(np.packbits(codes.numpy(), axis=1))
        assert torch.equal(packed, z[f"ubinary_{rows}_{part}"])


# What the papers promise


def decaying(n=400, d=20, seed=0):
    """Features with a mean far from 0 and a few directions that matter most, (N, D)."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) * torch.linspace(4, 0.2, d) + 5


def scores_of(name, x, n_bits, **settings):
    torch.manual_seed(0)
    method = METHODS[name](x.shape[1], n_bits, **settings).double().fit(x)
    return method.project(x.double())


@pytest.mark.parametrize("algorithm", ["lift_and_projection", "gradient_flow"])
@pytest.mark.parametrize("n_bits", [8, 20, 32])
def test_isohash_gives_every_bit_the_same_variance(algorithm, n_bits):
    x = decaying()
    variances = scores_of("isohash", x, n_bits, algorithm=algorithm).var(0)
    mean = principal_axes(x).variances[:n_bits].sum() / n_bits
    torch.testing.assert_close(variances, mean.expand(n_bits), rtol=1e-5, atol=0)


@pytest.mark.parametrize("rotate", [lift_and_project, follow_gradient])
def test_isohash_rotates(rotate):
    Lambda = torch.linspace(9, 1, 6, dtype=torch.float64)
    start = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    Q = rotate(Lambda, start, 1000)
    torch.testing.assert_close(Q.T @ Q, torch.eye(6, dtype=torch.float64), atol=1e-9, rtol=0)
    variances = ((Q.T * Lambda) @ Q).diagonal()
    torch.testing.assert_close(variances, variances.mean().expand(6), atol=0, rtol=2e-6)


def test_isohash_refuses_an_algorithm_it_does_not_know():
    with pytest.raises(ValueError, match="lift_and_projection, gradient_flow, got 'newton'"):
        METHODS["isohash"](4, 4, algorithm="newton")


def test_pca_rr_keeps_distances_in_the_principal_subspace():
    x = decaying()
    rotated, plain = (torch.pdist(scores_of(name, x, 6)) for name in ("pca_rr", "pcah"))
    torch.testing.assert_close(rotated, plain, rtol=1e-5, atol=1e-5)  # R is drawn in float32


def test_sh_fills_more_bits_than_features_with_higher_modes():
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([2, 1.3])
    side, omega = lowest_modes(x.amax(0) - x.amin(0), 16)
    assert sorted(side.tolist()) != side.tolist()
    assert omega.tolist() == sorted(omega.tolist())
    codes = scores_of("sh", x, 16) > 0
    assert len(codes.unique(dim=1).T) == 16


def test_sh_bits_are_waves_between_the_ends_of_an_axis():
    x = torch.linspace(-3, 5, 101, dtype=torch.float64)[:, None]
    scores = scores_of("sh", x.float(), 3)
    along = torch.pi * torch.linspace(0, 1, 101, dtype=torch.float64)
    expected = torch.stack([(j * along).cos() for j in (1, 2, 3)], 1)
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=0)


def test_sklsh_bits_differ_as_the_kernel_says():
    x = torch.tensor([[0.0, 0.0], [0.8, 0.6]])
    torch.manual_seed(0)
    codes = METHODS["sklsh"](2, 100_000, gamma=0.7, scale=False).fit(x).encode(x)
    m = torch.arange(1.0, 50)
    kernel = (-0.7 * m.square() / 2).exp()  # of points at distance m
    expected = 8 / torch.pi**2 * ((1 - kernel) / (4 * m.square() - 1)).sum()
    assert float((codes[0] != codes[1]).float().mean()) == pytest.approx(float(expected), abs=0.006)


def test_sklsh_codes_do_not_change_with_the_unit_of_the_features():
    x = decaying()
    assert torch.equal(scores_of("sklsh", x, 32) > 0, scores_of("sklsh", 64 * x, 32) > 0)


def test_the_scale_is_the_mean_distance_to_the_fiftieth_neighbour():
    x = decaying(n=1200)
    found = neighbour_distance(x, x.mean(0).double(), seed=3)
    exact = torch.cdist(x.double(), x.double()).kthvalue(51).values
    assert found == pytest.approx(float(exact.mean()), rel=0.02)


def test_images_with_fifty_copies_each_are_not_scaled():
    x = decaying(n=2).repeat_interleave(60, 0)
    assert neighbour_distance(x, x.mean(0).double(), seed=0) == 1


def test_knnh_neighbours_leave_the_row_itself_out_though_others_equal_it():
    near = neighbours(torch.tensor([[0.0], [0.0], [0.0], [9.0]], dtype=torch.float64), 2)
    assert [sorted(row) for row in near.tolist()[:3]] == [[1, 2], [0, 2], [0, 1]]


def test_dsh_orders_planes_by_the_images_on_the_smaller_side():
    centres = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    pairs = balanced_pairs(centres, torch.tensor([5, 1, 1, 3]), 1)
    # 0-1 leaves 5 and 5, 2-3 leaves 7 and 3, 1-2 leaves 6 and 4
    assert pairs.tolist() == [[0, 1], [1, 2], [2, 3]]


@pytest.mark.parametrize(("n_bits", "count"), [(2, 3), (3, 5), (8, 12)])
def test_dsh_has_one_and_a_half_clusters_for_each_bit_rounded_up(monkeypatch, n_bits, count):
    seen = []
    monkeypatch.setattr(
        "methods.dsh.clustered", lambda X, mu, c, n: seen.append(len(c)) or clustered(X, mu, c, n)
    )
    METHODS["dsh"](20, n_bits).fit(decaying())
    assert seen == [count]


def test_dsh_gives_an_empty_cluster_the_farthest_image():
    x = torch.tensor([[0.0], [1.0], [10.0]])
    zero, start = torch.zeros(1, dtype=torch.float64), torch.tensor([[0.5], [99.0]]).double()
    centres, sizes = clustered(x, zero, start, 5)
    assert centres.tolist() == [[0.5], [10.0]]
    assert sizes.tolist() == [2, 1]


def test_cbe_opt_lowers_its_objective_below_that_of_random_numbers():
    x = torch.nn.functional.normalize(decaying().double() - 5, dim=1)
    torch.manual_seed(0)
    method = METHODS["cbe"](20, 12, optimise=True)
    objectives = method.learn(x, method.r_0.double())[1]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] < 0.95 * objectives[0]


@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 1), (7, 4), (8, 8), (24, 9)])
def test_cbe_opt_steps_to_the_minimum_of_the_objective_as_it_is_written(d, k):
    torch.manual_seed(d)
    x = torch.nn.functional.normalize(torch.randn(30, d, dtype=torch.float64), dim=1)
    start, at = torch.randn(d, dtype=torch.float64), torch.arange(d)
    r, (found,) = METHODS["cbe"](d, k, optimise=True, n_iter=1, lambda_r=0.7).learn(x, start)

    def circulant(r):
        return r[(at[:, None] - at) % d]

    B = torch.where(x @ circulant(start).T >= 0, 1.0, -1.0).double()
    B[:, k:] = 0

    def objective(r):
        R = circulant(r)
        apart = (R @ R.T - torch.eye(d)).square().sum()
        return float((B - x @ R.T).square().sum() + 0.7 * apart)

    assert found == pytest.approx(objective(r), rel=1e-10)
    assert min(objective(r + 1e-3 * torch.randn(d)) for _ in range(50)) > found


@pytest.mark.parametrize("before", [-0.9, 0.9])
@pytest.mark.parametrize("slope", [-0.3, 0.3])
def test_the_real_frequency_of_cbe_opt_stays_in_its_basin(before, slope):
    one = torch.ones(1, dtype=torch.complex128)
    found = minimiser(one.real * 0.1, slope * one, 1.0, before * one)[0].real
    near = torch.linspace(before - 0.5, before + 0.5, 100_001, dtype=torch.float64)
    values = 0.1 * near.square() + slope * near + (near.square() - 1).square()
    assert float(found) == pytest.approx(float(near[values.argmin()]), abs=1e-5)


@pytest.mark.parametrize("c", [0.0, 3.0])
def test_a_real_frequency_with_one_basin_moves_there_or_keeps_its_side(c):
    one = torch.ones(1, dtype=torch.complex128)
    found = minimiser(one.real * 0.1, c * one, 1.0, 0.9 * one)[0]
    assert (float(found.real) > 0) == (c == 0)


@pytest.mark.parametrize("q", [-0.5, -0.01, 0.01, 0.3])
def test_the_largest_root_is_a_root_and_none_lies_above(q):
    p = torch.tensor([-1.0], dtype=torch.float64)
    found = largest_root(p, torch.tensor([q], dtype=torch.float64))
    roots = np.roots([1, 0, -1, q])
    assert float(found) == pytest.approx(max(roots[abs(roots.imag) < 1e-12].real))


def test_sign_of_a_prefix_takes_the_first_coordinates():
    x = torch.randn(50, 12)
    method = METHODS["sign"](12, 5, prefix=True).fit(x)
    assert torch.equal(method.encode(x), x[:, :5] > x[:, :5].mean(0))


def test_sign_draws_its_coordinates_and_takes_them_as_they_are():
    x = decaying()
    torch.manual_seed(0)
    method = METHODS["sign"](20, 5).fit(x)
    assert len(method.coordinates.unique()) == 5
    assert torch.equal(method.encode(x), (x > x.mean(0))[:, method.coordinates])
