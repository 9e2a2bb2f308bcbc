import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import methods.wch
from benchmarks.training.training_sets import ViewBank
from methods import METHODS
from methods.functional import straight_through_sign
from methods.wch import WCH, balance, mutual_attention, patch_weights, weighted_contrastive
from tests.batches import batch_of
from tests.keep import Keep


@pytest.fixture
def vectors(golden):
    with np.load(golden / "wch.npz", allow_pickle=False) as z:
        return {name: torch.from_numpy(np.asarray(z[name])) for name in z.files}


def test_values_and_gradients_match_the_official_code(vectors, monkeypatch):
    monkeypatch.setattr(methods.wch, "_CHUNK", 6 * 9 * 9 * 2)  # two images at a time
    names = ("tokens_1", "tokens_2", "scores_1", "scores_2")
    t_1, t_2, s_1, s_2 = (vectors[name].clone().requires_grad_() for name in names)
    a_1, a_2 = mutual_attention(t_1, t_2)
    assert float(vectors["attention_temperature"]) == 1
    torch.testing.assert_close(a_1, vectors["attended_1"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(a_2, vectors["attended_2"], rtol=1e-5, atol=1e-6)
    w = patch_weights(a_1, a_2, float(vectors["weight_temperature"]))
    torch.testing.assert_close(w, vectors["weights"], rtol=1e-5, atol=1e-6)
    h_1, h_2 = (straight_through_sign(torch.tanh(s)) for s in (s_1, s_2))
    contrast = weighted_contrastive(h_1, h_2, w, float(vectors["logit_temperature"]))
    loss = contrast + balance(h_1)
    assert loss.item() == pytest.approx(vectors["loss"].item(), abs=1e-6)
    loss.backward()
    for name, tensor in zip(names, (t_1, t_2, s_1, s_2), strict=True):
        torch.testing.assert_close(tensor.grad, vectors[f"grad_{name}"], rtol=1e-4, atol=1e-7)


def tokens(b=5, t=4, d=6, seed=0):
    return torch.randn(2, b, t, d, generator=torch.Generator().manual_seed(seed))


def test_mutual_attention_arranges_each_view_at_the_places_of_the_other():
    """Cosines of 1 and 0, by hand: of three tokens one meets none, and one meets two."""
    e = math.e
    x_1 = torch.tensor([[[2.0, 0, 0], [0, 6, 0], [0, 0, 4]]])
    x_2 = torch.tensor([[[0.0, 3, 0], [0, 0, 5], [0, 7, 0]]])
    at_2, at_1 = mutual_attention(x_1, x_2)
    expected = torch.tensor([[[2, 6 * e, 4], [2, 6, 4 * e], [2, 6 * e, 4]]]) / (e + 2)
    torch.testing.assert_close(at_2, expected)
    weights = torch.tensor([[1, 1, 1], [e, 1, e], [1, e, 1]])  # of the tokens of view 2
    weights = weights / weights.sum(1, keepdim=True)
    torch.testing.assert_close(at_1, (weights @ x_2[0])[None])


def weights_by_hand(x_1, x_2, temperature):
    n, t = x_1.shape[:2]
    g = torch.zeros(n, n)
    for i in range(n):
        for j in range(n):
            best = [
                max(torch.cosine_similarity(x_1[i, p], x_2[j, q], dim=0) for q in range(t))
                for p in range(t)
            ]
            g[i, j] = sum(best) / t
    S = (g / temperature).softmax(1)
    return torch.stack([S[:, j] / S[j, j] for j in range(n)], 1)


@pytest.mark.parametrize("chunk", [1, 16, 10**9])
def test_patch_weights_equal_a_loop_by_hand_in_any_chunk(monkeypatch, chunk):
    monkeypatch.setattr(methods.wch, "_CHUNK", chunk)
    x_1, x_2 = tokens()
    w = patch_weights(x_1, x_2, 0.2)
    torch.testing.assert_close(w, weights_by_hand(x_1, x_2, 0.2), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(w.diagonal(), torch.ones(5))


def test_weighted_contrast_with_the_identity_is_plain_contrast():
    codes = torch.where(
        torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0)) > 0, 1.0, -1
    )
    loss = weighted_contrastive(*codes, torch.eye(6), 0.3)
    logits = codes[0] @ codes[1].T / (8 * 0.3)
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.arange(6)))


