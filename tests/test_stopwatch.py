import time

import pytest

from benchmarks.runner.stopwatch import Stopwatch


def burn(seconds):
    """Compute for some CPU seconds."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_wait_takes_time_on_the_clock_and_none_of_the_cpu():
    watch = Stopwatch()
    with watch("fit"):
        time.sleep(0.2)
    assert watch.seconds["fit"] >= 0.2
    assert watch.cpu["fit"] < 0.1


def test_cpu_seconds_of_a_stage_add_up_and_are_shared():
    watch = Stopwatch()
    for _ in range(2):
        with watch("fit"):
            burn(0.05)
    whole = dict(watch.cpu)
    assert whole["fit"] == pytest.approx(0.1, abs=0.05)
    watch.share(("fit",), 2)
    assert watch.cpu["fit"] == whole["fit"] / 2


def test_a_copy_goes_on_for_itself():
    watch = Stopwatch()
    own = watch.copy()
    with own("evaluate"):
        burn(0.01)
    assert watch.seconds == watch.cpu == {}
