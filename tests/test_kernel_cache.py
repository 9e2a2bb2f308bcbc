import os
import subprocess
import sys

import pytest

SAYS = "from benchmarks.evaluation.counters.cpu_kernels import add, count, split, transpose as t; "
SAYS += "import numpy as np; p = np.zeros((8, 8), np.uint64); "
SAYS += "t(np.full((9, 1), 255, np.uint8), p.view(np.uint8)); "
SAYS += "print(p.sum(), *(len(k.stats.cache_hits) for k in (count, split, t)))"


NOWHERE = "from numba.core.caching import CacheImpl; CacheImpl._locator_classes = []; "
"""No folder can be written, neither that of the package nor the user's."""


def in_a_process(folder, first=""):
    """Sum of nine rows as planes, and how many kernels came from the cache in `folder`."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", first + SAYS], env=env, capture_output=True, text=True, check=True
    )
    return [int(number) for number in done.stdout.split()]


@pytest.mark.slow
def test_kernels_are_compiled_once_for_all_processes(tmp_path):
    planes = 8 * (2**9 - 1)
    assert in_a_process(tmp_path) == [planes, 0, 0, 0]
    assert in_a_process(tmp_path) == [planes, 1, 1, 1]


@pytest.mark.slow
def test_kernels_are_compiled_where_no_folder_takes_them(tmp_path):
    assert in_a_process(tmp_path, NOWHERE) == [8 * (2**9 - 1), 0, 0, 0]
