"""Output of the commands: quiet where its reader has left, legible in any encoding."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Callable
from typing import Any, TextIO

INTERRUPTED = 130
_UNSAID = 1
"""Exit code where all went well and what was to be said could not be written."""


def run_command(main: Callable[[], int | None]) -> int:
    """Run a command as the program of this process; returns its exit code.

    Standard output and error take what is written to them from now on, whatever their encoding: a
    letter that it lacks is written in ASCII. What nobody reads any more, as after ``| head -1``, is
    dropped, and the work goes on. A disk that is full is said once, at the end.

    Parameters
    ----------
    main : callable
        The command, with the arguments of this process.
    """
    out, error = _Outlet(sys.stdout, 1), _Outlet(sys.stderr, 2)
    sys.stdout, sys.stderr = out.text, error.text
    try:
        code = main() or 0
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED
    sys.stdout.flush()
    if out.fault is not None:
        sys.stderr.write(f"error: standard output: {out.fault}\n")
        code = code or _UNSAID
    sys.stderr.flush()
    return code


class _Outlet(io.FileIO):
    """The file behind standard output or error, which refuses nothing.

    Attributes
    ----------
    text : text stream
        To be written to; encodes as the given one does.
    fault : str or None
        Why something was not written, unless its reader left.
    """

    def __init__(self, stream: TextIO | None, number: int) -> None:
        if stream is None:  # closed by whoever started this process
            number = os.open(os.devnull, os.O_WRONLY)
        super().__init__(number, "w", closefd=False)
        self.fault: str | None = None
        if not isinstance(stream, io.TextIOWrapper):
            self.text = io.TextIOWrapper(io.BufferedWriter(self), "utf-8", _ERRORS)
            return
        stream.flush()
        self.text = io.TextIOWrapper(
            io.BufferedWriter(self),
            stream.encoding,
            stream.errors if stream.errors in ("ignore", "replace") else _ERRORS,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, data: Any, /) -> int:
        """Write bytes, or drop what cannot be written."""
        try:
            return super().write(data)
        except BrokenPipeError:
            pass
        except OSError as error:
            self.fault = error.strerror or str(error)
        return len(data)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Write letters that an encoding lacks in ASCII: what they look like, or else their number."""
    assert isinstance(error, UnicodeEncodeError), "registered for writing alone"
    letters = error.object[error.start : error.end]
    return "".join(map(_letter_in_ascii, letters)), error.end


_IN_TABLES = {"±": "+-", "†": "!"}


def _letter_in_ascii(letter: str) -> str:
    r"""Write one letter.

    Examples
    --------
    >>> print("".join(map(_letter_in_ascii, "0.41 ± 0.01, été 中")))
    0.41 +- 0.01, ete \u4e2d
    """
    if letter in _IN_TABLES:
        return _IN_TABLES[letter]
    alike = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return alike or letter.encode("ascii", "backslashreplace").decode()


_ERRORS = "hashbench-in-ascii"
codecs.register_error(_ERRORS, _in_ascii)
