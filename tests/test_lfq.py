"""LFQ and BSQ: the bottleneck's terms, by the library's values and by enumeration."""

import pytest
import torch

from methods.lfq import LFQ, code_entropy
from tests.released import assert_gradient, vectors


@pytest.mark.parametrize("kind", ["lfq", "bsq"])
def test_the_bottleneck_is_that_of_the_released_library(kind, golden):
    z = vectors(golden, "lfq")
    scores = z[f"{kind}_scores"].clone().requires_grad_()
    k = scores.shape[1]
    keys = {"r": "inverse_temperature", "gamma": "diversity", "w_e": "weight_entropy"}
    options = {name: float(z[key]) for name, key in keys.items()}
    w_c = float(z["weight_commitment"])
    method = LFQ(6, k, spherical=kind == "bsq", group=k, w_c=w_c, **options)
    q, terms = method.quantise(scores)
    torch.testing.assert_close(q, z[f"{kind}_quantised"])
    spread = z[f"{kind}_per_sample_entropy"] - z["diversity"] * z[f"{kind}_codebook_entropy"]
    scale = float(z["weight_entropy"] * z[f"{kind}_per_sample_entropy"])
    expected = pytest.approx(float(z["weight_entropy"] * spread), abs=3e-5 * scale)
    assert terms["entropy"].item() == expected
    commitment = float(z[f"{kind}_commitment"])
    assert terms["commitment"].item() == pytest.approx(w_c * commitment, rel=1e-5)
    (sum(terms.values()) + (q * z[f"{kind}_output_weights"]).sum()).backward()
    assert_gradient(scores.grad, z[f"{kind}_grad_scores"])


@pytest.mark.parametrize("spherical", [False, True])
def test_the_entropy_of_an_image_is_that_of_the_softmax_over_all_codes(spherical):
    h = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    method = LFQ(6, 5, spherical=spherical, r=0.7, w_e=1.0, gamma=0.0, w_c=0.0)
    a = 5**-0.5 if spherical else 1.0
    v = h / h.norm(dim=1, keepdim=True) if spherical else h
    codes = a * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 5)
    expected = torch.special.entr((2 * 0.7 * v @ codes.T).softmax(1)).sum(1).mean()
    torch.testing.assert_close(method.quantise(h)[1]["entropy"], expected)


def test_groups_of_bits_bound_the_joint_entropy_from_above():
    p = torch.rand(20, 6, generator=torch.Generator().manual_seed(0)).round(decimals=0)
    found = [code_entropy(p, group).item() for group in (1, 2, 4, 6)]
    assert found == sorted(found, reverse=True)
    _, counts = p.unique(dim=0, return_counts=True)
    assert found[-1] == pytest.approx(torch.special.entr(counts / 20).sum().item(), rel=1e-5)


def test_the_last_group_may_have_fewer_bits():
    p = torch.rand(20, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    alone = sum(code_entropy(bits, bits.shape[1]) for bits in p.split(3, dim=1))
    found = code_entropy(p, 3)
    torch.testing.assert_close(found, alone)
    slopes = [torch.autograd.grad(value, p)[0] for value in (found, alone)]
    torch.testing.assert_close(*slopes)


def test_a_group_that_is_too_large_to_enumerate_is_refused():
    with pytest.raises(ValueError, match="LFQ: group must be at most 12, got 13"):
        LFQ(6, 16, group=13)
