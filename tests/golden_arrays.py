"""Arrays of the authors' own implementations of shallow methods."""

import copy

import numpy as np
import pytest
import torch

CLOSE = {"rtol": 1e-8, "atol": 1e-10}
"""Tolerances in float64, with the stored draws."""
SINGLE = {"rtol": 1e-4, "atol": 1e-5}
"""Those in float32, where a score near 0 is a difference of numbers of about 10."""
SQUARED = {"rtol": 1e-3, "atol": 1e-6}
"""Those in float32 of methods on squared distances."""


def arrays(golden, name):
    """Read the file of a method, as tensors."""
    path = golden / "shallow" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"the golden vectors of {name} are absent")
    with np.load(path, allow_pickle=False) as z:
        return {key: torch.from_numpy(z[key]) for key in z.files}


def same_codes(codes, scores, expected):
    """Compare bits where scores are clear of 0 in float32."""
    clear = scores.abs() > 1e-4 * scores.std(0)
    assert clear.double().mean() > 0.97
    assert torch.equal(codes[clear], expected.bool()[clear])


def check_scores(method, z, pattern, parts=("train", "test"), single=SINGLE):
    """Compare scores and codes with stored ones, in float64 and in float32."""
    in_float32 = copy.deepcopy(method).float()
    for part in parts:
        x, expected = z[f"x_{part}"], z[pattern.format(part)]
        codes = z[pattern.format(part).replace("scores", "codes")]
        scores = method.project(x)
        torch.testing.assert_close(scores, expected, **CLOSE)
        assert torch.equal((scores > 0)[expected != 0], codes.bool()[expected != 0])
        torch.testing.assert_close(in_float32.project(x.float()).double(), expected, **single)
        same_codes(in_float32.encode(x), expected, codes)
