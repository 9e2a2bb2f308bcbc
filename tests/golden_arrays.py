"""Arrays of the authors' own implementations of shallow methods."""

import copy

import numpy as np
import torch

CLOSE = {"rtol": 1e-8, "atol": 1e-10}
"""Tolerances in float64, with the stored draws."""


def arrays(golden, name):
    """Read the file of a method, as tensors."""
    with np.load(golden / "shallow" / f"{name}.npz", allow_pickle=False) as z:
        return {key: torch.from_numpy(z[key]) for key in z.files}


def same_codes(codes, scores, expected):
    """Compare bits where scores are clear of 0 in float32."""
    clear = scores.abs() > 1e-4 * scores.std(0)
    assert clear.double().mean() > 0.97
    assert torch.equal(codes[clear], expected.bool()[clear])


def check_scores(method, z, pattern, parts=("train", "test")):
    """Compare scores in float64 and codes in float32 with stored ones."""
    for part in parts:
        x, expected = z[f"x_{part}"], z[pattern.format(part)]
        torch.testing.assert_close(method.project(x), expected, **CLOSE)
        codes = z[pattern.format(part).replace("scores", "codes")]
        same_codes(copy.deepcopy(method).float().encode(x), expected, codes)
