"""Compute the metrics of stored runs again, from their codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import protocol_info, score_codes
from benchmarks.evaluation.tracks import stored_tracks, with_tracks
from benchmarks.evaluation.truth import truth_of
from benchmarks.evaluation.view_agreement import AGREEMENT, VIEW_CODES, view_agreement
from benchmarks.machine.environment import DeviceError, environment
from benchmarks.runner.reporting import read_board
from datasets import DATASETS, load
from datasets.arguments import load_options
from datasets.base import RetrievalDataset
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.own.kinds import is_own, without_own
from results.report import render_board
from results.store.leftovers import tidy
from results.store.record import RunRecord
from results.store.store import ResultStore, StoreError
from results.store.wording import counted

USER_ERRORS = (DatasetError, DeviceError, StoreError)
"""Errors whose message is one line meant for the user."""


class RescoreError(Exception):
    """A record that cannot be scored again; the message is one line meant for the user."""


def rescore_all(options: argparse.Namespace) -> int:
    """Score all records of a store again, and report; returns how many were left as they are.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of `benchmarks.rescore`.

    Raises
    ------
    DatasetError, DeviceError, StoreError
        If the store, the device or the user's own data cannot be had.
    """
    device = environment(options.device).device
    store = ResultStore(options.out)
    tidy(store)
    left = _rescore(store, options, device)
    if not options.no_report:
        render_board(read_board(store), store)
    return left


def _rescore(store: ResultStore, options: argparse.Namespace, device: torch.device) -> int:
    """Score what can be scored; returns how many records were left as they are."""
    records, unread, _, outdated = store.scan()
    for reason in (*unread, *outdated):
        sys.stderr.write(f"left as it is: {reason}\n")
    given = load_options(options)
    own = [load(name, given) for name in map(_own, options.datasets)]
    data: dict[str, RetrievalDataset | DatasetError] = {d.protocol.label: d for d in own}
    counts = {"changed": 0, "unchanged": 0, "codeless": 0, "left": len(unread)}
    for record in records:
        if record.size:  # a yardstick without codes: --force ranks its vectors anew
            counts["codeless"] += 1
            continue
        name = f"{record.dataset}/{record.protocol}"
        if name not in data:
            data[name] = _named(record, without_own(given))
        try:
            counts["changed" if rescore(store, record, data[name], device) else "unchanged"] += 1
        except (RescoreError, StoreError) as error:
            counts["left"] += 1
            sys.stderr.write(f"left as it is: {name} {record.method} {record.bits} bits: {error}\n")
    sys.stdout.write(
        f"{counted(sum(counts.values()), 'record')}: {counts['changed']} changed, "
        f"{counts['unchanged']} the same, {counts['codeless']} without codes, "
        f"{counts['left']} left as they are\n"
    )
    return counts["left"] + len(outdated)


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
    """Score one record with codes again; returns whether anything in it changed.

    Raises
    ------
    RescoreError
        If its arrays are damaged, or it was made on another copy of the data set.
    StoreError
        If its files cannot be read or written.
    """
    if isinstance(data, DatasetError):
        raise RescoreError(str(data))
    arrays = store.arrays(store.locate(record))
    again, query_ap = scored_again(record, arrays, data, device)
    if again == record:
        return False
    store.save(again, arrays | {"query_ap": query_ap}, force=True)
    return True


def scored_again(
    record: RunRecord,
    arrays: Mapping[str, NDArray[Any]],
    data: RetrievalDataset,
    device: torch.device,
) -> tuple[RunRecord, NDArray[np.float32]]:
    """Return a record with every metric computed from its codes, and AP of each query.

    Raises
    ------
    RescoreError
        If its arrays are damaged, or it was made on another copy of the data set.
    """
    if fault := _fault(arrays, record):
        raise RescoreError(f"its arrays are damaged ({fault}); run it again")
    info = protocol_info(data, str(record.protocol_info.get("inputs", "")))
    before = {"labels": info["labels"]} | record.protocol_info  # older records hold no labels
    same = all(before[key] == info[key] for key in ("digest", "labels"))
    for part in ("query", "database"):
        same = same and np.array_equal(arrays[f"{part}_rows"], getattr(data, part).numpy())
    if not same:
        raise RescoreError("was made under another split or other labels; run it again")
    query, database = (
        PackedBits(arrays[f"{part}_codes"], record.bits) for part in ("query", "database")
    )
    try:
        truth = truth_of(data)
    except DatasetError as error:
        raise RescoreError(str(error)) from error
    scores = score_codes(query, database, data, device, truth, arrays.get("query_scores"))
    tracks = stored_tracks(arrays, record.bits)
    scores = with_tracks(scores, tracks, (query, database), data, device)
    if VIEW_CODES in arrays:
        scores.metrics[AGREEMENT] = view_agreement(arrays[VIEW_CODES], record.bits)
    again = replace(record, metrics=scores.metrics, curves=scores.curves, protocol_info=info)
    return again, scores.query_ap


def _fault(arrays: Mapping[str, NDArray[Any]], record: RunRecord) -> str | None:
    """Say what is wrong with the arrays of a record, None if nothing is."""
    for part in ("query", "database"):
        for name in (f"{part}_rows", f"{part}_codes"):
            if name not in arrays:
                return f"{name} is missing"
        codes, shape = arrays[f"{part}_codes"], (len(arrays[f"{part}_rows"]), -(-record.bits // 8))
        if codes.dtype != np.uint8 or codes.shape != shape:
            return (
                f"{part}_codes must be {shape[0]} packed codes of {record.bits} bits, "
                f"got {codes.dtype} of shape {codes.shape}"
            )
        try:
            PackedBits(codes, record.bits).check_ends(f"{part}_codes")
        except ValueError as error:
            return str(error)
    asked = arrays.get("query_scores")
    expected = len(arrays["query_rows"]), record.bits
    if asked is not None and (asked.dtype != np.int16 or asked.shape != expected):
        return f"query_scores must be int16 {expected}, got {asked.dtype} {asked.shape}"
    return None
