"""Methods on anchor graphs: AGH with one layer and two, IMH and DGH."""

import pytest
import torch

from methods import dgh, imh, statistics
from methods.agh import AGH, AGH2
from methods.anchored import AnchorWeights
from methods.dgh import DGH
from methods.imh import IMH
from methods.statistics import anchor_graph
from tests.golden_arrays import CLOSE, SQUARED, arrays, check_scores, same_codes


@pytest.fixture
def stored_anchors(monkeypatch):
    """Let k-means end at anchors that are given."""

    def give(U):
        monkeypatch.setattr(statistics, "anchors", lambda *_: U)

    return give


def fitted(cls, z, n_bits, **settings):
    """Fit in float64, with buffers that keep it."""
    method = cls(24, n_bits, n_anchors=len(z["anchors"]), s=int(z["s"]), **settings)
    return method.double().fit(z["x_train"].float())


@pytest.mark.parametrize("name", ["agh", "imh", "dgh"])
def test_anchor_weights_match_the_stored_ones(golden, stored_anchors, name):
    z = arrays(golden, name)
    stored_anchors(z["anchors"])
    X = z["x_train"].float()
    graph = anchor_graph(X, len(z["anchors"]), int(z["s"]), 0)
    torch.testing.assert_close(graph.sigma, z["sigma"][0], **CLOSE)
    torch.testing.assert_close(
        graph.to_rows(torch.eye(len(graph.U)).double()), z["z_train"], **CLOSE
    )
    weights = AnchorWeights(24, len(graph.U), int(z["s"])).double()
    weights.keep(graph)
    found = weights(z["x_test"], torch.eye(len(graph.U)).double())
    torch.testing.assert_close(found, z["z_test"], **CLOSE)


@pytest.mark.parametrize("n_bits", [8, 16])
def test_agh_trains_to_the_scores_of_the_authors(golden, stored_anchors, n_bits):
    z = arrays(golden, "agh")
    stored_anchors(z["anchors"])
    method = fitted(AGH, z, n_bits)
    torch.testing.assert_close(method.W, z[f"one_layer_w_{n_bits}"], **CLOSE)
    check_scores(method, z, f"one_layer_scores_{{}}_{n_bits}", single=SQUARED)


@pytest.mark.parametrize("n_bits", [8, 16])
def test_agh2_trains_to_the_thresholds_of_the_authors(golden, stored_anchors, n_bits):
    z = arrays(golden, "agh")
    stored_anchors(z["anchors"])
    method = fitted(AGH2, z, n_bits)
    torch.testing.assert_close(method.W, z[f"two_layer_w_{n_bits}"], **CLOSE)
    torch.testing.assert_close(method.T, z[f"two_layer_thresholds_{n_bits}"], **CLOSE)
    check_scores(method, z, f"two_layer_scores_{{}}_{n_bits}", single=SQUARED)


@pytest.mark.parametrize("cls", [AGH, AGH2])
def test_agh_encodes_with_stored_parameters(golden, cls):
    z = arrays(golden, "agh")
    layer = "one_layer" if cls is AGH else "two_layer"
    method = cls(24, 8, n_anchors=30, s=5)
    stored = {"W": z[f"{layer}_w_8"], "anchors.U": z["anchors"], "anchors.sigma": z["sigma"][0]}
    if cls is AGH2:
        stored["T"] = z["two_layer_thresholds_8"]
    method.load_state_dict(stored)
    for part in ("train", "test"):
        expected = z[f"{layer}_scores_{part}_8"]
        scores = method.project(z[f"x_{part}"].float()).double()
        torch.testing.assert_close(scores, expected, **SQUARED)
        codes = method.encode(z[f"x_{part}"].float())
        same_codes(codes, expected, z[f"{layer}_codes_{part}_8"])


@pytest.mark.parametrize("n_bits", [8, 16])
def test_imh_trains_to_the_embedding_of_the_authors(golden, stored_anchors, n_bits):
    z = arrays(golden, "imh")
    stored_anchors(z["anchors"])
    method = fitted(IMH, z, n_bits, k=int(z["k"]))
    graph = anchor_graph(z["x_train"].float(), len(z["anchors"]), int(z["s"]), 0)
    torch.testing.assert_close(imh.laplacian(graph, int(z["k"])), z["graph_matrix"], **CLOSE)
    torch.testing.assert_close(method.W, z[f"embedding_{n_bits}"], **CLOSE)
    check_scores(method, z, f"scores_{{}}_{n_bits}", single=SQUARED)


@pytest.mark.parametrize("n_bits", [8, 16])
def test_dgh_takes_the_steps_of_the_stored_run(golden, stored_anchors, monkeypatch, n_bits):
    z = arrays(golden, "dgh")
    stored_anchors(z["anchors"])
    rho = float(z["rho"])
    graph = anchor_graph(z["x_train"].float(), len(z["anchors"]), int(z["s"]), 0)
    B, Y = dgh.rotated_start(graph, n_bits)
    assert torch.equal(B, z[f"b_init_r_{n_bits}"].double())
    torch.testing.assert_close(Y, z[f"y_init_r_{n_bits}"], **CLOSE)
    for start in "ri":
        given = (z[f"b_init_{start}_{n_bits}"].double(), z[f"y_init_{start}_{n_bits}"])
        values, real = [], dgh.objective
        monkeypatch.setattr(dgh, "objective", lambda *a, v=values, f=real: v.append(f(*a)) or v[-1])
        B = dgh.alternate(graph, *given, rho)
        monkeypatch.undo()
        stored_anchors(z["anchors"])
        assert torch.equal(B, z[f"b_{start}_{n_bits}"].double())
        assert values == pytest.approx(z[f"objective_{start}_{n_bits}"].tolist(), rel=1e-10)
        torch.testing.assert_close(dgh.balanced(B), z[f"y_{start}_{n_bits}"], **CLOSE)
    method = fitted(DGH, z, n_bits, rho=rho)
    torch.testing.assert_close(method.W.T, z[f"w_r_{n_bits}"], **CLOSE)
    check_scores(method, z, f"scores_{{}}_r_{n_bits}", ["test"], SQUARED)


