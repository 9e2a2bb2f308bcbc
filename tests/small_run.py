"""The real command on small data, for the tests that call it."""

from benchmarks import run
from methods import METHODS

CELLS = 4 * (len(METHODS) + 1) + 1  # two lengths and two seeds each, random too; float once
SMALL = ["--datasets", "synthetic", "--bits", "8", "16", "--seeds", "2", "--epochs", "2"]


def call(folder, *arguments, small=SMALL):
    """Run into `folder`; returns the exit code."""
    return run.main([*small, "--out", f"{folder}/out", "--cache", f"{folder}/cache", *arguments])
