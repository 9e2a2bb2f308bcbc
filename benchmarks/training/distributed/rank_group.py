"""How the ranks of a training agree on the next cell, and on whether a stage of it went well.

torchrun starts the ranks, and ends them all once one exits with an error. What it does not do: a
cell that fails on one rank has to fail on all before they go on to the next, and all have to halve
their batches where one has no room. The ranks tell each other through torchrun's key-value store,
which answers also while a transfer of tensors is stuck.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from datasets.errors import one_line

if TYPE_CHECKING:  # what torch.distributed gives, under the one name that torch gives types to
    from torch._C._distributed_c10d import Store as KeyValueStore

GRACE = 30.0
"""Seconds that a rank which failed waits for the others to end the stage too."""
_LOOK_EVERY = 0.02
"""Seconds between two looks into the store: short, so that a signal gets through."""
_NO_ROOM, _OTHER = "no room", "other"


class RankError(Exception):
    """What went wrong on another rank; the message is one line meant for the user."""


class RankGroup:
    """The processes that train one method together, as one of them sees them.

    Parameters
    ----------
    rank : int
        Of this process; rank 0 chooses the cells and stores the records.
    size : int
        How many there are.
    store : torch.distributed.Store, optional
        The key-value store that all of them share; not needed by one rank alone.

    Attributes
    ----------
    out_of_step : bool
        Whether this rank left a cell by an error that the others do not share, as in the middle of
        a step, where they wait for its tensors. This process has to exit then, with an error.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: KeyValueStore | None = None) -> None:
        self.rank, self.size = rank, size
        self.out_of_step = False
        self._agreed = False  # whether the last stage failed, and did so on all ranks
        self._store: KeyValueStore = store or dist.HashStore()  # type: ignore[attr-defined]
        self._cells = itertools.count()
        self._stages = itertools.count()

    def announce(self, digest: str) -> None:
        """Tell the others, if this is rank 0, which cell is next; "" for none."""
        if self.rank == 0:
            self._store.set(f"cell/{next(self._cells)}", digest)

    def announced(self) -> Iterator[str]:
        """Yield the digests of the cells that rank 0 begins, as it begins them."""
        for number in self._cells:
            key = f"cell/{number}"
            self._wait(partial(self._store.check, [key]))
            digest = self._store.get(key).decode()
            if not digest:
                return
            yield digest

    @contextmanager
    def cell(self, digest: str) -> Iterator[None]:
        """Begin a cell, on all ranks if this is rank 0; notice where this rank leaves it alone."""
        self.announce(digest)
        try:
            yield
        except BaseException:
            self.out_of_step = self.size > 1 and not self._agreed
            raise

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do a stage that is done when it is done on every rank, and fails on all if on one.

        Raises
        ------
        torch.OutOfMemoryError
            On every rank, if the first that failed had no room.
        RankError
            If another rank was the first to fail.
        """
        if self.size == 1:
            yield
            return
        stage = f"stage/{next(self._stages)}"
        self._agreed = False
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a time limit is no Exception
            self._end(stage, error)
            raise
        self._end(stage, None)

    def _end(self, stage: str, error: BaseException | None) -> None:
        """Wait until a stage has ended on all ranks; raise what it raises here unless `error`."""
        key, own = f"{stage}/failure", ""
        if error is not None:
            kind = _NO_ROOM if isinstance(error, torch.OutOfMemoryError) else _OTHER
            trace = "".join(traceback.format_exception(error))
            own = f"{kind}\nrank {self.rank}: {type(error).__name__}: {one_line(error)}\n{trace}"
            self._store.compare_set(key, "", own)  # unless another rank has failed before
        self._store.add(f"{stage}/ended", 1)
        everywhere = self._wait(
            lambda: self._store.add(f"{stage}/ended", 0) == self.size,
            math.inf if error is None else GRACE,
        )
        if not self._store.check([key]):
            return
        self._agreed = everywhere
        first = self._store.get(key).decode()
        kind, message, trace = first.split("\n", 2)
        if kind == _NO_ROOM and everywhere:
            if not isinstance(error, torch.OutOfMemoryError):
                raise torch.OutOfMemoryError(message) from error
        elif kind == _NO_ROOM or first != own:
            told = RankError(message)
            told.add_note(trace)
            raise told from error

    def _wait(self, is_so: Callable[[], bool], seconds: float = math.inf) -> bool:
        """Wait until something is so; whether it came to that in time."""
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                return False
            time.sleep(_LOOK_EVERY)
        return True

    def stop_if_out_of_step(self) -> None:
        """End this process, once it has noted what went wrong, if the others wait for it in vain.

        Raises
        ------
        SystemExit
        """
        if self.out_of_step:
            sys.stderr.write(
                f"rank {self.rank} failed in the middle of a step, so all ranks end; "
                "the same command goes on with the other cells\n"
            )
            raise SystemExit(1)

    def own_part(self, n: int) -> slice:
        """Which of `n` images are this rank's, where `size` divides `n`."""
        part = n // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def spread(self, codes_of: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """Packed codes of some rows, of which every rank computes a part and gets all.

        Parameters
        ----------
        codes_of : callable
            From rows to packed codes, uint8 (R, B), on the device that tensors travel from.
        rows : Tensor, int64, shape (N,)

        Returns
        -------
        Tensor, uint8, shape (N, B)
        """
        if self.size == 1:
            return codes_of(rows)
        whole = -(-len(rows) // self.size) * self.size  # equal parts: the first rows come again
        mine = rows[torch.arange(whole)[self.own_part(whole)] % len(rows)]
        with self.together():
            codes = codes_of(mine)
        return self.gather(codes).flatten(0, 1)[: len(rows)]

    def gather(self, tensor: Tensor) -> Tensor:
        """Tensors of all ranks, (...) -> (R, ...)."""
        every = tensor.new_empty(self.size, *tensor.shape)
        dist.all_gather(list(every), tensor.contiguous())
        return every
