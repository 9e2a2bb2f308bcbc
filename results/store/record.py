"""What is recorded of a run, finished or failed, and the check that every record has to pass."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from results.store.run_key import Address

SCHEMA: int = 5
KINDS = ("method", "captions", "nouns", "n_classes", "class_names", "hierarchy", "yardstick")
"""What a row counts as: an unsupervised method, one that learns from more than images, or neither.

Rows of different kinds are never ranked together.
"""
CHECKED = ("claimed", "re-scored", "re-run", "run")
"""How much was checked of a record, least first: nothing of a claim; of a submission, its numbers
from its codes, or from a training; "run" is a record of this suite's own runner or scorer."""
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
    timings: dict[str, float]  # seconds of each stage, on the clock
    cpu_timings: dict[str, float]  # CPU seconds of each stage that this process worked on
    peak_memory_mib: float
    versions: dict[str, str]
    device: str
    commit: str
    command: str  # what the user called
    created: str  # ISO 8601, UTC
    schema: int = SCHEMA

    @property
    def size(self) -> str:
        """What an item takes, "K + 64 bits" say, where it is no code for Hamming distances.

        Empty for codes, which take their bits.
        """
        method = self.settings.get("method")
        told = method.get("size") if isinstance(method, dict) else None
        return str(told or ("" if self.bits else "no codes"))

    @property
    def checked(self) -> str:
        """How much was checked of it, one of `CHECKED`."""
        claim = self.settings.get("claim")
        if not isinstance(claim, dict):
            return "run"
        how = claim.get("checked")
        return how if how in CHECKED else "claimed"

    @property
    def has_asym(self) -> bool:
        """Whether its codes were ranked by asymmetric distance too."""
        return any(name.startswith("asym.") for name in self.metrics)

    @property
    def metric(self) -> str:
        """The metric that tables show, of which the arrays keep every query."""
        info = self.protocol_info
        return str(info.get("metric") or f"mAP@{info['cutoff']}")

    def cost(self, stage: str) -> float | None:
        """Seconds that a stage costs; None where it was not measured.

        On CUDA these are seconds on the clock. On a CPU they are CPU seconds, over all threads: the
        clock also counts what other processes of the machine took of it.
        """
        return (self.timings if "cuda" in self.versions else self.cpu_timings).get(stage)


@dataclass(frozen=True)
class Failure(Address):
    """A cell that was tried and gave no record."""

    kind: str  # one of KINDS
    error: str  # one line
    traceback: str
    created: str  # ISO 8601, UTC
    schema: int = SCHEMA


_FIELDS: dict[type[Address], frozenset[str]] = {
    form: frozenset(field.name for field in fields(form)) for form in (RunRecord, Failure)
}


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
    results.store.record.SchemaError: schema 0 where this version reads schema 5; run the cell again
    """
    _check_fields(RunRecord, data)
    for fault in _faults(data):
        raise ValueError(fault)


def check_failure(data: dict[str, Any]) -> None:
    """Raise ValueError naming the first thing in a failure's data that breaks the schema."""
    _check_fields(Failure, {"schema": 3} | data)  # up to schema 3, failures did not tell theirs
    for fault in _rule_faults(data, _RULES):
        raise ValueError(fault)


def _check_fields(form: type[Address], data: dict[str, Any]) -> None:
    """Refuse another schema first: nothing else in such data means what it says."""
    schema = data.get("schema")
    if isinstance(schema, int) and schema != SCHEMA:
        raise SchemaError(schema)
    names = _FIELDS[form]
    if odd := sorted(names ^ data.keys()):
        raise ValueError(f"field {odd[0]!r} is {'missing' if odd[0] in names else 'unknown'}")


