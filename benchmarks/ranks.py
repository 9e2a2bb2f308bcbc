"""Several processes for one training, a rank each: ``torchrun ... -m benchmarks.run --finetune``.

Every rank runs the same command. Rank 0 leads: it alone leases cells, tells of them, stores and
renders. The others follow: they train along, and encode their share. Tensors travel by NCCL between
GPUs, by gloo between processes on the CPU; `benchmarks.crew` is how ranks agree on the rest.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from benchmarks.crew import Crew
from benchmarks.grid import Cell
from benchmarks.specs import GridError

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


class Place(NamedTuple):
    """Which of how many processes this one is, and its number on its machine."""

    rank: int
    size: int
    local_rank: int


def place() -> Place:
    """Place of this process, as torchrun says it; 0 of 1 without torchrun.

    Examples
    --------
    >>> place()
    Place(rank=0, size=1, local_rank=0)
    """
    rank, size, local_rank = (int(os.environ.get(name, 0)) for name in _TORCHRUN)
    return Place(rank, size, local_rank) if size > 1 else Place(0, 1, 0)


def own_device(name: str) -> str:
    """Device of this rank, given what the user said of all.

    Raises
    ------
    GridError
        If the user named one GPU for all ranks.
    """
    here = place()
    if here.size == 1 or name == "cpu":
        return name
    if name not in ("auto", "cuda"):
        raise GridError(f"--device {name}: each rank has a GPU of its own; give cuda, auto or cpu")
    on_cuda = name == "cuda" or torch.cuda.is_available()
    return f"cuda:{here.local_rank}" if on_cuda else "cpu"


def check_cells(cells: Sequence[Cell]) -> None:
    """Refuse cells that several ranks cannot share; yardsticks are left to rank 0.

    Raises
    ------
    GridError
        If a method is not fine-tuned, or a batch cannot be shared equally.
    """
    size = place().size
    for cell in cells if size > 1 else ():
        spec, n_train = cell.method, cell.suite.data.protocol.n_train
        if spec.cls is not None and not spec.finetune:
            raise GridError(
                f"--methods {spec.name}: torchrun shares the steps of --finetune, and this cell "
                "has none, it is work for one device; run it without torchrun, with --jobs or Dask"
            )
        batch = min(spec.recipe.batch_size, n_train)
        if spec.finetune and batch % size:
            raise GridError(
                f"torchrun: {size} ranks cannot share the batch of {batch} images of {spec.name} "
                f"equally; start another number, or set it with --set {spec.name}.batch_size=N"
            )


_crew = Crew()


def crew() -> Crew:
    """Return the ranks that this process trains with; itself alone where none has joined."""
    return _crew


@contextmanager
def joined(device: str) -> Iterator[Crew]:
    """Join the ranks that torchrun has started, on a device of this process.

    Without torchrun there is nothing to join. When rank 0 leaves, the others are told to.
    """
    global _crew
    here = place()
    if here.size == 1:
        yield _crew
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
    _crew = Crew(here.rank, here.size, store)
    try:
        yield _crew
    finally:
        if _crew.parted:  # an orderly end would wait for tensors that never come
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
        _crew.lead("")
        _crew = Crew()
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
