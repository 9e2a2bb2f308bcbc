"""Methods that go wrong on one rank, and the runner's command with little patience for them.

``torchrun ... -m tests.faulty_ranks ARGUMENTS``
"""

import torch

from benchmarks import run
from benchmarks.machine.environment import place
from benchmarks.training.distributed import rank_group
from benchmarks.training.distributed.torchrun import leave
from methods.cibhash import CIBHash


class Absent(CIBHash):
    """One rank cannot build it."""

    def __init__(self, in_dim, n_bits):
        super().__init__(in_dim, n_bits)
        if place().rank == 1:
            raise RuntimeError("not on this rank")


class Stumbles(CIBHash):
    """One rank fails in a step, while the other waits for it in the next."""

    def loss(self, batch):
        if place().rank == 1 and batch.progress > 0.4:
            raise RuntimeError("in the middle of a step")
        return super().loss(batch)


class TooLarge(CIBHash):
    """It never has room."""

    def loss(self, batch):
        raise torch.OutOfMemoryError("as CUDA says it")


if __name__ == "__main__":
    rank_group.GRACE = 1.0
    leave(run.main())