def _faults(data: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong, for a caller who stops at the first: later checks rely on earlier."""
    yield from _rule_faults(data, _RULES)
    if data["kind"] != "yardstick" and data["bits"] == 0:
        yield "bits: a method has at least 1; 0 is for yardsticks without codes"
    yield from _json_faults(data["settings"], "settings", dict)
    yield from _json_faults(data["protocol_info"], "protocol_info", dict)
    info = {name: data["protocol_info"].get(name) for name in _PROTOCOL_RULES}
    yield from _rule_faults(info, _PROTOCOL_RULES, "protocol_info.")
    for name in ("metrics", "timings", "cpu_timings"):
        yield from _map_faults(data[name], name, _is_number, "a finite number")
    if not data["metrics"]:
        yield "metrics: expected at least one, got none"
    yield from _map_faults(data["versions"], "versions", _is_text, "text")
    seeds = data["trained_with"]
    if not isinstance(seeds, list) or not all(map(_is_count, seeds)) or data["seed"] not in seeds:
        yield f"trained_with: expected a list of seeds, its own among them, got {seeds!r}"
    if not isinstance(data["history"], list):
        yield f"history: expected a list, got {type(data['history']).__name__}"
    for epoch, terms in enumerate(data["history"], start=1):
        if not _is_map(terms, _is_number):
            name = f"history of epoch {epoch}"
            yield from _map_faults(terms, name, _is_number, "a finite number")
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


def _rule_faults(data: dict[str, Any], rules: _Rules, where: str = "") -> Iterator[str]:
    for name, (right, rule) in rules.items():
        if name in data and not right(data[name]):
            yield f"{where}{name}: expected {rule}, got {data[name]!r:.80}"


def _is_map(value: object, right: Callable[[Any], bool]) -> bool:
    """Whether it is a dict from text to what is right: `_map_faults` finds nothing in it."""
    return isinstance(value, dict) and all(map(_is_text, value)) and all(map(right, value.values()))


def _map_faults(value: object, name: str, right: Callable[[Any], bool], rule: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{name}: expected a dict, got {type(value).__name__}"
        return
    if _is_map(value, right):
        return
    for key, item in value.items():
        if not _is_text(key) or not right(item):
            got = (
                f"{type(item).__name__} of {len(item)}"
                if isinstance(item, list)
                else f"{item!r:.80}"
            )
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
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _json_faults(item, f"{name}[{index}]", depth=depth + 1)
    elif isinstance(value, str) and not _is_text(value):
        yield f"{name}: expected text, got {value!r:.80}"
    elif not (value is None or isinstance(value, (str, bool, int, float))):
        yield f"{name}: expected a JSON value, got {type(value).__name__}"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{name}: expected a finite number, got {value!r}"


def _is_utc(value: object) -> bool:
    try:
        return datetime.fromisoformat(str(value)).utcoffset() == timedelta(0)
    except ValueError:
        return False


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


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool and abs(value) <= LARGEST


_NUMBERS = frozenset((int, float))


def _is_numbers(value: object) -> bool:
    """Whether it is a list of finite numbers. Records hold hundreds, so each pass is one of C's."""
    if not isinstance(value, list) or not value:
        return value == []
    usual = _NUMBERS.issuperset(map(type, value)) and max(map(abs, value)) <= LARGEST
    return (usual and not math.isnan(sum(value))) or all(map(_is_number, value))


_Rules = dict[str, tuple[Callable[[Any], bool], str]]
_TEXT, _COUNT = (_is_text, "text"), (_is_count, f"a whole number from 0 to {MOST}")
_NAME = (_is_name, f"text of up to {LONGEST_NAME} printable letters")
_RULES: _Rules = {
    **dict.fromkeys(("dataset", "protocol", "backbone", "method"), _NAME),
    **dict.fromkeys(("bits", "seed"), _COUNT),
    "digest": (_is_digest, "64 lower-case hex digits"),
    "kind": (KINDS.__contains__, f"one of {', '.join(KINDS)}"),
    **dict.fromkeys(("error", "traceback", "device", "commit", "command"), _TEXT),
    "peak_memory_mib": (_is_number, "a finite number"),
    "created": (_is_utc, "an ISO 8601 time in UTC"),
    "schema": (lambda value: value == SCHEMA, str(SCHEMA)),
}
"""Of the fields of records and failures that hold a single value."""
_PROTOCOL_RULES: _Rules = {
    **dict.fromkeys(("n_query", "n_train", "n_database", "cutoff"), _COUNT),
    **dict.fromkeys(("rule", "relevance", "source", "digest"), _TEXT),
}
