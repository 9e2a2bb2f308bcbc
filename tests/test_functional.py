import math

import pytest
import torch

from methods.functional import nt_xent, straight_through_sign


def test_straight_through_sign_has_two_symbols_and_an_identity_gradient():
    x = torch.tensor([-1e-9, 0.0, 1e-9, 3.0], requires_grad=True)
    y = straight_through_sign(x)
    assert y.tolist() == [-1.0, -1.0, 1.0, 1.0]
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0, 4.0]


def nt_xent_by_hand(z_1, z_2, tau):
    z = torch.cat([z_1, z_2])
    n = len(z)
    total = 0.0
    for i in range(n):

        def similarity(j, i=i):
            return math.exp(float(torch.cosine_similarity(z[i], z[j], dim=0)) / tau)

        positive = similarity((i + n // 2) % n)
        total -= math.log(positive / sum(similarity(j) for j in range(n) if j != i))
    return total / n


@pytest.mark.parametrize("b", [1, 2, 7])
def test_nt_xent_equals_a_loop_by_hand(b):
    z_1, z_2 = torch.randn(2, b, 8, generator=torch.Generator().manual_seed(b))
    assert float(nt_xent(z_1, z_2, 0.3)) == pytest.approx(nt_xent_by_hand(z_1, z_2, 0.3), abs=1e-5)


def test_nt_xent_is_symmetric_in_the_views_and_blind_to_scale():
    z_1, z_2 = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    loss = nt_xent(z_1, z_2, 0.5)
    torch.testing.assert_close(nt_xent(z_2, z_1, 0.5), loss)
    torch.testing.assert_close(nt_xent(3 * z_1, 0.1 * z_2, 0.5), loss)


def test_nt_xent_of_identical_images_is_finite_and_uniform():
    z = torch.ones(4, 8, requires_grad=True)
    loss = nt_xent(z, z, 0.3)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(7))
    assert z.grad.isfinite().all()
