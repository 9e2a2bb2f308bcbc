"""Search one method's space: settings proposed by Optuna, each trial a cell of the grid.

Optuna keeps nothing on disk. Its sampler starts from one seed, for every method the same, and so it
proposes the same settings again if it is told the same scores: what an earlier call has stored is
read from the records, and the search goes on behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna

from benchmarks.evaluation.view_agreement import AGREEMENT
from benchmarks.grid.cells import Cell, expand
from benchmarks.grid.method_settings import GridError, method_spec
from methods.space import Choice, Range, Value
from results.store.record import RunRecord

SAMPLER = "TPE"
SEED = 0
ROUND = 4
"""Trials of a method that are proposed at a time, however many can run beside each other: so what
is tried depends on no number of jobs."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Trial:
    """Settings of one method, and what came of them.

    Attributes
    ----------
    number : int
        Trial 0 has the method's own settings.
    values : dict
        Of what the method's space names.
    cell : Cell or None
        None where the settings are refused.
    score : float or None
        The protocol's metric on the images that are set aside; None where the trial failed.
    agreement : float or None
        See `benchmarks.evaluation.view_agreement`; None where there are no images.
    reason : str
        Why it failed.
    """

    number: int
    values: dict[str, Value]
    cell: Cell | None
    score: float | None = None
    agreement: float | None = None
    reason: str = ""

    def of_record(self, record: RunRecord) -> Trial:
        """Return the trial with the numbers of its record."""
        found = record.metrics[record.metric], record.metrics.get(AGREEMENT)
        return replace(self, score=found[0], agreement=found[1])


class Search:
    """The trials of one method on one task.

    Parameters
    ----------
    start : Cell
        Of the method with its own settings, under a protocol for tuning.
    n_trials : int
        How many there will be; one where the space is empty.

    Attributes
    ----------
    trials : list of Trial
        What was tried, in order.
    """

    def __init__(self, start: Cell, n_trials: int) -> None:
        self.start = start
        self.space = start.method.cls.space
        self.n_trials = n_trials if self.space else 1
        self.trials: list[Trial] = []
        sampler = optuna.samplers.TPESampler(seed=SEED)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._study.enqueue_trial({name: start.method.settable[name] for name in self.space})
        self._asked: list[optuna.Trial] = []

    def ask(self) -> list[Trial]:
        """Propose the trials of the next round; none where all were proposed."""
        n = min(ROUND, self.n_trials - len(self.trials))
        dimensions = {name: _dimension(allowed) for name, allowed in self.space.items()}
        self._asked = [self._study.ask(fixed_distributions=dimensions) for _ in range(n)]
        return [self._trial(asked.number, asked.params) for asked in self._asked]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn what came of the trials of a round."""
        for asked, trial in zip(self._asked, trials, strict=True):
            failed = trial.score is None
            state = optuna.trial.TrialState.FAIL if failed else None
            self._study.tell(asked, trial.score, state=state)
        self.trials += trials

    def best(self) -> Trial | None:
        """Find the first trial of the highest score; None where all failed."""
        scored = [trial for trial in self.trials if trial.score is not None]
        return max(scored, key=lambda trial: trial.score or 0.0, default=None)

    def _trial(self, number: int, proposed: dict[str, Any]) -> Trial:
        values = {name: _short(self.space[name], value) for name, value in proposed.items()}
        spec = self.start.method
        try:
            changed = method_spec(spec.name, values, known={spec.name: spec.cls})
        except GridError as error:
            return Trial(number, values, None, reason=str(error))
        cell = self.start
        how = (cell.views, cell.text_encoder, cell.matmul)
        (own,) = expand([cell.task], [changed], [cell.key.bits], 1, *how)
        return Trial(number, values, own)


def _dimension(allowed: Range | Choice) -> optuna.distributions.BaseDistribution:
    """Say in Optuna's words what may be chosen."""
    if isinstance(allowed, Choice):
        return optuna.distributions.CategoricalDistribution(allowed.values)
    if isinstance(allowed.low, int) and isinstance(allowed.high, int):
        return optuna.distributions.IntDistribution(allowed.low, allowed.high, log=allowed.log)
    return optuna.distributions.FloatDistribution(allowed.low, allowed.high, log=allowed.log)


def _short(allowed: Range | Choice, value: Value) -> Value:
    """Round to three digits, which a file can be read by; the ends stay the ends."""
    if isinstance(allowed, Choice) or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.3g}"), allowed.low), allowed.high)
