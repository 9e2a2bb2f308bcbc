"""Turn the flags of a call into a plan: all cells, those still to run, and how long that takes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.features.backbones import learnt_from
from benchmarks.features.captions import check_encoder
from benchmarks.grid.cells import Cell, expand
from benchmarks.grid.forecast import forecast
from benchmarks.grid.groups import GROUPS
from benchmarks.grid.idle_flags import idle_flags
from benchmarks.grid.method_settings import (
    GridError,
    MethodSpec,
    RecipeName,
    check_range,
    chosen_methods,
    method_spec,
    parse_overrides,
)
from benchmarks.grid.presets.tuned_settings import read_tuned
from benchmarks.grid.tasks import Task, TaskRequest, open_task
from benchmarks.grid.yardsticks import IN_EVERY_TABLE
from benchmarks.machine.environment import place
from datasets import full_name
from datasets.arguments import load_options
from datasets.errors import AbsentData, lookup
from datasets.sources import DEFAULT_NEIGHBOURS, split_truth
from methods.base import HashMethod
from results.store.record import MOST, RunRecord
from results.store.run_key import Address
from results.store.store import ResultStore
from results.store.wording import counted

Tasks = dict[TaskRequest, Task | AbsentData]
"""What was asked for, and what came of it."""


@dataclass(frozen=True)
class Plan:
    """What a call is to do.

    Attributes
    ----------
    cells : list of Cell
        The grid.
    todo : list of Cell
        What of it has to run.
    skipped : list of str
        Methods and data sets left out, with the reason, and flags that some of them do not take.
    """

    cells: list[Cell]
    todo: list[Cell]
    skipped: list[str]

    def lines(self, records: Sequence[RunRecord]) -> Iterator[str]:
        """Describe it to the user; `records` tell how long such cells took before."""
        for task in dict.fromkeys(cell.task for cell in self.cells):
            protocol = task.data.protocol
            yield f"{protocol.label} on {task.label}: {protocol.sizes}"
            yield f"  backbone learnt from: {learnt_from(task.label)}"
            yield from (f"  {note}" for note in task.data.notes)
        yield from (f"skipped: {reason}" for reason in self.skipped)
        n_stored = len(self.cells) - len(self.todo)
        line = f"{counted(len(self.cells), 'cell')}, {n_stored} stored, {len(self.todo)} to run"
        yield line + (f", {forecast(self.todo, records)}" if self.todo else "")

    def addresses(self) -> list[Address]:
        """Return the grid as the results folder keeps it."""
        return [cell.address for cell in self.cells]


def make_plan(grids: Sequence[argparse.Namespace], store: ResultStore) -> Plan:
    """Expand grids, and find what of them is not stored yet; all of it with ``--force``.

    Raises
    ------
    GridError, DatasetError, BackboneError
        If anything that was named cannot be had, or ranks cannot share what has to run.
    ExceptionGroup
        Of `AbsentData`, as of `expand_grids`.
    """
    cells, skipped = expand_grids(grids)
    todo = [cell for cell in cells if grids[0].force or not store.has(cell.address)]
    check_cells(todo)
    if grids[0].asym and (without := _without_asym(cells, todo, store)):
        skipped.append(f"--asym for {counted(without, 'cell')} stored without it, --force anew")
    return Plan(cells, todo, skipped)


def _without_asym(cells: Sequence[Cell], todo: Sequence[Cell], store: ResultStore) -> int:
    """Count the stored cells whose codes were not ranked by asymmetric distance."""
    new = {cell.address for cell in todo}
    stored = [c.address for c in cells if c.method.has_codes and c.address not in new]
    return sum(not store.read(store.locate(address)).has_asym for address in stored)


def expand_grids(grids: Sequence[argparse.Namespace]) -> tuple[list[Cell], list[str]]:
    """Build the cells of one grid or more; each once, and those of a task next to each other.

    Of a group, the methods that a data set cannot feed are left out with the reason, and so is one
    at a code length that it does not have; a method that was named is an error then. With
    ``--skip-absent``, data sets that are not here are left out.

    Parameters
    ----------
    grids : sequence of argparse.Namespace
        Flags of each grid.

    Returns
    -------
    list of Cell
    list of str
        What was left out, and why.

    Raises
    ------
    GridError, DatasetError, BackboneError
        If anything that was named cannot be had.
    ExceptionGroup
        Of `AbsentData`, if there are several data sets and some of them are absent.
    """
    tasks: Tasks = {}
    cells: dict[str, Cell] = {}
    skipped: list[str] = []
    for options in grids:
        own, reasons = _cells(options, tasks)
        cells |= {cell.digest: cell for cell in own}
        skipped += reasons
    skipped += _absent(tasks, skip=grids[0].skip_absent)
    here = [task for task in tasks.values() if isinstance(task, Task)]
    _check_names(here)
    order = {task: i for i, task in enumerate(here)}
    return sorted(cells.values(), key=lambda cell: order[cell.task]), list(dict.fromkeys(skipped))


def _cells(options: argparse.Namespace, tasks: Tasks) -> tuple[list[Cell], list[str]]:
    overrides = parse_overrides(options.set)
    known = chosen_methods(options.methods)
    for name in overrides:
        lookup("method in --set", name, known)
    if options.epochs is not None:
        check_range("--epochs", options.epochs, 1, MOST)
    check_encoder(options.text_encoder)
    methods = _methods(options, known, overrides, {})
    asked = [_task(name, options, tasks) for name in options.datasets]
    own = [task for task in asked if isinstance(task, Task)]
    bits = list(dict.fromkeys(options.bits))
    how = (options.views, options.text_encoder, options.matmul)
    tuned = {task: _tuned(options, task) for task in own}
    of_task = {task: _methods(options, known, overrides, tuned[task] or {}) for task in own}
    cells = [c for task in own for c in expand([task], of_task[task], bits, options.seeds, *how)]
    if any(spec.finetune for spec in methods):
        for task in own:
            if task.tracks:
                raise GridError(
                    "--finetune: takes no --shift and no --distractors, which are measured on the "
                    "features of a frozen backbone; leave them out"
                )
            task.backbone.check_trainable()
    refused = _refused(of_task, bits) | _untuned(of_task, tuned, bits)
    texts = [text for text in options.methods if text not in GROUPS]
    named = chosen_methods(texts).keys() - (set(IN_EVERY_TABLE) - set(texts))
    for (_, name, _), reason in refused.items():
        if name in named:
            raise GridError(f"--methods: {reason}; leave it out, or take other data or --bits")
    kept = [cell for cell in cells if (cell.task, cell.method.name, cell.key.bits) not in refused]
    return kept, [*refused.values(), *idle_flags(options, methods, own)]


def _methods(
    options: argparse.Namespace,
    known: Mapping[str, type[HashMethod]],
    overrides: Mapping[str, Mapping[str, Any]],
    tuned: Mapping[str, Mapping[str, Any]],
) -> list[MethodSpec]:
    """Look methods up, with the user's settings over what was tuned or the recipe."""
    own: RecipeName = "common" if options.recipe == "common" else "paper"
    return [
        method_spec(
            *(name, overrides.get(name), options.epochs, tuned.get(name, own), options.finetune),
            known,
        )
        for name in known
    ]


