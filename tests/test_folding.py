import copy

import pytest
import torch
from torch import nn

from benchmarks.features.fold_batch_norm import folded


class WithActivation(nn.BatchNorm2d):
    """As timm has it: the activation belongs to the normalisation."""

    def __init__(self, channels):
        super().__init__(channels)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(super().forward(x))


class Shared(nn.Module):
    """The output of its convolution goes two ways."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


class Twice(nn.Module):
    """One convolution with two normalisations."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 3, 1), norm(3), norm(3)

    def forward(self, x):
        return self.second(self.conv(self.first(self.conv(x))))


def norm(channels, kind=nn.BatchNorm2d):
    """A normalisation that has seen images, as those of trained networks have."""
    made = kind(channels)
    with torch.no_grad():
        for tensor in (made.weight, made.bias, made.running_mean, made.running_var):
            tensor.copy_(torch.rand(channels) + 0.5)
    return made


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def norms(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, WithActivation])
def test_a_folded_network_is_the_same_function(bias, kind):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, bias=bias), norm(8, kind), nn.Conv2d(8, 4, 3, bias=bias), norm(4)
    network = nn.Sequential(*layers).eval().requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    twin = folded(network, IMAGES)
    assert not norms(twin)
    other = torch.rand(3, 3, 9, 9)
    torch.testing.assert_close(twin(other), network(other))
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_a_normalisation_without_a_convolution_before_it_stays():
    torch.manual_seed(0)
    first = nn.Sequential(norm(3), nn.Conv2d(3, 4, 1), nn.ReLU(), norm(4)).eval()
    assert folded(first, IMAGES) is first
    network = nn.Sequential(norm(3), nn.Conv2d(3, 4, 1), norm(4)).eval()
    twin = folded(network, IMAGES)
    assert len(norms(twin)) == 1
    torch.testing.assert_close(twin(IMAGES), network(IMAGES))


@pytest.mark.parametrize("kind", [Shared, Twice])
def test_what_cannot_be_folded_stays_as_it_is(kind):
    torch.manual_seed(0)
    network = kind().eval()
    if kind is Shared:
        network.norm = norm(4).eval()
    assert folded(network, IMAGES) is network


def test_no_hook_stays_behind():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    for net in (folded(network, IMAGES), network):
        assert not any(module._forward_hooks for module in net.modules())
