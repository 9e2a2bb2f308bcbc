"""What ranks tell each other, on two threads."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch.distributed import HashStore

from benchmarks.training.distributed import rank_group as crew_module
from benchmarks.training.distributed.rank_group import Crew, RankError


def of_both(stage):
    """What a stage raises on two ranks; `stage` is given the crew of each."""
    words = HashStore()

    def of(rank):
        crew = Crew(rank, 2, words)
        try:
            with crew.together():
                stage(crew)
        except BaseException as error:
            return crew, error
        return crew, None

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(of, range(2)))


def raising(*errors):
    """A stage that fails on rank 1 first, where it does."""

    def stage(crew):
        if errors[crew.rank] is not None:
            time.sleep(0.1 * (1 - crew.rank))
            raise errors[crew.rank]

    return stage


def test_a_stage_goes_well_where_it_goes_well_on_all():
    assert [error for _, error in of_both(raising(None, None))] == [None, None]


def test_an_error_on_one_rank_is_one_on_all():
    (_, own), (_, told) = of_both(raising(ValueError("no\nfile"), None))
    assert isinstance(own, ValueError)
    assert isinstance(told, RankError)
    assert str(told) == "rank 0: ValueError: no file"
    assert "in stage" in told.__notes__[0]


def test_of_two_errors_the_first_is_told():
    (_, second), (_, first) = of_both(raising(OSError("closed by peer"), ValueError("cause")))
    assert isinstance(first, ValueError)
    assert str(second) == "rank 1: ValueError: cause"


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_too_little_memory_is_that_on_all_ranks(which):
    errors = [torch.OutOfMemoryError("full") if rank in which else None for rank in (0, 1)]
    assert all(isinstance(error, torch.OutOfMemoryError) for _, error in of_both(raising(*errors)))


@pytest.mark.parametrize("order", [1, -1])
def test_too_little_memory_beside_another_error_is_not_tried_again(order):
    for _, error in of_both(raising(*[torch.OutOfMemoryError("full"), ValueError("no")][::order])):
        assert isinstance(error, RankError | ValueError)


@pytest.mark.parametrize("error", [ValueError("no"), torch.OutOfMemoryError("full")])
def test_a_rank_that_cannot_tell_the_others_has_parted(monkeypatch, error):
    monkeypatch.setattr(crew_module, "GRACE", 0.1)
    crew = Crew(1, 2, HashStore())
    with pytest.raises(Exception, match=r"no|full") as raised, crew.together():
        raise error
    assert crew.parted
    assert not isinstance(raised.value, torch.OutOfMemoryError)


def test_a_rank_that_leaves_a_cell_without_a_word_has_parted():
    words = HashStore()
    crew = Crew(0, 2, words)
    words.set("crew/stage/0/1", "well")

    def leave():
        with crew.cell("ab"):
            with crew.together():
                pass
            raise ValueError("on the way to the next stage")

    with pytest.raises(ValueError, match="next stage"):
        leave()
    assert crew.parted
    with pytest.raises(SystemExit):
        crew.stop_if_parted()


def test_a_rank_that_leaves_a_cell_with_the_others_goes_on():
    def stage(crew):
        with crew.cell("ab"), crew.together():
            raising(ValueError("no"), None)(crew)

    def of(rank, words=HashStore()):  # noqa: B008  # one for both
        crew = Crew(rank, 2, words)
        with pytest.raises(ValueError if rank == 0 else RankError):
            stage(crew)
        crew.stop_if_parted()
        return crew.parted

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(of, range(2))) == [False, False]


def test_codes_of_rows_that_ranks_cannot_share_equally():
    barrier, parts = Barrier(2), {}

    class Threads(Crew):
        def gather(self, tensor):
            parts[self.rank] = tensor
            barrier.wait(10)
            return torch.stack([parts[0], parts[1]])

    def of(rank, words=HashStore()):  # noqa: B008  # one for both
        return Threads(rank, 2, words).spread(lambda rows: rows[:, None] > 4, rows)

    rows = torch.tensor([7, 3, 5])
    with ThreadPoolExecutor(2) as pool:
        for codes in pool.map(of, range(2)):
            assert codes.tolist() == [[True], [False], [True]]
    assert [len(part) for part in parts.values()] == [2, 2]


def test_orders_end_when_rank_0_says_so():
    words = HashStore()
    first, second = Crew(0, 2, words), Crew(1, 2, words)
    for digest in ("ab", "cd"):
        first.lead(digest)
        second.lead("not mine to say")
    first.lead("")
    assert list(Crew(1, 2, words).orders()) == ["ab", "cd"]
