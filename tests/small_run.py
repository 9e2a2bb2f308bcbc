"""The real command on small data, for the tests that call it."""

from benchmarks import run
from benchmarks.features.texts import KINDS
from methods import METHODS

NAMES = [name for name, cls in METHODS.items() if cls.supervision not in KINDS]
"""Methods that run on data alone; the others are given texts."""
CELLS = 4 * (len(NAMES) + 1) + 1  # two lengths and two seeds each, random too; float once
SMALL = ["--datasets", "synthetic", "--bits", "8", "16", "--seeds", "2", "--epochs", "2"]


def call(folder, *arguments, small=SMALL):
    """Run into `folder`; returns the exit code."""
    return run.main([*small, "--out", f"{folder}/out", "--cache", f"{folder}/cache", *arguments])
