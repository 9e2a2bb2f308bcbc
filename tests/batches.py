"""Batches of given views, with all else that a loss needs."""

import torch

from methods.base import Batch


def batch_of(method, views, index=None, seed=0):
    """A batch of views (V, B, ...); rows are counted from 0 unless they are given."""
    index = torch.arange(views.shape[1]) if index is None else index
    noise = method.noise(len(index), torch.Generator().manual_seed(seed))
    return Batch(views, index, torch.tensor(0.0), noise)
