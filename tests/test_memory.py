import platform
import subprocess
import sys

import pytest

from benchmarks.machine.memory import keep_freed_memory

FAULTS = """
import resource, sys
import torch
from benchmarks.machine.memory import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def batch():
    parts = [torch.ones(10 * 2**20) for _ in range(2)]  # 80 MiB
for _ in range(8):  # until the first ones have found their places
    batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_of_a_batch_serves_the_next_one():
    assert 4 * faults("kept") < faults("as it is")  # not 0: a block may move once


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()
