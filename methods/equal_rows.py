"""Rows of a matrix that are equal to an earlier row, found without comparing all pairs.

A matrix library may add up a row of a product in another order where the row stands elsewhere, so
two equal rows may get scores that differ in the last digits, on either side of zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

_ODD = 0x5851F42D4C957F2D
_NUMBERS = 2**18
"""Numbers at a time: what a CPU holds in its cache."""


def row_keys(x: Tensor) -> Tensor:
    """Numbers that are the same for equal rows, and for others hardly ever.

    The bits of a row are taken as integers and mixed, and their products with fixed odd numbers are
    summed modulo 2^64: exact in any order.

    Parameters
    ----------
    x : Tensor, float32, shape (N, ...)

    Returns
    -------
    Tensor, int64, shape (N,)

    Examples
    --------
    >>> row_keys(torch.tensor([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0]])).unique().numel()
    2
    """
    x = x.flatten(1)
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, ((x.shape[1] + 1) // 2,), generator=generator) | 1
    factors = factors.to(x.device)
    keys = []
    for part in x.split(max(1, _NUMBERS // x.shape[1])):
        whole = F.pad(part + 0.0, (0, x.shape[1] % 2))  # -0 is equal to 0
        words = whole.contiguous().view(torch.int64)
        words *= _ODD
        words ^= words >> 32  # the last bits of simple numbers are all 0
        keys.append((words * factors).sum(1) if x.is_cuda else words @ factors)
    return torch.cat(keys)


def repeated_rows(x: Tensor, keys: Tensor, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Find rows that are equal to an earlier one as float32.

    Parameters
    ----------
    x : Tensor, shape (N, ...)
    keys : Tensor, int64, shape (N,)
        What `row_keys` gives for them, on any device.
    chunk : int
        Rows that are compared at a time.

    Yields
    ------
    tuple of Tensor, int64, shape (R,)
        Such rows, and the first row that each is equal to.

    Examples
    --------
    >>> x = torch.tensor([[1.0], [2.0], [1.0], [1.0]])
    >>> [(rows.tolist(), first.tolist()) for rows, first in repeated_rows(x, row_keys(x), 8192)]
    [([2, 3], [0, 0])]
    """
    left = torch.arange(len(x), device=keys.device)
    while len(left):
        ordered, order = keys[left].sort(stable=True)
        rows = left[order]
        begins = F.pad(ordered[1:] != ordered[:-1], (1, 0), value=True)
        first = rows[begins][begins.cumsum(0) - 1]  # of each key; it is done
        rows, first = (found[~begins].to(x.device) for found in (rows, first))
        pairs = zip(rows.split(chunk), first.split(chunk), strict=True)
        same = torch.cat([(x[a].float() == x[b].float()).flatten(1).all(1) for a, b in pairs])
        if same.any():
            yield rows[same], first[same]
        left = rows[~same].sort().values.to(keys.device)  # of a key that other rows have too
