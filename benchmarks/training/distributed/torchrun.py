"""Several processes for one training, a rank each: ``torchrun ... -m benchmarks.run --finetune``.

Every rank runs the same command. Rank 0 alone chooses the cells, locks them, stores the records and
renders the report; the others train along and encode their share. Tensors travel by NCCL between
GPUs and by gloo between processes on the CPU. `RankGroup` is how the ranks agree on the rest.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from benchmarks.machine.environment import place
from benchmarks.training.distributed.rank_group import RankGroup

_current = RankGroup()


def current_group() -> RankGroup:
    """Return the ranks that this process trains with: itself alone, unless inside of `joined`."""
    return _current


@contextmanager
def joined(device: str) -> Iterator[RankGroup]:
    """Join the ranks that torchrun has started, on a device of this process.

    Without torchrun, the group is this process. When rank 0 leaves, the others are told that no
    more cells come.
    """
    global _current
    here = place()
    if here.size == 1:
        yield _current
        return
    on_cuda = device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(device)
    store, _, _ = next(rendezvous("env://"))
    dist.init_process_group(
        "nccl" if on_cuda else "gloo",
        store=store,
        rank=here.rank,
        world_size=here.size,
    )
    _current = RankGroup(here.rank, here.size, store)
    try:
        yield _current
    finally:
        if _current.out_of_step:  # an orderly end would wait for tensors that never come
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
        _current.announce("")
        _current = RankGroup()
    gc.collect()  # what still holds on to the group, in cycles, goes before it
    dist.barrier()
    dist.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End this process with an exit code.

    A rank ends without the interpreter's own end, in which threads of torch.distributed that are
    still there may abort it: torchrun would take that for a failure.
    """
    if place().size > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
