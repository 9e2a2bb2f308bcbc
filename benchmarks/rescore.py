"""Compute every metric of every stored run again, from its codes: ``python -m benchmarks.rescore``.

Nothing is trained. A metric that came later than a run fills itself in this way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.command import OK, SOME_FAILED, Parser, fail
from benchmarks.environment import DeviceError, environment
from benchmarks.scoring import protocol_info, score_codes
from datasets import DATASETS, load
from datasets.arguments import add_data_arguments, load_options
from datasets.base import DatasetError, RetrievalDataset
from datasets.contents import LoadOptions
from datasets.own import is_own, without_own
from methods import METHODS
from results.report import load_board, render_board
from results.store import ResultStore, RunRecord, StoreError


class RescoreError(Exception):
    """A record that cannot be scored again; the message is one line meant for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if some records were left as they are."""
    parser = Parser(prog="python -m benchmarks.rescore", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder of the results")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--no-report", action="store_true", help="write the records only")
    add("--datasets", nargs="+", default=[], metavar="KIND:PATH", help="records of your own data")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        device = environment(options.device).device
        store = ResultStore(options.out)
        left = _rescore_all(store, options, device)
        if not options.no_report:
            render_board(load_board(store, list(METHODS)), store)
    except (DatasetError, DeviceError, StoreError) as error:
        return fail(error)
    return SOME_FAILED if left else OK


def _rescore_all(store: ResultStore, options: argparse.Namespace, device: torch.device) -> int:
    """Score what can be scored; returns how many records were left as they are."""
    records = store.records()
    given = load_options(options)
    own = [load(name, given) for name in map(_own, options.datasets)]
    data: dict[str, RetrievalDataset | DatasetError] = {d.protocol.label: d for d in own}
    counts = {"changed": 0, "unchanged": 0, "left": 0}
    for record in records:
        name = f"{record.dataset}/{record.protocol}"
        if name not in data:
            data[name] = _named(record, without_own(given))
        try:
            counts["changed" if rescore(store, record, data[name], device) else "unchanged"] += 1
        except (RescoreError, StoreError) as error:
            counts["left"] += 1
            sys.stderr.write(f"left as it is: {name} {record.method} {record.bits} bits: {error}\n")
    sys.stdout.write(
        f"{len(records)} records: {counts['changed']} changed, {counts['unchanged']} the same, "
        f"{counts['left']} left as they are\n"
    )
    return counts["left"]


def _own(name: str) -> str:
    if not is_own(name):
        raise DatasetError(
            f"--datasets: expected your own data, as in folder:PATH, got {name!r}; named data sets "
            "are found by themselves"
        )
    return name


def _named(record: RunRecord, options: LoadOptions) -> RetrievalDataset | DatasetError:
    """Load the data set that a record names, with the rows that are there if it had no others."""
    if record.dataset not in DATASETS:
        return DatasetError("is of your own data; name it with --datasets KIND:PATH")
    try:
        return load(f"{record.dataset}/{record.protocol.partition('~')[0]}", options)
    except DatasetError as error:
        return error


def rescore(
    store: ResultStore,
    record: RunRecord,
    data: RetrievalDataset | DatasetError,
    device: torch.device,
) -> bool:
    """Score one record again; returns whether any number changed.

    Raises
    ------
    RescoreError
        If the record has no codes, or was made on another copy of the data set.
    StoreError
        If its files cannot be read or written.
    """
    if isinstance(data, DatasetError):
        raise RescoreError(str(data))
    if record.bits == 0:
        raise RescoreError("has no codes; run it again with --force to rank its features anew")
    arrays = store.arrays(store.path(record))
    info = protocol_info(data, str(record.protocol_info.get("inputs", "")))
    same = all(record.protocol_info.get(key) == info[key] for key in ("digest", "labels"))
    for part in ("query", "database"):
        same = same and np.array_equal(arrays[f"{part}_rows"], getattr(data, part).numpy())
    if not same:
        raise RescoreError("was made under another split or other labels; run it again")
    codes = {
        part: np.unpackbits(arrays[f"{part}_codes"], axis=1, count=record.bits).astype(bool)
        for part in ("query", "database")
    }
    scores = score_codes(
        torch.from_numpy(codes["query"]), torch.from_numpy(codes["database"]), data, device
    )
    if (record.metrics, record.curves) == (scores.metrics, scores.curves):
        return False
    again = replace(record, metrics=scores.metrics, curves=scores.curves, protocol_info=info)
    store.save(again, arrays | {"query_ap": scores.query_ap}, force=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
