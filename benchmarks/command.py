"""Exit codes and one-line errors, shared by all commands of this package."""

from __future__ import annotations

import os
import sys

from datasets.arguments import BAD_ARGUMENTS as BAD_ARGUMENTS
from datasets.arguments import Parser as Parser
from datasets.errors import printable
from datasets.terminal import INTERRUPTED as INTERRUPTED
from datasets.terminal import run_command as run_command

OK, SOME_FAILED = 0, 1


def fail(*errors: Exception | str) -> int:
    """Print errors meant for the user, a line each; returns the exit code."""
    lines = (printable(" ".join(str(error).split())) for error in errors)
    sys.stderr.writelines(f"error: {line}\n" for line in lines)
    return BAD_ARGUMENTS


def wait_asleep() -> None:
    """Let the threads of torch wait for each other asleep; call it before torch is imported.

    By default they spin for a while where they meet. Where another process has taken a core, that
    keeps the core from the very thread that is waited for: a step of 2 ms takes a second, and most
    of its CPU seconds are waiting. OpenMP's library reads the setting once, when it is loaded, and
    processes that this one starts take it over. What the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
