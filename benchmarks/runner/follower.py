"""What the ranks beside rank 0 do under torchrun: train the same cells, store nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.grid.cells import Cell
from benchmarks.grid.method_settings import GridError
from benchmarks.runner.fit_and_encode import fit_and_encode
from benchmarks.runner.run_settings import RunSettings
from benchmarks.runner.stopwatch import Stopwatch
from benchmarks.runner.worker import inputs_of, mark_failed
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.distributed.rank_group import RankGroup
from benchmarks.training.trainer import Trainer
from results.store import ResultStore


def follow(settings: RunSettings, cells: Sequence[Cell], group: RankGroup) -> None:
    """Train along with rank 0, cell by cell, until it says that there are no more.

    Parameters
    ----------
    settings : RunSettings
    cells : sequence of Cell
        Of the whole grid: rank 0 chooses.
    group : RankGroup
        Of which this process is not rank 0.
    """
    store = ResultStore(settings.out)
    known = {cell.digest: cell for cell in cells}
    for digest in group.announced():
        if digest not in known:
            raise GridError(
                f"rank {group.rank} has other code or data than rank 0; start all ranks from the "
                "same checkout"
            )
        cell = known[digest]
        inputs = inputs_of(settings, cell.task)
        checkpoint = Checkpoint(store.checkpoint_path(cell.address), digest, math.inf)
        trainer = Trainer(cell.method.recipe, cell.seed, checkpoint=checkpoint, matmul=cell.matmul)
        try:
            fit_and_encode([cell], inputs, Stopwatch(), [trainer])
        except Exception as error:  # rank 0 notes it too, unless it cannot be told
            if group.out_of_step:
                checkpoint.clear()
                mark_failed(store, cell, error)
            group.stop_if_out_of_step()
