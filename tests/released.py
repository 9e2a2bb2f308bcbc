"""What released code computes, and how a method is asked to compute the same."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.training.training_sets import ViewBank


def vectors(golden, name):
    """Arrays of a file of golden vectors, as tensors."""
    with np.load(golden / "deep" / f"{name}.npz", allow_pickle=False) as z:
        return {key: torch.from_numpy(np.asarray(z[key])) for key in z.files}


class Given(nn.Module):
    """A head that gives these scores, whatever it is asked."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = torch.stack(scores).clone().requires_grad_()

    def forward(self, x):
        return self.scores.view(x.shape[:-1] + self.scores.shape[-1:])


class InOrder(ViewBank):
    """Hands out the first views of the bank in their order."""

    def draw(self, n, n_views, generator):
        return torch.arange(n_views).expand(n, -1)


def assert_value(found, expected):
    """Within 1e-5 of the value."""
    assert found.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-7)


def assert_gradient(found, expected):
    """Within 1e-4 of the largest magnitude."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
