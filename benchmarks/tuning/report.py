"""The files that tuning writes for a table: trials, choices, figure, and the chosen settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.grid.presets.tuned_settings import TunedSettings
from benchmarks.tuning.search import SAMPLER, SEED, Search
from methods import METHODS
from results.analysis.tuning import choices, remarks
from results.figures.style import save
from results.figures.tuning import score_against_trials
from results.store.files import write_atomic
from results.store.run_key import Table, folder_name


def write_outcome(out: Path, searches: Sequence[Search], *, finished: bool = False) -> str:
    """Write what was found for one task so far.

    Parameters
    ----------
    out : Path
        Folder that the files are written to: all trials as ``TABLE.csv``, and once it is finished
        the choices as ``TABLE-choices.csv``, the figure as ``TABLE.svg``, and ``TABLE.toml``, which
        ``--recipe`` reads.
    searches : sequence of Search
        Of one task.
    finished : bool
        Whether all trials were made.

    Returns
    -------
    str
        What the user is told.
    """
    task = searches[0].start.task
    protocol = task.data.protocol
    tuned_for = protocol.tunes or protocol
    truth = protocol.name.removeprefix(f"{tuned_for.name}+tune")
    table = Table(tuned_for.dataset, f"{tuned_for.name}{truth}", task.label)
    stem = folder_name("-".join(table))
    trials = pd.DataFrame([row for search in searches for row in _rows(search)])
    write_atomic(out / f"{stem}.csv", trials.to_csv(index=False).encode())
    if not finished:
        return ""
    chosen = choices(trials)
    write_atomic(out / f"{stem}-choices.csv", chosen.to_csv(index=False).encode())
    names = {search.start.method.name: search.start.method.cls.title for search in searches}
    title = f"{table.dataset}/{table.protocol} {table.backbone}, {searches[0].start.key.bits} bits"
    figure = score_against_trials(trials, title, protocol.metric, list(METHODS), names)
    write_atomic(out / f"{stem}.svg", save(figure, "svg"))
    path = out / f"{stem}.toml"
    _settings(table, searches).write(path)
    shown = chosen.to_string(index=False, float_format="{:.3f}".format, na_rep="-")
    lost = [search.start.method.name for search in searches if search.best() is None]
    lines = [shown, *remarks(trials)]
    lines += [f"every trial failed, so nothing is chosen: {', '.join(lost)}"] if lost else []
    return "\n".join([*lines, f"chosen settings: {path}; --recipe takes the file", ""])


def _rows(search: Search) -> list[dict[str, object]]:
    """Describe the trials of a method."""
    return [
        {
            "method": search.start.method.name,
            "trial": trial.number,
            "score": trial.score,
            "agreement": trial.agreement,
            "reason": trial.reason,
            "settings": json.dumps(trial.values),
            "record": "" if trial.cell is None else trial.cell.address.path.as_posix(),
        }
        for trial in search.trials
    ]


def _settings(table: Table, searches: Sequence[Search]) -> TunedSettings:
    """Gather what was chosen."""
    start = searches[0].start
    protocol = start.task.data.protocol
    tuned = [search for search in searches if search.space]
    best = {search.start.method.name: search.best() for search in tuned}
    return TunedSettings(
        table,
        start.key.bits,
        max((search.n_trials for search in tuned), default=1),
        {name: trial.values for name, trial in best.items() if trial is not None},
        (
            f"Chosen by {SAMPLER} with seed {SEED}, each method's highest {protocol.metric} on",
            f"{protocol.label}: {protocol.sizes}.",
            f"Data and split: {start.task.data.digest}",
        ),
    )
