"""The record of one cell, finished or failed, and the check it passes before it is stored."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from results.store.run_key import Address

SCHEMA: int = 4
KINDS = ("method", "captions", "hierarchy", "yardstick")
"""What a row counts as: an unsupervised method, one that learns from more than images, or neither.

Rows of different kinds are never ranked together.
"""
LONGEST_NAME = 500
"""Letters of the name of a data set, protocol, backbone or method."""
MOST = 2**53
"""The largest count; every whole number up to it is exact as a float, too."""
LARGEST = 1e150
"""The largest number; sums and products of such are finite still."""
DEEPEST = 20
"""Levels of nested settings."""
CURVES: dict[str, tuple[tuple[str, ...], int | None]] = {
    "precision_recall": (("radius", "precision", "recall"), 1),
    "distances": (("pairs", "relevant"), 1),
    "bits": (("bit", "activation", "entropy"), 0),
    "cutoffs": (("n", "precision", "recall"), None),
}
"""Lists of each curve, and how many points they have beyond the code length; None for any."""
PROTOCOL_COUNTS = ("n_query", "n_train", "n_database", "cutoff")
PROTOCOL_TEXTS = ("rule", "relevance", "source", "digest")


class SchemaError(ValueError):
    """Data of a record that an earlier or later version wrote; `schema` is its number."""

    def __init__(self, schema: int) -> None:
        super().__init__(
            f"schema {schema} where this version reads schema {SCHEMA}; run the cell again"
        )
        self.schema = schema


@dataclass(frozen=True)
class RunRecord(Address):
    """One run, complete: what it was, what shaped it, what came out.

    `settings` holds every setting but the seed; records whose settings differ never share a mean.
    """

    kind: str  # one of KINDS
    settings: dict[str, Any]
    protocol_info: dict[str, Any]  # n_query, n_train, n_database, cutoff, rule, relevance, ...
    metrics: dict[str, float]
    curves: dict[str, dict[str, list[float]]]
    history: list[dict[str, float]]  # mean loss terms of each epoch
    trained_with: list[int]  # seeds trained together as one stack, its own among them
    timings: dict[str, float]  # seconds
    peak_memory_mib: float
    versions: dict[str, str]
    device: str
    commit: str
    command: str  # what the user called
    created: str  # ISO 8601, UTC
    schema: int = SCHEMA


@dataclass(frozen=True)
class Failure(Address):
    """A cell that was tried and gave no record."""

    kind: str  # one of KINDS
    error: str  # one line
    traceback: str
    created: str  # ISO 8601, UTC
    schema: int = SCHEMA


def check_record(data: dict[str, Any]) -> None:
    """Raise ValueError naming the first thing in a record's data that breaks the schema.

    Parameters
    ----------
    data : dict
        The fields of a RunRecord, as `dataclasses.asdict` or JSON gives them.

    Examples
    --------
    >>> check_record({"schema": 0})
    Traceback (most recent call last):
    ...
    results.store.record.SchemaError: schema 0 where this version reads schema 4; run the cell again
    """
    _check_fields(RunRecord, data)
    for fault in _faults(data):
        raise ValueError(fault)


def check_failure(data: dict[str, Any]) -> None:
    """Raise ValueError naming the first thing in a failure's data that breaks the schema."""
    _check_fields(Failure, {"schema": 3} | data)  # up to schema 3, failures did not tell theirs
    for name, value in data.items():
        right = _is_count(value) if name in ("bits", "seed", "schema") else _is_text(value)
        if not right:
            raise ValueError(f"{name}: got {value!r}")
    for fault in (*_kind_faults(data["kind"]), *_time_faults(data["created"])):
        raise ValueError(fault)


def _check_fields(form: type[Address], data: dict[str, Any]) -> None:
    """Refuse another schema first: nothing else in such data means what it says."""
    schema = data.get("schema")
    if isinstance(schema, int) and schema != SCHEMA:
        raise SchemaError(schema)
    names = {field.name for field in fields(form)}
    if odd := sorted(names ^ set(data)):
        raise ValueError(f"field {odd[0]!r} is {'missing' if odd[0] in names else 'unknown'}")
    if schema != SCHEMA:
        raise ValueError(f"schema: expected {SCHEMA}, got {schema!r}")


