"""Presets: the flags of a call, written in a TOML file.

Every flag of ``benchmarks.run`` has its key, written without dashes in front: ``input-size = 128``.
A table ``[[grid]]`` holds the flags of one grid over those at the top, so that one file can tell of
several grids. Flags on the command line come first.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.grid.errors import GridError
from datasets.errors import lookup, one_line

FOLDER = Path(__file__).parent
DEFAULT = "quick"
_NOT_IN_PRESETS = ("help", "preset", "list", "dry_run", "force")
"""Flags that say what this call does, and not what its grid is."""

_OF_THE_CALL = (
    *("device", "executor", "jobs", "threads", "scheduler", "cell-timeout", "checkpoint-every"),
    *("asym", "deterministic", "skip-absent", "out", "cache", "no-report", "keep-models"),
    "publish",
)
"""Flags that one call has once, however many grids it runs."""

Flags = dict[str, Any]


def names() -> list[str]:
    """Presets of this package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_preset(preset: str, parser: argparse.ArgumentParser) -> list[Flags]:
    """Read the grids of a preset.

    Parameters
    ----------
    preset : str
        Name of a preset of this package, or path of a TOML file.
    parser : argparse.ArgumentParser
        Whose flags the keys are.

    Returns
    -------
    list of dict
        For each grid, values by the parser's own names.

    Raises
    ------
    GridError
        If the file cannot be read or a value is of another type than its flag takes.
    UnknownName
        If there is no such preset or key.
    """
    path = Path(preset) if preset.endswith(".toml") else None
    if path is None:
        path = FOLDER / f"{lookup('preset', preset, dict.fromkeys(names(), preset))}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise GridError(f"--preset: {path}: {error.strerror}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GridError(f"--preset: {path}: {one_line(error)}") from error
    grids = content.pop("grid", [{}])
    if not isinstance(grids, list) or not all(isinstance(grid, dict) for grid in grids):
        raise GridError(f"--preset: {path}: grid must be a list of tables, each headed [[grid]]")
    for key in (key for grid in grids for key in grid if key in _OF_THE_CALL):
        raise GridError(
            f"--preset: {path.name}: {key} is of the whole call; write it above the first [[grid]]"
        )
    return [_flags(path, {**content, **grid}, parser) for grid in grids]


def _flags(path: Path, table: Mapping[str, Any], parser: argparse.ArgumentParser) -> Flags:
    actions = {
        option.removeprefix("--"): action
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and action.dest not in _NOT_IN_PRESETS
    }
    flags: Flags = {}
    for key, value in table.items():
        action = lookup(f"key in {path.name}", key, actions)
        flags[action.dest] = _value(f"--preset: {path.name}: {key}", value, action)
    return flags


def _value(who: str, value: Any, action: argparse.Action) -> Any:
    """Return the value as the flag itself would give it."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise GridError(f"{who}: expected true or false, got {value!r}")
        return value
    if action.nargs == "+":
        if not isinstance(value, list) or not value:
            raise GridError(f"{who}: expected a list, got {value!r}")
        return [_one(who, item, action) for item in value]
    return _one(who, value, action)


def _one(who: str, value: Any, action: argparse.Action) -> Any:
    wanted = int if action.type is int else float if action.type is float else str
    fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
    if not fits or isinstance(value, bool):
        raise GridError(f"{who}: expected {wanted.__name__}, got {value!r}")
    if action.choices is not None and value not in action.choices:
        raise GridError(f"{who}: expected one of {', '.join(action.choices)}, got {value!r}")
    return Path(value) if action.type is Path else wanted(value)
