"""A limit of the time that a block of code may take."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CellTimeout(Exception):
    """A cell took longer than it may; the message is one line meant for the user."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `CellTimeout` inside the block once it has taken too long; None sets no limit.

    On the main thread a signal ends a wait in a system call too. Elsewhere the exception comes
    between two instructions of Python, so a call into a library has to return first.
    """
    if seconds is None:
        yield
        return
    on_main_thread = threading.current_thread() is threading.main_thread()
    try:
        with (_by_signal if on_main_thread else _by_thread)(seconds):
            yield
    except TookTooLong:
        raise CellTimeout(
            f"took longer than --cell-timeout {seconds:g} seconds; raise it, or look for a hang"
        ) from None


class TookTooLong(BaseException):
    """Passes through handlers of Exception, as an interruption by the user does."""


@contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    def strike(number: int, frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    thread = ctypes.c_ulong(threading.get_ident())
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    timer = threading.Timer(seconds, set_exception, (thread, ctypes.py_object(TookTooLong)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        set_exception(thread, None)  # one that is too late must not strike outside of the block