def _tuned(options: argparse.Namespace, task: Task) -> Mapping[str, Mapping[str, Any]] | None:
    """Read what was tuned for a task; None where that is not asked for."""
    if options.recipe in ("paper", "common"):
        return None
    if options.finetune:
        raise GridError(
            f"--recipe {options.recipe}: was chosen for heads on frozen features; leave --finetune "
            "out"
        )
    return read_tuned(options.recipe, task.table).methods


def _untuned(
    methods: Mapping[Task, Sequence[MethodSpec]],
    tuned: Mapping[Task, Mapping[str, Mapping[str, Any]] | None],
    bits: Sequence[int],
) -> dict[tuple[Task, str, int], str]:
    """Say which methods have something to tune, and were not tuned."""
    return {
        (task, spec.name, n_bits): f"{spec.name} was not tuned for {task.data.protocol.label}"
        for task, specs in methods.items()
        for spec in specs
        for n_bits in spec.lengths(bits)
        if (found := tuned[task]) is not None and spec.cls.space and spec.name not in found
    }


def _task(name: str, options: argparse.Namespace, tasks: Tasks) -> Task | AbsentData:
    """Open a task, once for all grids."""
    data_options = load_options(options)
    seen_through = (options.backbone, options.input_size, options.resize)
    named = _with_truth(full_name(name), options.relevance)
    tracks = (options.shift, options.distractors and full_name(options.distractors))
    request = TaskRequest(named, data_options, *seen_through, *tracks, options.texts)
    if request not in tasks:
        try:
            tasks[request] = open_task(request)
        except AbsentData as error:
            tasks[request] = error
    return tasks[request]


