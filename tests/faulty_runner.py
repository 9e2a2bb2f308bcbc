"""The runner's command with a fault in it: ``python -m tests.faulty_runner STAGE ARGUMENTS``.

The process kills itself, as the kernel would, when it has come to a stage.
"""

import os
import signal
import sys

import benchmarks.cell
import benchmarks.features
import datasets.disk
import results.report
import results.store
from benchmarks import run
from benchmarks.checkpoint import Checkpoint


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def dying(owner, name, when):
    """Replace a function by itself and death, before it or after it."""
    real = getattr(owner, name)

    def replaced(*given, **named):
        if when == "before":
            die()
        found = real(*given, **named)
        die()
        return found

    setattr(owner, name, replaced)


def at_extraction():
    benchmarks.features.BLOCK = 100  # several blocks, and the first is noted
    dying(datasets.disk.Note, "write", "after")


def at_training():
    dying(Checkpoint, "write", "after")


def at_encoding():
    dying(benchmarks.cell, "_encode", "before")


def at_evaluation():
    dying(benchmarks.cell, "score_codes", "before")


def at_record():
    """Between the arrays and the record."""
    real = results.store.write_atomic

    def write(path, content):
        if path.suffix == ".json" and "cibhash" in path.parts:
            die()
        real(path, content)

    results.store.write_atomic = write


def at_report():
    dying(results.report, "write_atomic", "after")


STAGES = {
    "extraction": at_extraction,
    "training": at_training,
    "encoding": at_encoding,
    "evaluation": at_evaluation,
    "record": at_record,
    "report": at_report,
}

if __name__ == "__main__":
    STAGES[sys.argv[1]]()
    sys.exit(run.main(sys.argv[2:]))
