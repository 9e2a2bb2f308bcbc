"""How the ranks of a training agree: what is next, and whether a stage went well everywhere.

They leave word in the key-value store of torchrun, which takes it also while a transfer of tensors
is stuck. Nothing here knows of methods or cells.
"""

from __future__ import annotations

import itertools
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from datasets.errors import one_line

GRACE = 30.0
"""Seconds that a rank which failed waits for the others to end the stage too."""
_LOOK_EVERY = 0.02
"""Seconds between two looks at what the others have said."""
_WELL = "well"


class RankError(Exception):
    """What went wrong on another rank; the message is one line meant for the user."""


class KeyValueStore(Protocol):
    """Where ranks leave word, by key: what they need of torch's `Store`."""

    def set(self, key: str, value: str, /) -> None:
        """Write."""
        ...

    def get(self, key: str, /) -> bytes:
        """Read."""
        ...

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number, 0 at first; returns the sum."""
        ...

    def check(self, keys: list[str], /) -> bool:
        """Whether all of the keys have been written."""
        ...


class RankGroup:
    """The ranks of one training, as one of them sees them.

    Parameters
    ----------
    rank : int
        Of this process; 0 leads.
    size : int
        How many there are.
    store : KeyValueStore or None
        None where there is one rank.

    Attributes
    ----------
    out_of_step : bool
        Whether this rank left a cell by an error that the others could not be told of, as they are
        in the middle of a step: this process has to end, and torchrun then ends the others.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: KeyValueStore | None = None) -> None:
        self.rank, self.size = rank, size
        self.out_of_step = False
        self._failed = False  # whether the last stage did, on whichever rank
        self._store = store
        self._orders = itertools.count()
        self._stages = itertools.count()

    def lead(self, digest: str) -> None:
        """Tell the others which cell is next; "" for none."""
        if self.rank == 0 and self._store is not None:
            self._store.set(f"rank_group/order/{next(self._orders)}", digest)

    @contextmanager
    def cell(self, digest: str) -> Iterator[None]:
        """Begin a cell on all ranks, if this is rank 0, and leave it."""
        self.lead(digest)
        try:
            yield
        except BaseException:
            self.out_of_step = self._store is not None and (self.out_of_step or not self._failed)
            raise

    def orders(self) -> Iterator[str]:
        """Digests of the cells that rank 0 goes through, as it comes to them."""
        assert self._store is not None, "one rank alone has nobody to follow"
        for number in self._orders:
            self._wait([f"rank_group/order/{number}"], None)
            digest = self._store.get(f"rank_group/order/{number}").decode()
            if not digest:
                return
            yield digest

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do a stage that is done when it is done on every rank, and fails on all if on one.

        Raises
        ------
        torch.OutOfMemoryError
            On every rank, if that is all that went wrong.
        RankError
            If another rank was the first to fail.
        """
        if self._store is None:
            yield
            return
        self._failed = False
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a time limit is no Exception
            self._settle(self._agree(error), error)
            raise
        self._settle(self._agree(None), None)

    def _agree(self, error: BaseException | None) -> list[_Failure]:
        """Say how a stage went here; returns what went wrong anywhere, the first failure first."""
        assert self._store is not None
        stage = f"rank_group/stage/{next(self._stages)}"
        word = _WELL
        if error is not None:
            order = self._store.add(f"{stage}/failures", 1)
            word = str(_Failure.of(order, self.rank, error))
        self._store.set(f"{stage}/{self.rank}", word)
        keys = [f"{stage}/{rank}" for rank in range(self.size)]
        if not self._wait(keys, None if error is None else GRACE):
            self.out_of_step = True
            keys = [f"{stage}/{self.rank}"]
        said = [self._store.get(key).decode() for key in keys]
        return sorted(_Failure.read(text) for text in said if text != _WELL)

    def _settle(self, failures: list[_Failure], own: BaseException | None) -> None:
        """Raise what a stage raises here, unless it is `own`.

        Whether it is that the memory was too small depends on all ranks alike.
        """
        if not failures:
            return
        self._failed = True
        first = failures[0]
        no_room = torch.OutOfMemoryError.__name__
        if all(failure.kind == no_room for failure in failures) and not self.out_of_step:
            if own is None:
                raise torch.OutOfMemoryError(f"rank {first.rank}: {first.message}")
            return
        if first.rank == self.rank and first.kind != no_room:
            return
        error = RankError(f"rank {first.rank}: {first.kind}: {first.message}")
        error.add_note(first.trace)
        raise error from own

    def _wait(self, keys: list[str], seconds: float | None) -> bool:
        """Wait until all keys are there, in short looks, so that a signal still gets through."""
        assert self._store is not None
        end = None if seconds is None else time.monotonic() + seconds
        while not self._store.check(keys):
            if end is not None and time.monotonic() > end:
                return False
            time.sleep(_LOOK_EVERY)
        return True

    def own_part(self, n: int) -> slice:
        """Which of `n` images are this rank's, where `size` divides `n`."""
        part = n // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def spread(self, codes_of: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """Codes of some rows, of which every rank computes a part and gets all.

        Parameters
        ----------
        codes_of : callable
            From rows to codes, bool (R, K).
        rows : Tensor, int64, shape (N,)

        Returns
        -------
        Tensor, bool, shape (N, K)
        """
        if self.size == 1:
            return codes_of(rows)
        whole = -(-len(rows) // self.size) * self.size  # equal parts: the first rows come again
        mine = rows[torch.arange(whole)[self.own_part(whole)] % len(rows)]
        with self.together():
            codes = codes_of(mine).to(torch.uint8)
        return self.gather(codes).flatten(0, 1)[: len(rows)].bool()

    def gather(self, tensor: Tensor) -> Tensor:
        """Tensors of all ranks, (...) -> (R, ...)."""
        every = tensor.new_empty(self.size, *tensor.shape)
        dist.all_gather(list(every), tensor.contiguous())
        return every

    def stop_if_out_of_step(self) -> None:
        """End this process, once it has noted what went wrong, if it cannot go on with the others.

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


class _Failure(NamedTuple):
    """What a rank says of its failure."""

    order: int
    rank: int
    kind: str
    message: str
    trace: str

    @classmethod
    def of(cls, order: int, rank: int, error: BaseException) -> _Failure:
        trace = "".join(traceback.format_exception(error))
        return cls(order, rank, type(error).__name__, one_line(error), trace)

    @classmethod
    def read(cls, text: str) -> _Failure:
        order, rank, kind, message, trace = text.split("\n", 4)
        return cls(int(order), int(rank), kind, message, trace)

    def __str__(self) -> str:
        return "\n".join(map(str, self))
