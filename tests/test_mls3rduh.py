"""MLS3RDUH: labels of pairs by walks over mutual neighbours, and the loss on them."""

import pytest
import torch

from benchmarks.training.training_sets import ViewBank
from methods.mls3rduh import MLS3RDUH
from methods.walks import reached_neighbours
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, assert_gradient, assert_value, vectors

SHARES = {"near": "neighbours", "far": "manifold"}


def released(z):
    n, d = z["features"].shape
    shares = {name: (int(z[f"n_{key}"]) + 0.5) / n for name, key in SHARES.items()}
    method = MLS3RDUH(d, z["scores"].shape[1], a=float(z["alpha"]), centre=False, **shares)
    method.prepare(ViewBank(z["features"], None))
    return method


def test_labels_values_and_gradients_are_those_of_the_released_code(golden):
    z = vectors(golden, "mls3rduh")
    method = released(z)
    assert torch.equal((method.neighbours >= 0).any(1), z["kept"])
    S = method.labels(torch.arange(len(z["features"])))
    torch.testing.assert_close(S, z["similarity"], rtol=0, atol=1e-5)
    method.head = Given(z["scores"])
    term = method.loss(batch_of(method, z["features"][z["index"]][None], z["index"]))["similarity"]
    assert_value(term, z["loss"])
    term.backward()
    assert_gradient(method.head.scores.grad[0], z["grad_scores"])


def features(n=120, d=12):
    g = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(4, d, generator=g)
    return centres[torch.arange(n) % 4] + torch.randn(n, d, generator=g)


@pytest.mark.parametrize("rows", [7, 512])
def test_walks_are_those_of_the_dense_inverse_in_any_blocks(rows, monkeypatch):
    monkeypatch.setattr("methods.walks._ROWS", rows)
    x, k, most, a = features(), 9, 12, 0.9
    near, reached = reached_neighbours(x, True, k, most, a)
    u = torch.nn.functional.normalize(x - x.mean(0), dim=1).double()
    C = (u @ u.T).fill_diagonal_(-2)
    is_near = torch.zeros(120, 120, dtype=torch.bool).scatter_(1, C.topk(k, 1).indices, True)
    A = torch.where(is_near & is_near.T & (C > 1e-4), C, 0.0)
    root = A.sum(1).rsqrt().nan_to_num(posinf=0.0)
    M = torch.linalg.inv(torch.eye(120) - a * root[:, None] * A * root)
    is_far = torch.zeros_like(is_near).scatter_(1, M.topk(most, 1).indices, True) & (M > 0)
    is_kept = near >= 0
    assert is_kept.float().mean() > 0.9
    assert torch.equal(reached & is_kept, is_far.gather(1, near.clamp(min=0)) & is_kept)
    assert 0.1 < reached.float().mean() < 0.95


def test_an_image_without_a_mutual_neighbour_keeps_its_cosines():
    crowd = 1 + 0.1 * torch.randn(30, 12, generator=torch.Generator().manual_seed(0))
    x = torch.cat([crowd, -torch.ones(1, 12)])
    method = MLS3RDUH(12, 8, centre=False)
    method.prepare(ViewBank(x, None))
    assert (method.neighbours[30] == -1).all()
    assert not (method.neighbours == 30).any()
    S = method.labels(torch.arange(31))
    assert S[30, 30] == 1
    assert (S[30, :30] == -1).all()  # their cosines are below 0


def test_labels_are_there_for_the_training_alone():
    met = []
    data = ViewBank(features(), None)
    method = MLS3RDUH(12, 8).fit(data, Keep(lambda method: met.append(method.neighbours.shape)))
    assert met == [(120, 7)]
    assert not hasattr(method, "neighbours")


def test_a_share_of_all_images_is_refused():
    with pytest.raises(ValueError, match=r"MLS3RDUH: near, far and a must be below 1, got 1\.0"):
        MLS3RDUH(12, 8, near=1.0)
