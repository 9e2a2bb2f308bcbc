"""A method that centres its features takes the mean off wherever it looks at them."""

import inspect

import pytest
import torch

from benchmarks.training.training_sets import ViewBank
from methods import METHODS, HashMethod
from tests.batches import batch_of

CENTRED = [
    name
    for name, cls in METHODS.items()
    if cls.loss is not HashMethod.loss
    and cls.consumes == "features"
    and cls.supervision == "none"
    and "centre" in inspect.signature(cls).parameters
]
SHARES = {"ssdh": {"alpha": 0.5, "beta": 0.5}}  # with its own it judges no pair of so few


@pytest.mark.parametrize("name", CENTRED)
def test_a_part_that_all_features_share_changes_no_loss(name):
    g = torch.Generator().manual_seed(0)
    x, views = torch.randn(40, 12, generator=g), torch.randn(40, 4, 12, generator=g)
    found = []
    for shared in (0.0, 20.0):
        torch.manual_seed(0)
        method = METHODS[name](12, 8, centre=True, **SHARES.get(name, {}))
        method.prepare(ViewBank(x + shared, views + shared))
        seen = views[:16, : method.n_views].transpose(0, 1) + shared
        found.append(method.loss(batch_of(method, seen)))
    assert sum(found[0].values()) != 0
    for term, value in found[0].items():
        torch.testing.assert_close(found[1][term], value, rtol=1e-4, atol=1e-5)


def test_the_mean_is_written_into_the_buffer_in_its_precision():
    method = METHODS["bihalf"](12, 8, centre=True).double()
    mu, x = method.mu, torch.randn(40, 12)
    method.prepare(ViewBank(x, x[:, None]))
    assert method.mu is mu
    assert mu.dtype == torch.float64
    torch.testing.assert_close(mu.float(), x.mean(0))
