"""Submissions: records of a results folder packed into one file, and entered into another."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.publish.bundle import About, Bundle, BundleError, Item, write_bundle
from benchmarks.publish.verify import SCORED, Finding
from benchmarks.runner.compare_records import read_record, store_of
from benchmarks.runner.submit_codes import check_kind, check_name
from datasets.errors import one_line
from results.store.record import RunRecord
from results.store.store import ResultStore

MOST_TEXT = 1_000_000
"""Bytes of a method's file."""


def pack(options: argparse.Namespace) -> Bundle:
    """Write the records of ``options.records`` and their codes to ``options.out``; returns them.

    Raises
    ------
    StoreError
        If a record or its arrays cannot be read.
    SubmissionError
        If a record has the name of a method of the suite.
    BundleError
        If the method's file cannot be read, or the disk refuses.
    """
    about = About(**{name: getattr(options, name) for name in asdict(About())})
    items = [_item(path, with_codes=not options.without_codes) for path in options.records]
    for item in items:
        check_name(item.record.method)
    bundle = Bundle(tuple(items), about, _text(options.method_file))
    write_bundle(options.out, bundle)
    return bundle


def _item(path: Path, *, with_codes: bool) -> Item:
    record = read_record(path)
    item = Item(record, store_of(path).arrays(path))
    return item if with_codes else item.without_codes()


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        content = path.read_bytes()
        if len(content) > MOST_TEXT:
            raise BundleError(f"{path}: expected at most {MOST_TEXT:,} bytes, got {len(content):,}")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read as text ({one_line(error)})") from error


def enter(
    store: ResultStore, bundle: Bundle, findings: Iterable[Finding], *, claimed: bool
) -> list[RunRecord]:
    """Store the records of a submission that came out again, and say in each how it was checked.

    Parameters
    ----------
    store : ResultStore
    bundle : Bundle
    findings : iterable of Finding
        Of `benchmarks.publish.verify.verify`.
    claimed : bool
        Also store the records that nothing was found of, as claims.

    Raises
    ------
    BundleError
        If a number came out otherwise; nothing is stored then.
    SubmissionError, StoreError
        If a record has a name of the suite or of another kind, or the folder cannot be written.
    """
    checked: dict[str, str] = {}
    for finding in findings:
        if finding.faults:
            raise BundleError(f"{finding}; nothing was entered")
        if finding.item is not None:
            how = "re-scored" if finding.how == SCORED else "re-run"
            checked[finding.item.record.digest] = how
    entered = []
    for item in bundle.items:
        how = checked.get(item.record.digest, "claimed")
        if how == "claimed" and not claimed:
            continue
        check_name(item.record.method)
        claim = {**asdict(bundle.about), "checked": how}
        record = replace(item.record, settings={**item.record.settings, "claim": claim})
        check_kind(store, record)
        store.save(record, item.arrays, force=True)
        entered.append(record)
    return entered


def summary(bundle: Bundle) -> Sequence[str]:
    """Lines that say what a submission holds and who stands behind it."""
    about = [f"{name}: {text}" for name, text in asdict(bundle.about).items() if text]
    return [*(str(item.record.key) for item in bundle.items), *about]
