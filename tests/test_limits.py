import contextlib
import threading
import time

import pytest
import torch

from benchmarks.evaluation import scoring
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import score_codes
from benchmarks.features.backbones import backbone
from benchmarks.features.cache import FeatureCache
from benchmarks.grid.no_exit import ExitError, no_exit
from benchmarks.machine.memory import halving
from benchmarks.machine.time_limit import CellTimeout, time_limit
from datasets import load


def spin():
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("hang", [spin, lambda: time.sleep(30)])
def test_a_hang_on_the_main_thread_ends_at_the_limit(hang):
    start = time.monotonic()
    rule = r"longer than --cell-timeout 0\.2 seconds"
    with pytest.raises(CellTimeout, match=rule), time_limit(0.2):
        hang()
    assert time.monotonic() - start < 10


def test_a_hang_on_another_thread_ends_at_the_limit():
    caught = []

    def work():
        try:
            with time_limit(0.2):
                spin()
        except CellTimeout as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert len(caught) == 1


def test_a_handler_of_every_exception_does_not_swallow_the_limit():
    def careless():
        with contextlib.suppress(Exception):
            spin()

    with pytest.raises(CellTimeout), time_limit(0.2):
        careless()


class Odd(BaseException):
    """No Exception: handlers of those do not see it."""


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("bye"), GeneratorExit(), Odd("x")])
def test_code_of_a_method_does_not_end_the_process(error):
    with pytest.raises(ExitError) as caught, no_exit():
        raise error
    assert str(caught.value).startswith(f"raised {error!r}, which would end the whole process")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_errors_and_the_user_pass(error):
    with pytest.raises(type(error)), no_exit():
        raise error


def test_a_limit_of_time_passes_through_code_of_a_method():
    with pytest.raises(CellTimeout), time_limit(0.2), no_exit():
        spin()


@pytest.mark.parametrize("seconds", [None, 0.05])
def test_a_limit_does_not_strike_after_the_block(seconds):
    with time_limit(seconds):
        result = 1
    time.sleep(0.1)
    assert result == 1


def test_chunks_are_halved_until_they_fit():
    tried = []

    def work(size):
        tried.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("no room")
        return "done"

    assert halving(work, 13) == "done"
    assert tried == [13, 7, 4, 2]


def test_no_room_for_a_single_one_is_an_error():
    def work(size):
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        halving(work, 4)


def test_other_errors_pass():
    def work(size):
        raise RuntimeError("shape")

    with pytest.raises(RuntimeError, match="shape"):
        halving(work, 4)


def no_room_for_more_than(limit, work):
    """Do some work as a device would that has room for `limit` rows at a time."""

    def limited(rows, *rest, **named):
        if len(rows) > limit:
            raise torch.OutOfMemoryError("no room")
        return work(rows, *rest, **named)

    return limited


def test_an_extraction_goes_on_in_smaller_blocks(tmp_path, monkeypatch):
    data, tried = load("synthetic"), []
    pixels = backbone("pixels")
    expected = FeatureCache(tmp_path / "a", torch.device("cpu")).features(data, pixels).array

    def features(images):
        tried.append(len(images))
        return type(pixels).features(pixels, images)

    other = backbone("pixels")
    monkeypatch.setattr(other, "features", no_room_for_more_than(100, features))
    found = FeatureCache(tmp_path / "b", torch.device("cpu")).features(data, other).array
    assert torch.equal(found, expected)
    assert max(tried) <= 100
    assert sum(tried) == len(data.labels)


def test_codes_are_scored_in_smaller_pieces(monkeypatch):
    data = load("synthetic")
    codes = torch.rand(600, 16, generator=torch.Generator().manual_seed(0)) < 0.5
    query, database = (PackedBits.of(codes[rows]) for rows in (data.query, data.database))
    expected = score_codes(query, database, data, "cpu")
    real, sizes = scoring.evaluate, []

    def evaluate(asked, pieces, **named):
        def small():
            for piece in pieces:
                if len(piece) > 200:
                    raise torch.OutOfMemoryError("no room")
                sizes.append(len(piece))
                yield piece

        return real(asked, small(), **named)

    monkeypatch.setattr(scoring, "evaluate", evaluate)
    assert score_codes(query, database, data, "cpu").metrics == expected.metrics
    assert max(sizes) <= 200
