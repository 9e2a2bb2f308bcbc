"""Exit codes and one-line errors, shared by all commands of this package."""

from __future__ import annotations

import sys

from datasets.arguments import BAD_ARGUMENTS as BAD_ARGUMENTS
from datasets.arguments import Parser as Parser
from datasets.terminal import INTERRUPTED as INTERRUPTED
from datasets.terminal import run_command as run_command

OK, SOME_FAILED = 0, 1


def fail(*errors: Exception | str) -> int:
    """Print errors meant for the user, a line each; returns the exit code."""
    sys.stderr.writelines(f"error: {' '.join(str(error).split())}\n" for error in errors)
    return BAD_ARGUMENTS
