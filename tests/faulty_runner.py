"""The runner's command with a fault in it: ``python -m tests.faulty_runner STAGE ARGUMENTS``.

The process kills itself, as the kernel would, when it has come to a stage.
"""

import os
import signal
import sys
from pathlib import Path

import benchmarks.features.cache
import benchmarks.runner.fit_and_encode
import benchmarks.runner.make_record
import datasets.files.disk
import results.report
import results.store.leases
import results.store.store
from benchmarks import run
from benchmarks.training.checkpoint import Checkpoint


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
    benchmarks.features.cache.BLOCK = 100  # several blocks, and the first is noted
    dying(datasets.files.disk.Note, "write", "after")


def at_training():
    dying(Checkpoint, "write", "after")


def at_encoding():
    dying(benchmarks.runner.fit_and_encode, "_encoded", "before")


def at_evaluation():
    dying(benchmarks.runner.make_record, "score_codes", "before")


def at_record():
    """Between the arrays and the record."""
    real = results.store.store.write_atomic

    def write(path, content):
        if path.suffix == ".json" and "cibhash" in path.parts:
            die()
        real(path, content)

    results.store.store.write_atomic = write


def at_write():
    """While the arrays are on their way to the disk."""
    real = os.fsync

    def fsync(number):
        if "cibhash" in Path(f"/proc/self/fd/{number}").readlink().parts:
            die()
        real(number)

    os.fsync = fsync


def at_release():
    """When the record is there, and the lease still."""
    real = results.store.leases.Lease.release

    def release(lease):
        if "cibhash" in lease.path.parts:
            die()
        real(lease)

    results.store.leases.Lease.release = release


def at_report():
    dying(results.report, "write_atomic", "after")


STAGES = {
    "extraction": at_extraction,
    "training": at_training,
    "encoding": at_encoding,
    "evaluation": at_evaluation,
    "write": at_write,
    "record": at_record,
    "release": at_release,
    "report": at_report,
}

if __name__ == "__main__":
    STAGES[sys.argv[1]]()
    sys.exit(run.main(sys.argv[2:]))
