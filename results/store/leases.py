"""Leases: the locks by which runners that share a results folder never work on one cell.

A lease is a file beside the record to come, made by exclusive creation, which every file system
grants to one process alone. While the work goes on, its holder renews it; one that has not been
renewed for `STALE` seconds belongs to a dead process and may be taken over. So does one dated more
than that ahead: a living holder would have given it today's date. Its content tells what the holder
is doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from results.store.files import age, has_died, process_space, temporary, write_atomic

RENEW = 5.0
"""Seconds between two renewals."""
STALE = 60.0
"""Seconds without a renewal after which a lease may be taken over."""
SUFFIX = ".lease"


@dataclass(frozen=True)
class Holder:
    """What a lease says of its holder.

    Attributes
    ----------
    host, pid : str, int
        Where the work is done.
    token : str
        Tells this lease from any other of the same cell.
    since : float
        When it was taken, in seconds since the epoch.
    doing : str
        What the holder was doing when it last renewed the lease.
    space : str
        `process_space` of its process number; "" where that is not known.
    """

    host: str
    pid: int
    token: str
    since: float
    doing: str = ""
    space: str = ""

    @property
    def has_died(self) -> bool:
        """Whether it was a process that this one can look for, and is no more."""
        return self.space == process_space() and has_died(self.pid)


class Lease:
    """The right to work on one cell, renewed by a thread until it is released.

    Use `acquire`; release it by leaving its ``with`` block.
    """

    def __init__(self, path: Path, holder: Holder) -> None:
        self.path = path
        self._holder = holder
        self._doing = ""
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    @classmethod
    def acquire(cls, path: Path, stale: float = STALE) -> Lease | None:
        """Take the lease of a cell; None if another process works on it.

        Parameters
        ----------
        path : Path
            The lease's file; its folder is made.
        stale : float
            Seconds without a renewal after which another's lease is taken over.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = Holder(
            socket.gethostname(),
            os.getpid(),
            token=secrets.token_hex(8),
            since=time.time(),
            space=process_space(),
        )
        for _ in range(2):  # the second time after a stale one has been put away
            if _create(path, holder):
                lease = cls(path, holder)
                lease._thread.start()
                return lease
            if not put_away(path, stale):
                return None
        return None

    def tell(self, doing: str) -> None:
        """Say what is being done, from the next renewal on."""
        self._doing = doing

    @property
    def is_taken_over(self) -> bool:
        """Whether another process holds the lease now: this one was taken for dead."""
        holder = read_lease(self.path)
        return holder is not None and holder.token != self._holder.token

    def release(self) -> None:
        """Give the lease back, unless it was taken over in the meantime."""
        self._released.set()
        self._thread.join()
        if _token(self.path) == self._holder.token:
            self.path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._released.wait(RENEW):
            if _token(self.path) != self._holder.token:
                return  # taken over: this process was taken for dead
            told = {**asdict(self._holder), "doing": self._doing}
            try:
                write_atomic(self.path, json.dumps(told).encode())
            except OSError:  # a disk that is full takes the sign of life still
                with contextlib.suppress(OSError):
                    os.utime(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def read_lease(path: Path, stale: float = STALE) -> Holder | None:
    """Return who holds a lease; None if nobody does, or whoever did is dead."""
    return None if _is_stale(path, stale) in (None, True) else _read(path)


def _create(path: Path, holder: Holder) -> bool:
    """Make the file, or find that it is there already."""
    try:
        file = path.open("x")  # until it is written, it counts as another's
    except FileExistsError:
        return False
    try:
        with file:
            file.write(json.dumps(asdict(holder)))
    except OSError:  # a full disk: nobody holds what nobody signed
        path.unlink(missing_ok=True)
        raise
    return True


def put_away(path: Path, stale: float = STALE) -> bool:
    """Remove a stale lease; whether the way is free now.

    Two processes may find the same lease stale, and the slower one must not remove the lease that
    the faster one has made since: what was moved away is looked at, and put back if it is fresh.
    """
    token, is_stale = _token(path), _is_stale(path, stale)
    if not is_stale:
        return is_stale is None
    aside = temporary(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    if _token(aside) != token:
        with contextlib.suppress(OSError):
            os.link(aside, path)
        aside.unlink(missing_ok=True)
        return False
    aside.unlink(missing_ok=True)
    return True


def _is_stale(path: Path, stale: float) -> bool | None:
    """Whether the holder is dead; None if there is no lease."""
    since_renewal = age(path)
    if since_renewal is None:
        return None
    holder = _read(path)
    return abs(since_renewal) > stale or (holder is not None and holder.has_died)


def _read(path: Path) -> Holder | None:
    """Read a lease; None if it is absent or damaged."""
    try:
        holder = Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = (holder.host, holder.token, holder.doing, holder.space)
    whole = isinstance(holder.pid, int) and isinstance(holder.since, int | float)
    return holder if whole and all(isinstance(text, str) for text in texts) else None


def _token(path: Path) -> str | None:
    holder = _read(path)
    return None if holder is None else holder.token
