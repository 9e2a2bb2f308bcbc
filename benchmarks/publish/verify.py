"""Make published numbers again: score codes where they are given, and run cells again elsewhere."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.evaluation.submission import SubmissionError
from benchmarks.grid.yardsticks import YARDSTICKS
from benchmarks.machine.environment import choose_device
from benchmarks.publish.bundle import Bundle, BundleError, Item, read_bundle
from benchmarks.publish.reference import RECORDS, table_faults
from benchmarks.runner.repeat_record import USER_ERRORS as RUN_ERRORS
from benchmarks.runner.repeat_record import changes, run_again
from benchmarks.runner.rescore_records import RescoreError, scored_again
from datasets import load
from datasets.arguments import load_options
from datasets.base import RetrievalDataset
from datasets.errors import DatasetError
from methods import METHODS
from results.store.record import RunRecord
from results.store.store import ResultStore

USER_ERRORS = (*RUN_ERRORS, BundleError, SubmissionError)
"""Errors whose message is one line meant for the user."""
SCORED, RUN = "scored again", "run again"
SAME = 1e-12
"""Largest difference of a number that was summed in another order."""


class Finding(NamedTuple):
    """What came of one item, or of the tables: how it was checked, and what differed."""

    what: str
    how: str
    faults: list[str]
    item: Item | None = None

    def __str__(self) -> str:
        said = "; ".join(self.faults) or "every number is the same"
        return f"{self.what}: {self.how}: {said}"


def read(path: Path) -> Bundle:
    """Read a submission, or the records of a published folder; raises BundleError."""
    return read_bundle(path / RECORDS if path.is_dir() else path)


def verify(bundle: Bundle, options: argparse.Namespace) -> Iterator[Finding]:
    """Check a published folder or a submission with the flags of `benchmarks.verify`.

    Records with codes are scored again, all of them. Of the others, those whose method is here, a
    random sample is run again. A finding comes as soon as it is made.

    Raises
    ------
    Those of USER_ERRORS
        If the file cannot be read, or the device is not there.
    """
    if options.what.is_dir():
        yield Finding("tables", "computed from the records", table_faults(options.what, bundle))
    items = _with_codes(bundle, options.codes)
    scorer = _Scorer(options)
    for item in items:
        if item.has_codes:
            yield scorer.check(item)
    rest = [item for item in items if not item.has_codes and _can_run(item.record, options)]
    chosen = random.Random(options.sample_seed).sample(rest, min(options.sample, len(rest)))
    for item in chosen:
        yield _run_again(item, options)


def _can_run(record: RunRecord, options: argparse.Namespace) -> bool:
    """Whether there is code here to run a record with: of the suite, or as the flags name it."""
    known = record.method.partition("(")[0] in {**METHODS, **YARDSTICKS}
    return "submission" not in record.settings and (known or options.method is not None)


def _with_codes(bundle: Bundle, store: Path | None) -> list[Item]:
    """Add the codes that a results folder has of the same cells."""
    if store is None:
        return list(bundle.items)
    folder, items = ResultStore(store), []
    for item in bundle.items:
        known = folder.has(item.record)
        arrays = folder.arrays(folder.locate(item.record)) if known else item.arrays
        items.append(Item(item.record, arrays))
    return items


class _Scorer:
    """Scores records, and loads each data set once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._device: torch.device = choose_device(options.device)
        self._data: dict[str, RetrievalDataset | DatasetError] = {}

    def check(self, item: Item) -> Finding:
        record, how = item.record, SCORED
        try:
            again, _ = scored_again(record, item.arrays, self._of(record), self._device)
        except (DatasetError, RescoreError) as error:
            return Finding(str(record.key), how, [str(error)], item)
        return Finding(str(record.key), how, list(_moved(record, again)), item)

    def _of(self, record: RunRecord) -> RetrievalDataset:
        name = self._options.dataset or f"{record.dataset}/{record.protocol}"
        if name not in self._data:
            try:
                self._data[name] = load(name, load_options(self._options))
            except DatasetError as error:
                self._data[name] = error
        found = self._data[name]
        if isinstance(found, DatasetError):
            raise found
        return found


def _moved(record: RunRecord, again: RunRecord) -> Iterator[str]:
    near = {
        name: record.metrics[name]
        for name, value in again.metrics.items()
        if abs(value - record.metrics.get(name, float("inf"))) <= SAME
    }
    yield from changes(record, replace(again, metrics=again.metrics | near), {}, {})


def _run_again(item: Item, options: argparse.Namespace) -> Finding:
    record = item.record
    try:
        again, _ = run_again(record, options)
    except RUN_ERRORS as error:
        return Finding(str(record.key), RUN, [str(error)], item)
    return Finding(str(record.key), RUN, list(changes(record, again, {}, {})), item)