def test_balance_is_lowest_where_every_bit_is_half_on():
    balanced = torch.tensor([[1.0, -1], [-1, 1]])
    constant = torch.ones(2, 2)
    assert balance(balanced).item() == -1
    assert balance(constant).item() == 0


def test_codes_come_from_the_mean_of_plain_centred_tokens():
    torch.manual_seed(0)
    method = WCH(6, 8)
    x = tokens()[0]
    method.mu = torch.full((6,), 0.5)
    expected = method.head(method.norm((x - 0.5).mean(1)))
    torch.testing.assert_close(method.project(x), expected)


@pytest.mark.parametrize("centre", [True, False])
def test_training_takes_the_mean_token_off_all_tokens_where_asked(centre):
    x = tokens()[0] + 5
    data = ViewBank(x, None, torch.device("cpu"))
    method = WCH(6, 8, centre=centre).fit(data, Keep())
    torch.testing.assert_close(method.mu, x.mean((0, 1)) if centre else torch.zeros(6))


def test_head_can_be_replaced_to_check_the_loss_on_given_scores():
    method = WCH(6, 6, tau_w=0.2, normalise=False)
    method.head, method.norm = nn.Identity(), nn.Identity()
    views = tokens()
    terms = method.loss(batch_of(method, views))
    x_1, x_2 = mutual_attention(*views)
    h_1, h_2 = (torch.where(x.mean(1) > 0, 1.0, -1.0) for x in (x_1, x_2))
    expected = weighted_contrastive(h_1, h_2, patch_weights(x_1, x_2, 0.2), 0.3)
    torch.testing.assert_close(terms["contrastive"], expected)
    torch.testing.assert_close(terms["regulariser"], balance(h_1))


def test_normalised_weights_make_the_contrast_a_cross_entropy_of_distributions():
    """Its lower bound is the entropy of the weights, reached where the codes agree with them."""
    views = tokens()
    method = WCH(6, 6, tau_w=0.2)
    method.head, method.norm = nn.Identity(), nn.Identity()
    loss = method.loss(batch_of(method, views))["contrastive"]
    w = patch_weights(*mutual_attention(*views), 0.2)
    w = w / w.sum(1, keepdim=True)
    assert loss > -(w * w.log()).sum(1).mean()
    assert loss < math.log(5) + 2 / 0.3


@pytest.mark.slow
@pytest.mark.parametrize("trains_backbone", [False, True])
def test_64_images_of_196_tokens_stay_below_a_gibibyte(trains_backbone):
    """Peak of the process in a child, over what it held before the step."""
    import subprocess
    import sys

    code = f"""
import resource, torch
from methods.wch import mutual_attention, patch_weights
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
torch.manual_seed(0)
x = torch.randn(2, 64, 196, 64).requires_grad_({trains_backbone})
small = patch_weights(*mutual_attention(*x[:, :2]), 0.2)
before = peak()
w = patch_weights(*mutual_attention(*x), 0.2)
if {trains_backbone}:
    w.sum().backward()
print(peak() - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 1.0


@pytest.mark.parametrize("shape", [(32, 8), (32, 1, 8)])
def test_images_without_patches_to_match_are_refused(shape):
    data = ViewBank(torch.randn(shape), None, torch.device("cpu"))
    with pytest.raises(ValueError, match=r"needs two tokens an image or more.*--input-size"):
        WCH(8, 16).fit(data, Keep())


def test_the_official_start_of_the_head_is_kaimings_by_fan_out():
    torch.manual_seed(0)
    method = WCH(400, 600, hidden=1000, official_init=True)
    for layer in (method.head[0], method.head[2]):
        bound = math.sqrt(6 / layer.out_features)
        assert 0.99 * bound < layer.weight.abs().max() <= bound
        assert layer.bias.std().item() == pytest.approx(1, abs=0.1)
    assert METHODS["wch"].published.params["official_init"]
