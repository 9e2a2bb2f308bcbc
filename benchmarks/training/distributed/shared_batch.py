"""End-to-end training on several ranks: each has a part of every batch, the loss sees all of it.

Every rank draws the order and the views of the whole batch alike, runs the backbone on its part,
and gathers the features of the others. So each computes the loss of the whole batch, whose gradient
at its own features it knows without asking: contrast is among B images, not among B / R of them.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.training.distributed.rank_group import RankError
from benchmarks.training.distributed.torchrun import current_group
from benchmarks.training.training_sets import EndToEnd
from methods.base import HashMethod


class SharedBatch(EndToEnd):
    """`EndToEnd` of which every rank computes a part; parameters as there.

    `connect` comes before the first step.
    """

    def connect(self, method: HashMethod) -> None:
        """Start all ranks from the weights of rank 0, and keep them equal.

        Gradients of the backbone are summed over the ranks while the backward pass goes on. Those
        of the method are the same everywhere but for rounding, and rank 0's count.
        """
        for tensor in method.state():
            dist.broadcast(tensor.detach(), 0)
        for parameter in method.parameters():
            parameter.register_post_accumulate_grad_hook(_take_rank_0s)
        self._extract = DistributedDataParallel(
            _Module(self),  # without buffers: statistics of normalisation layers stay
            gradient_as_bucket_view=True,
            static_graph=True,  # which weights have no part in the features never changes
        )
        self._is_checked = False

    def _make(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Features of views of the whole batch, with gradients to this rank's part of it."""
        if not self._is_checked:
            _require_equal(index, drawn)
            self._is_checked = True
        mine = current_group().own_part(index.shape[-1])
        part = super()._make(index[..., mine], drawn[..., mine, :, :])
        features: Tensor = _Gather.apply(part, index.ndim)  # type: ignore[no-untyped-call]  # as torch has it
        return features


class _Module(nn.Module):
    """The backbone of a training set, as DistributedDataParallel wants it."""

    def __init__(self, data: EndToEnd) -> None:
        super().__init__()
        self.weights = nn.ParameterList(data.parameters())
        self._extract = data.extract_sparing

    def forward(self, images: Tensor) -> Tensor:
        return self._extract(images)


class _Gather(torch.autograd.Function):
    """From a rank's part of a batch to the whole of it, B / R images to B along an axis.

    Each rank computes the same loss of the whole, so the gradient of its part is that part of the
    gradient: nothing is sent back. It is multiplied by R because DistributedDataParallel takes the
    mean over ranks of what has to be a sum.
    """

    @staticmethod
    def forward(ctx: Any, part: Tensor, axis: int) -> Tensor:
        ctx.axis = axis
        return current_group().gather(part).movedim(0, axis).flatten(axis, axis + 1)

    @staticmethod
    def backward(ctx: Any, whole: Tensor) -> tuple[Tensor, None]:
        group = current_group()
        mine = group.own_part(whole.shape[ctx.axis])
        return whole.narrow(ctx.axis, mine.start, mine.stop - mine.start) * group.size, None


def _take_rank_0s(parameter: Tensor) -> None:
    """Overwrite the gradient that was just computed by that of rank 0."""
    assert parameter.grad is not None, "called when there is one"
    dist.broadcast(parameter.grad, 0)


def _require_equal(*drawn: Tensor) -> None:
    """Refuse to train where ranks have drawn different batches.

    Raises
    ------
    RankError
        On every rank.
    """
    sha = hashlib.sha256()
    for tensor in drawn:
        sha.update(tensor.cpu().numpy().tobytes())
    own = torch.tensor(int.from_bytes(sha.digest()[:7], "big"), device=drawn[0].device)
    if (current_group().gather(own) != own).any():
        raise RankError(
            "the ranks have drawn different batches: they went on from different checkpoints, or "
            "run different code; --out must be one folder for all of them, as must the checkout"
        )
