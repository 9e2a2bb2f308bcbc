"""What ranks tell each other, on two threads."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch.distributed import HashStore

from benchmarks.training.distributed import rank_group
from benchmarks.training.distributed.rank_group import RankError, RankGroup


def of_both(stage):
    """What a stage raises on two ranks; `stage` is given the group of each."""
    store = HashStore()

    def of(rank):
        group = RankGroup(rank, 2, store)
        try:
            with group.together():
                stage(group)
        except BaseException as error:
            return group, error
        return group, None

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(of, range(2)))


def raising(*errors):
    """A stage that fails on rank 1 first, where it does."""

    def stage(group):
        if errors[group.rank] is not None:
            time.sleep(0.1 * (1 - group.rank))
            raise errors[group.rank]

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


def test_of_too_little_memory_and_another_error_the_first_counts():
    full, no = torch.OutOfMemoryError("full"), ValueError("no")
    kinds = [type(error) for _, error in of_both(raising(no, full))]
    assert kinds == [torch.OutOfMemoryError] * 2
    kinds = [type(error) for _, error in of_both(raising(full, no))]
    assert kinds == [RankError, ValueError]


@pytest.mark.parametrize("error", [ValueError("no"), torch.OutOfMemoryError("full")])
def test_a_rank_that_fails_while_the_others_wait_for_it_is_out_of_step(monkeypatch, error):
    monkeypatch.setattr(rank_group, "GRACE", 0.1)
    group = RankGroup(1, 2, HashStore())
    with pytest.raises(Exception, match=r"no|full") as raised, group.cell("ab"), group.together():
        raise error
    assert not isinstance(raised.value, torch.OutOfMemoryError)  # nobody else would halve
    assert group.out_of_step
    with pytest.raises(SystemExit):
        group.stop_if_out_of_step()


def test_a_rank_that_fails_between_two_stages_is_out_of_step():
    def leave(group):
        with group.cell("ab"):
            with group.together():
                pass
            raise ValueError("on the way to the next stage")

    def of(rank, store=HashStore()):  # noqa: B008  # one for both
        group = RankGroup(rank, 2, store)
        with pytest.raises(ValueError, match="next stage"):
            leave(group)
        return group.out_of_step

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(of, range(2))) == [True, True]


def test_one_rank_alone_is_never_out_of_step():
    group = RankGroup()
    with pytest.raises(ValueError, match="no"), group.cell("ab"), group.together():
        raise ValueError("no")
    group.stop_if_out_of_step()


def test_a_rank_that_leaves_a_cell_with_the_others_goes_on():
    def stage(group):
        with group.cell("ab"), group.together():
            raising(ValueError("no"), None)(group)

    def of(rank, store=HashStore()):  # noqa: B008  # one for both
        group = RankGroup(rank, 2, store)
        with pytest.raises(ValueError if rank == 0 else RankError):
            stage(group)
        group.stop_if_out_of_step()
        return group.out_of_step

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(of, range(2))) == [False, False]


def test_codes_of_rows_that_ranks_cannot_share_equally():
    barrier, parts = Barrier(2), {}

    class Threads(RankGroup):
        def gather(self, tensor):
            parts[self.rank] = tensor
            barrier.wait(10)
            return torch.stack([parts[0], parts[1]])

    def of(rank, store=HashStore()):  # noqa: B008  # one for both
        return Threads(rank, 2, store).spread(lambda rows: rows[:, None] > 4, rows)

    rows = torch.tensor([7, 3, 5])
    with ThreadPoolExecutor(2) as pool:
        for codes in pool.map(of, range(2)):
            assert codes.tolist() == [[True], [False], [True]]
    assert [len(part) for part in parts.values()] == [2, 2]


def test_the_cells_end_when_rank_0_says_so():
    store = HashStore()
    first, second = RankGroup(0, 2, store), RankGroup(1, 2, store)
    for digest in ("ab", "cd"):
        first.announce(digest)
        second.announce("not mine to say")
    first.announce("")
    assert list(RankGroup(1, 2, store).announced()) == ["ab", "cd"]
