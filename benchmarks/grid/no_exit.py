"""Code of a method cannot end the process that runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.machine.time_limit import TookTooLong


class ExitError(Exception):
    """What a method's code raised to leave the process; the message is one line for the user."""


@contextmanager
def no_exit() -> Iterator[None]:
    """Make an error like any other of what would end the process, such as a call of `exit`.

    It would end the other cells of a grid with it, and with exit code 0 even look like success. An
    interruption by the user and a limit of time pass.

    Raises
    ------
    ExitError
        In place of any exception that is no `Exception`; with its traceback.

    Examples
    --------
    >>> with no_exit():
    ...     exit(0)
    Traceback (most recent call last):
        ...
    benchmarks.grid.no_exit.ExitError: raised SystemExit(0), which would end the whole process; \
raise ValueError with the reason instead
    """
    try:
        yield
    except (Exception, KeyboardInterrupt, TookTooLong):
        raise
    except BaseException as error:
        raise ExitError(
            f"raised {error!r}, which would end the whole process; raise ValueError with the "
            "reason instead"
        ).with_traceback(error.__traceback__) from error
