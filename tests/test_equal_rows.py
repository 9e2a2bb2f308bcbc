"""Equal inputs get one code, however a matrix library rounds where they stand."""

import pytest
import torch

from methods.equal_rows import repeated_rows, row_keys
from methods.lsh import LSH

D, K = 9, 8


class Rounding(LSH):
    """Every score is at the threshold, and which side of it depends on the place of the row."""

    def project(self, x):
        place = torch.arange(len(x))[:, None] + torch.arange(self.n_bits)
        return 1e-9 * (-1.0) ** place


class TrainingSet:
    def __init__(self, features):
        self.features = features


def distinct(n=6, shape=(D,)):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


def repeats(x, chunk=5):
    """The first row that each is equal to."""
    found = torch.arange(len(x))
    for rows, first in repeated_rows(x, row_keys(x), chunk):
        found[rows] = first
    return found.tolist()


@pytest.mark.parametrize("shape", [(D,), (D + 1,), (3, D), (1,)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [4, 7, 8192])
def test_equal_inputs_get_one_code_wherever_they_stand(shape, dtype, chunk):
    order = torch.tensor([0, 1, 2, 1, 0, 3, 3, 4, 0, 5, 1, 2, 2])
    x = distinct(shape=shape).to(dtype)[order]
    codes = Rounding(D, K).encode(x, chunk)
    first = [order.tolist().index(i) for i in order]
    assert torch.equal(codes, codes[first])
    assert len(codes.unique(dim=0)) == 2  # rows that are not equal keep what was rounded


@pytest.mark.parametrize(("bits", "dim"), [(8, 10), (16, 64), (64, 432)])
def test_constant_features_get_one_code(bits, dim):
    for seed in range(10):
        torch.manual_seed(seed)
        method = LSH(dim, bits).fit(TrainingSet(torch.ones(54, dim)), None)
        assert len(method.encode(torch.ones(60, dim)).unique(dim=0)) == 1


def test_codes_of_other_inputs_are_the_signs_of_their_scores():
    method = LSH(D, 64)
    x = distinct(300)
    assert torch.equal(method.encode(x), method.project(x) > 0)


def test_zero_is_equal_to_minus_zero_and_nothing_to_nan():
    zeros = torch.tensor([[0.0, 1.0], [-0.0, 1.0]])
    assert repeats(zeros) == [0, 0]
    assert repeats(torch.tensor([[torch.nan, 1.0]] * 3)) == [0, 1, 2]


def test_rows_that_share_a_key_are_told_apart():
    x = torch.tensor([[1.0], [2.0], [1.0], [3.0], [2.0], [1.0], [3.0]])
    found = list(range(7))
    for rows, first in repeated_rows(x, torch.zeros(7, dtype=torch.int64), 2):
        for row, other in zip(rows.tolist(), first.tolist(), strict=True):
            found[row] = other
    assert found == [0, 1, 0, 3, 1, 0, 3]


@pytest.mark.parametrize(
    "x",
    [
        torch.eye(600),
        torch.eye(601)[:, 1:],
        torch.arange(5000.0)[:, None],
        torch.cartesian_prod(*12 * [torch.tensor([0.0, 1.0])]),
    ],
    ids=["eye", "eye without a column", "whole numbers", "truth values"],
)
def test_keys_of_simple_rows_are_hardly_ever_shared(x):
    assert row_keys(x).unique().numel() > 0.9 * len(x)
    assert repeats(x, 512) == list(range(len(x)))


def test_no_rows_are_no_error():
    assert LSH(D, K).encode(torch.empty(0, D)).shape == (0, K)


@pytest.mark.gpu
def test_a_gpu_finds_the_same_rows():
    x = distinct(50)[torch.randint(50, (500,), generator=torch.Generator().manual_seed(1))]
    keys = row_keys(x.cuda())
    assert torch.equal(keys.cpu(), row_keys(x))
    ((here, of_here),) = repeated_rows(x, row_keys(x), 64)
    ((there, of_there),) = repeated_rows(x.cuda(), keys, 64)
    assert torch.equal(there.cpu(), here)
    assert torch.equal(of_there.cpu(), of_here)
