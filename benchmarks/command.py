"""What the commands of this package share: exit codes, and errors of one line."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from datasets.base import one_line

OK, SOME_FAILED, BAD_ARGUMENTS, INTERRUPTED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with exit code 2."""
        self.exit(BAD_ARGUMENTS, f"error: {message}; see --help\n")


def fail(error: Exception | str) -> int:
    """Print an error meant for the user; returns the exit code."""
    sys.stderr.write(f"error: {one_line(error)}\n")
    return BAD_ARGUMENTS
