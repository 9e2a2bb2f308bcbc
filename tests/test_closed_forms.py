"""Hard cases of every closed form: what there is too little of makes bits that are never set."""

import pytest
import torch

from methods import METHODS, HashMethod

CLOSED = {name: {} for name, cls in METHODS.items() if cls.loss is HashMethod.loss}
VARIANTS = {"isohash": {"algorithm": "gradient_flow"}, "cbe": {"optimise": True}}


def drawn(n, d):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(n + d)) * 3 + 5


def with_constants(n, d):
    x = drawn(n, d)
    x[:, ::2] = 7.3
    return x


CASES = {
    "more bits than features": (drawn(60, 5), 16),
    "fewer images than bits": (drawn(6, 24), 16),
    "three images over and over": (drawn(3, 24).repeat(20, 1), 16),
    "half of the features constant": (with_constants(60, 12), 16),
    "one feature": (drawn(60, 1), 16),
    "two images": (drawn(2, 24), 16),
    "one image": (drawn(1, 24), 16),
    "all images alike": (torch.full((40, 12), 7.3), 16),
}

# How many of 16 bits have a score that is not exactly 0 for each image, in the order of CASES. Of
# LSH and SKLSH all bits exist: their planes and waves are drawn, whatever the images are.
BITS_THAT_EXIST = {
    "itq": (16, 16, 16, 16, 16, 16, 0, 0),
    "pca_rr": (16, 16, 16, 16, 16, 16, 0, 0),
    "isohash": (16, 16, 16, 16, 16, 16, 0, 0),
    "knnh": (16, 16, 16, 16, 16, 16, 0, 0),
    "sh": (16, 16, 16, 16, 16, 16, 0, 0),
    "pcah": (5, 5, 2, 6, 1, 1, 0, 0),
    "dsh": (16, 11, 3, 16, 16, 1, 0, 0),
    "cbe": (5, 16, 16, 12, 1, 16, 0, 0),
    "sign": (5, 16, 16, 6, 1, 16, 0, 0),
    "agh": (16, 5, 2, 16, 16, 1, 0, 0),
    "agh2": (16, 10, 4, 16, 16, 1, 0, 0),
    "imh": (16, 5, 2, 16, 16, 1, 0, 0),
    "dgh": (16, 5, 2, 16, 16, 1, 0, 0),
    "sph": (16, 16, 16, 16, 16, 16, 0, 0),
    "sgh": (16, 16, 16, 16, 16, 16, 0, 0),
    "kmh": (16, 16, 8, 16, 4, 4, 0, 0),
}


def fitted(name, x, n_bits, **settings):
    torch.manual_seed(0)
    return METHODS[name](x.shape[1], n_bits, **settings).fit(x)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("name", "settings"), [*CLOSED.items(), *VARIANTS.items()])
def test_scores_are_finite_and_a_second_fit_gives_them_again(name, settings, case):
    x, n_bits = CASES[case]
    method = fitted(name, x, n_bits, **settings)
    scores = method.project(x)
    assert scores.shape == (len(x), n_bits)
    assert scores.isfinite().all()
    again = method.fit(x.clone())  # a tensor of which nothing is known yet
    assert torch.equal(again.project(x), scores)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", BITS_THAT_EXIST)
def test_bits_that_do_not_exist_have_a_score_of_exactly_zero(name, case):
    x, n_bits = CASES[case]
    count = BITS_THAT_EXIST[name][list(CASES).index(case)]
    exist = (fitted(name, x, n_bits).project(x) != 0).any(0)
    assert int(exist.sum()) == count


def test_every_closed_form_says_which_bits_exist():
    assert {*BITS_THAT_EXIST, "lsh", "sklsh"} == {*CLOSED}


@pytest.mark.parametrize("name", CLOSED)
def test_two_images_get_two_codes(name):
    x, n_bits = CASES["two images"]
    assert len(fitted(name, x, n_bits).encode(x).unique(dim=0)) == 2