def _with_truth(name: str, relevance: str | None) -> str:
    """Add to the name of a data set what `--relevance` says.

    Examples
    --------
    >>> _with_truth("cifar10/1k-5k", "knn:100"), _with_truth("cifar10/1k-5k", "labels")
    ('cifar10/1k-5k+knn100-l2', 'cifar10/1k-5k')
    """
    if relevance is None or split_truth(name)[1] is not None:
        return name
    if relevance == "labels":
        return full_name(f"{name}+labels")
    found = re.fullmatch(r"knn(?::(\d{1,9}))?(?::(l2|cosine|ip))?", relevance)
    if found is None:
        raise GridError(
            f"--relevance: expected labels or knn[:K][:l2|cosine|ip], got {relevance!r}"
        )
    return f"{name}+knn{found[1] or DEFAULT_NEIGHBOURS}-{found[2] or 'l2'}"


def _absent(tasks: Tasks, *, skip: bool) -> list[str]:
    """Say what is absent and where it is had; raise it unless it is to be skipped."""
    absent = {str(task): task for task in tasks.values() if isinstance(task, AbsentData)}
    some_here = any(isinstance(task, Task) for task in tasks.values())
    if absent and not (skip and some_here):
        if len(absent) == 1 and not some_here:
            raise next(iter(absent.values()))
        way_out = "; --skip-absent goes on with the others" if some_here else ""
        message = f"data sets that are absent: {len(absent)}{way_out}"
        raise ExceptionGroup(message, list(absent.values()))
    return list(absent)


def _refused(
    methods: Mapping[Task, Sequence[MethodSpec]], bits: Sequence[int]
) -> dict[tuple[Task, str, int], str]:
    """Say which methods cannot run on which task at which code length, and why."""
    return {
        (task, spec.name, n_bits): reason
        for task, specs in methods.items()
        for spec in specs
        for n_bits in spec.lengths(bits)
        if (reason := task.refuses(spec, n_bits)) is not None
    }


def _check_names(tasks: Sequence[Task]) -> None:
    """Refuse data sets that tables could not tell apart."""
    first: dict[str, Task] = {}
    for task in tasks:
        name = task.data.protocol.label
        if first.setdefault(name, task).data.digest != task.data.digest:
            raise GridError(
                f"--datasets: two data sets would both be called {name}, and no table holds both; "
                "rename one, or give another --out"
            )


def check_cells(cells: Sequence[Cell]) -> None:
    """Refuse cells that several ranks cannot share; yardsticks are left to rank 0.

    Raises
    ------
    GridError
        If a method is not fine-tuned, or a batch cannot be shared equally.
    """
    size = place().size
    for cell in cells if size > 1 else ():
        spec, n_train = cell.method, cell.task.data.protocol.n_train
        if spec.kind != "yardstick" and not spec.finetune:
            raise GridError(
                f"--methods {spec.name}: torchrun shares the steps of --finetune, and this cell "
                "has none, it is work for one device; run it without torchrun, with --jobs or Dask"
            )
        batch = min(spec.recipe.batch_size, n_train)
        if spec.finetune and batch % size:
            raise GridError(
                f"torchrun: {size} ranks cannot share the batch of {batch} images of {spec.name} "
                f"equally; start another number, or set it with --set {spec.name}.batch_size=N"
            )