METHODS = [AGH, AGH2, IMH, DGH]


def islands(n=120, far=1e3):
    """Two clusters that no anchor ties together."""
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(0))
    return x + far * (torch.arange(n)[:, None] % 2)


def test_points_of_another_part_have_the_score_zero(caplog):
    x = islands()
    for cls in (AGH, AGH2):
        method = cls(5, 4, n_anchors=30, s=3).fit(x)
        reached = method.project(x)[:, :2] != 0
        for vector in reached.T:
            assert {bool(vector[0::2].any()), bool(vector[1::2].any())} == {True, False}
        assert "the anchor graph is in 2 parts; a larger s joins them" in caplog.text
        caplog.clear()
        assert method.project(x)[~reached.repeat(1, 4 // reached.shape[1])].abs().max() == 0
    AGH(5, 4, n_anchors=30, s=30).fit(islands(far=3))
    assert not caplog.text


def test_a_graph_in_parts_is_told_apart_by_dgh():
    codes = DGH(5, 1, n_anchors=30, s=3).fit(islands()).encode(islands())
    assert (codes[0::2] == codes[0]).all()
    assert (codes[1::2] != codes[0]).all()


@pytest.mark.parametrize("cls", METHODS)
def test_bits_beyond_the_vectors_have_the_score_zero(cls):
    x = islands(far=0)
    method = cls(5, 32, n_anchors=6, s=6).fit(x)
    scores = method.project(x)
    per_vector = 2 if cls is AGH2 else 1
    alive = scores.abs().sum(0) > 0
    assert alive.sum() == 5 * per_vector


@pytest.mark.parametrize("cls", METHODS)
def test_rows_may_be_fewer_than_anchors_and_alike(cls):
    few = islands(7)
    alike = few[torch.arange(50) % 3]
    same = torch.full((20, 5), 0.1)
    for x in (few, alike, same, few[:1]):
        method = cls(5, 4).fit(x)
        assert method.project(x).isfinite().all()
    assert not cls(5, 4).fit(same).project(same).any()


def test_a_length_that_two_layers_cannot_give_is_refused():
    with pytest.raises(ValueError, match=r"AGH2: n_bits must be even, .* got 7; 6 and 8 work"):
        AGH2(5, 7)
    with pytest.raises(ValueError, match="got 1; 2 and 4 work"):
        AGH2(5, 1)


def test_dgh_raises_rho_until_bits_are_balanced_and_says_so(monkeypatch, caplog):
    x = islands(200, far=0)
    graph = anchor_graph(x, 30, 5, 0)
    start = dgh.rotated_start(graph, 8)
    constant, tried = torch.ones(200, 8).double(), []
    monkeypatch.setattr(
        dgh, "alternate", lambda g, B, Y, rho: tried.append(rho) or (constant if rho < 9 else B)
    )
    method = DGH(5, 8, n_anchors=30, rho=2.5).fit(x)
    assert tried == [2.5, 5, 10]
    torch.testing.assert_close(method.W.double()[:30], dgh.smoothed(graph, start[0]))
    assert caplog.messages == ["DGH: rho = 10 instead of 2.5, for balanced bits"]
    caplog.clear()
    DGH(5, 8, n_anchors=30, rho=9.0).fit(x)
    assert not caplog.messages


def test_dgh_says_how_many_bits_no_rho_balanced(monkeypatch, caplog):
    B = torch.ones(200, 8).double()
    B[:10, 0] = B[:100, 1:6] = -1  # the first bit is alike for 95% exactly, two for all images
    monkeypatch.setattr(dgh, "alternate", lambda *_: B)
    DGH(5, 8, n_anchors=30, rho=1.0).fit(islands(200, far=0))
    assert caplog.messages == [
        "DGH: rho = 1024 instead of 1, for balanced bits",
        "DGH: 2 of 8 bits are alike for more than 95% of the images",
    ]


def test_y_is_completed_where_bits_repeat():
    B = torch.ones(50, 4).double()
    B[::2, 1:] = -1
    Y = dgh.balanced(B)
    torch.testing.assert_close(Y.T @ Y, 50 * torch.eye(4).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(Y.sum(0), torch.zeros(4).double(), atol=1e-9, rtol=0)
    assert Y.abs().max() < 25  # no bit on a single row


def test_lengths_and_methods_share_one_graph(monkeypatch):
    found, real = [], statistics.k_means
    monkeypatch.setattr(statistics, "k_means", lambda *a: found.append(1) or real(*a))
    x = islands()
    for cls in METHODS:
        for n_bits in (4, 8):
            cls(5, n_bits, n_anchors=30).fit(x)
    assert len(found) == 1