def _faults(data: dict[str, Any]) -> Iterator[str]:
    for name in ("dataset", "protocol", "backbone", "method", "kind"):
        if not _is_name(data[name]):
            yield f"{name}: expected up to {LONGEST_NAME} printable letters, got {data[name]!r:.80}"
    yield from _kind_faults(data["kind"])
    for name in ("bits", "seed"):
        if not _is_count(data[name]):
            yield f"{name}: expected a whole number from 0 to {MOST}, got {data[name]!r:.80}"
    if data["kind"] != "yardstick" and data["bits"] == 0:
        yield "bits: a method has at least 1; 0 is for yardsticks without codes"
    if not isinstance(data["digest"], str) or not re.fullmatch("[0-9a-f]{64}", data["digest"]):
        yield f"digest: expected 64 lower-case hex digits, got {data['digest']!r}"
    for name in ("device", "commit", "command"):
        if not _is_text(data[name]):
            yield f"{name}: expected text, got {data[name]!r}"
    yield from _time_faults(data["created"])
    yield from _json_faults(data["settings"], "settings", dict)
    yield from _json_faults(data["protocol_info"], "protocol_info", dict)
    if isinstance(data["protocol_info"], dict):
        for names, right, rule in (
            (PROTOCOL_COUNTS, _is_count, "a whole number from 0"),
            (PROTOCOL_TEXTS, _is_text, "text"),
        ):
            for name in names:
                if not right(data["protocol_info"].get(name)):
                    got = data["protocol_info"].get(name)
                    yield f"protocol_info.{name}: expected {rule}, got {got!r}"
    for name in ("metrics", "timings"):
        yield from _map_faults(data[name], name, _is_number, "a finite number")
    if not data["metrics"]:
        yield "metrics: expected at least one, got none"
    yield from _map_faults(data["versions"], "versions", _is_text, "text")
    if not _is_number(data["peak_memory_mib"]):
        yield f"peak_memory_mib: expected a finite number, got {data['peak_memory_mib']!r}"
    seeds = data["trained_with"]
    if not isinstance(seeds, list) or not all(map(_is_count, seeds)) or data["seed"] not in seeds:
        yield f"trained_with: expected a list of seeds, its own among them, got {seeds!r}"
    if not isinstance(data["history"], list):
        yield f"history: expected a list, got {type(data['history']).__name__}"
        return
    for epoch, terms in enumerate(data["history"], start=1):
        yield from _map_faults(terms, f"history of epoch {epoch}", _is_number, "a finite number")
    yield from _map_faults(data["curves"], "curves", lambda value: isinstance(value, dict), "dict")
    for name, curve in data["curves"].items():
        yield from _map_faults(curve, f"curves.{name}", _is_numbers, "a list of finite numbers")
        if len({len(values) for values in curve.values()}) > 1:
            yield f"curves.{name}: its lists differ in length"
    for name, (lists, beyond) in CURVES.items():
        for part in lists if name in data["curves"] else ():
            points = len(data["curves"][name].get(part, ()))
            if beyond is None and not points:
                yield f"curves.{name}.{part}: expected points, got none"
            elif beyond is not None and points != data["bits"] + beyond:
                expected = data["bits"] + beyond
                yield f"curves.{name}.{part}: expected {expected} points, got {points}"


def _map_faults(value: object, name: str, right: Callable[[Any], bool], rule: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{name}: expected a dict, got {type(value).__name__}"
        return
    for key, item in value.items():
        if not _is_text(key) or not right(item):
            got = f"{type(item).__name__} of {len(item)}" if isinstance(item, list) else repr(item)
            yield f"{name}[{key!r}]: expected {rule}, got {got}"


def _json_faults(
    value: object, name: str, kind: type | None = None, depth: int = 0
) -> Iterator[str]:
    """Find what JSON cannot hold, and what is nested beyond reason."""
    if depth > DEEPEST:
        yield f"{name:.80}: expected at most {DEEPEST} levels, got more"
    elif kind is not None and not isinstance(value, kind):
        yield f"{name}: expected a {kind.__name__}, got {type(value).__name__}"
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _is_text(key):
                yield f"{name}: expected names that are text, got {key!r}"
            yield from _json_faults(item, f"{name}.{key}", depth=depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _json_faults(item, f"{name}[{index}]", depth=depth + 1)
    elif isinstance(value, str) and not _is_text(value):
        yield f"{name}: expected text, got {value!r:.80}"
    elif not (value is None or isinstance(value, str | bool | int | float)):
        yield f"{name}: expected a JSON value, got {type(value).__name__}"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{name}: expected a finite number, got {value!r}"


def _kind_faults(value: object) -> Iterator[str]:
    if value not in KINDS:
        yield f"kind: expected one of {', '.join(KINDS)}, got {value!r}"


def _time_faults(value: object) -> Iterator[str]:
    try:
        offset = datetime.fromisoformat(str(value)).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        yield f"created: expected an ISO 8601 time in UTC, got {value!r}"


def _is_text(value: object) -> bool:
    """Whether it is text that can be written: no half of a surrogate pair, no NUL."""
    return (
        isinstance(value, str)
        and "\0" not in value
        and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))
    )


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.isprintable()
        and bool(value.strip())
        and len(value) <= LONGEST_NAME
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and abs(value) <= LARGEST


def _is_numbers(value: object) -> bool:
    return (
        isinstance(value, list)
        # A record holds hundreds of numbers here: the usual two types are compared as one set.
        and ({type(item) for item in value} <= {int, float} or all(map(_is_number, value)))
        and all(abs(item) <= LARGEST for item in value)
    )
