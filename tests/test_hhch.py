"""HHCH: its ball, its clusters of clusters, and its loss."""

import pytest
import torch

from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import ViewBank
from methods import Recipe
from methods.hhch import HHCH
from methods.hyperbolic import ball_clusters, ball_distances, to_ball
from tests.batches import batch_of
from tests.released import Given, vectors

SETTINGS = {
    "c": "curvature",
    "clip": "clip",
    "tau": "temperature",
    "lambda_q": "weight_quantisation",
}


def near(found, expected, share):
    """Within a share of the largest magnitude; the released code computes artanh in float32."""
    torch.testing.assert_close(
        found, expected.float(), rtol=0, atol=share * float(expected.abs().max())
    )


def released(z):
    k, width = z["scores_1"].shape[1], len(z["head_bias"])
    settings = {name: float(z[key]) for name, key in SETTINGS.items()}
    method = HHCH(8, k, width=width, dropout=0.0, **settings)
    method.prepare(ViewBank(torch.randn(len(z["level_0_assignment"]), 8), None))
    method.head = Given(z["scores_1"], z["scores_2"])
    method.outer.weight.data.copy_(z["head_weight"])
    method.outer.bias.data.copy_(z["head_bias"])
    member = torch.arange(len(z["level_0_assignment"]))
    for level in range(3):
        member = z[f"level_{level}_assignment"][member]
        method.member[level] = member
    levels = [z[f"level_{level}_centres"].float() for level in range(3)]
    method.centres, method.sizes = torch.cat(levels), [len(level) for level in levels]
    return method


def test_values_and_gradients_are_those_of_the_released_code(golden):
    z = vectors(golden, "hhch")
    method = released(z)
    assert torch.equal(method.member[:, z["index"]].T, z["batch_clusters"])
    p = [method.points(torch.tanh(z[f"scores_{view}"])) for view in (1, 2)]
    near(p[0], z["points_1"], 1e-4)
    near(p[1], z["points_2"], 1e-4)
    near(ball_distances(p[0], p[1], method.c), z["distances"], 1e-4)
    terms = method.loss(batch_of(method, torch.zeros(2, len(z["index"]), 8), z["index"]))
    for name in ("instance", "prototype"):
        near(terms[name], z[name], 1e-4)
    near(terms["quantisation"], z["quantisation"] * z["weight_quantisation"], 1e-4)
    total = sum(terms.values())
    near(total, z["loss"], 1e-4)
    total.backward()
    near(method.head.scores.grad[0], z["grad_scores_1"], 1e-3)
    near(method.head.scores.grad[1], z["grad_scores_2"], 1e-3)
    near(method.outer.weight.grad, z["grad_head_weight"], 1e-3)
    near(method.outer.bias.grad, z["grad_head_bias"], 1e-3)


def test_distances_are_those_of_moebius_addition():
    c, g = 0.4, torch.Generator().manual_seed(0)
    p, q = (to_ball(torch.randn(6, 5, generator=g), c, 2.0).double() for _ in range(2))
    for x, i in zip(-p, range(6), strict=True):
        for y, j in zip(q, range(6), strict=True):
            xy, xx, yy = x @ y, x @ x, y @ y
            sum_ = ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (
                1 + 2 * c * xy + c**2 * xx * yy
            )
            expected = 2 / c**0.5 * torch.atanh(c**0.5 * sum_.norm())
            assert ball_distances(p, q, c)[i, j].item() == pytest.approx(float(expected))


def test_points_stay_in_the_ball_and_gradients_stay_finite_at_its_centre_and_edge():
    y = torch.tensor([[0.0, 0.0], [1e6, 0.0], [1e-9, 0.0]], requires_grad=True)
    p = to_ball(y, 1.0, 50.0)
    assert p.norm(dim=1).tolist() == pytest.approx([0, 0.999, 0], abs=1e-6)
    ball_distances(p, p, 1.0).sum().backward()
    assert y.grad.isfinite().all()


def test_clusters_of_points_far_apart_are_found_and_centres_are_their_means():
    g = torch.Generator().manual_seed(3)
    at = torch.tensor([[0.6, 0.0], [-0.6, 0.0], [0.0, 0.6]])
    points = at[torch.arange(30) % 3] + 0.01 * torch.randn(30, 2, generator=g)
    found = [ball_clusters(points, 3, 1.0, 30, torch.Generator().manual_seed(s)) for s in range(20)]
    group = torch.arange(30) % 3
    right = [(cluster[:, None] == cluster).equal(group[:, None] == group) for _, cluster in found]
    assert sum(right) >= 5  # k-means ends elsewhere where a group gives it two points to begin
    for centres, cluster in found:
        for k in cluster.unique():
            torch.testing.assert_close(centres[k], points[cluster == k].mean(0))


def training_set(n=60):
    g = torch.Generator().manual_seed(0)
    x = 4 * torch.randn(3, 12, generator=g)[torch.arange(n) % 3] + torch.randn(n, 12, generator=g)
    return ViewBank(x, x[:, None] + 0.1 * torch.randn(n, 3, 12, generator=g))


def test_every_epoch_clusters_anew_and_each_level_holds_the_one_below():
    seen = []

    class Watched(HHCH):
        def refresh(self, data, generator):
            super().refresh(data, generator)
            seen.append((self.member.clone(), self.sizes))

    method = Watched(12, 8, fine=12, middle=9, coarse=2)
    method.fit(training_set(), Trainer(Recipe(epochs=3, batch_size=20), 0))
    assert len(seen) == 3
    assert not torch.equal(seen[0][0], seen[1][0])
    for member, sizes in seen:
        assert sizes == [12, 6, 2]
        for below, above in ((member[0], member[1]), (member[1], member[2])):
            assert all(len(above[below == k].unique()) <= 1 for k in range(12))
    assert not hasattr(method, "member")


def test_dropped_units_are_drawn_for_each_image_and_view_and_none_in_evaluation():
    method = HHCH(12, 8, dropout=0.25)
    data, drawn = training_set(), []
    method.prepare(data)
    for seed in (0, 1, 0):
        noise = method.noise(60, torch.Generator().manual_seed(seed))
        drawn.append(noise)
        assert noise.unique().tolist() == pytest.approx([0, 4 / 3])
        assert (noise == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    views = torch.stack([data.features, data.features])
    losses = [
        sum(method.loss(batch_of(method, views, seed=seed)).values()).item() for seed in (0, 1)
    ]
    assert losses[0] != losses[1]
    assert torch.equal(method.project(data.features), method.project(data.features))


def test_nothing_is_drawn_without_dropout():
    assert HHCH(12, 8, dropout=0.0).noise(4, torch.Generator()) is None


def test_a_dropout_of_all_is_refused():
    with pytest.raises(ValueError, match=r"HHCH: dropout must be below 1, got 1\.0"):
        HHCH(12, 8, dropout=1.0)
