"""Data sets that installed packages offer, by entry points of the group ``hashbench.datasets``.

An entry point names a module with ``PROTOCOLS``, a sequence of `Protocol_` whose data set is the
entry point's name, and ``load(protocol, options)``, which returns `Contents`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.protocols.protocol import Protocol_

GROUP = "hashbench.datasets"

Loader = Callable[[Protocol_, LoadOptions], Contents]


@dataclass(frozen=True)
class Plugin:
    """A data set: its protocols by name, the first of them the default, and its loader."""

    protocols: dict[str, Protocol_]
    load: Loader


def offers() -> dict[str, EntryPoint]:
    """Entry points of installed packages by name, not loaded; the first on the path wins."""
    return {entry.name: entry for entry in reversed(list(entry_points(group=GROUP)))}


def read_plugin(entry: EntryPoint) -> Plugin:
    """Import the module behind an entry point.

    Raises
    ------
    DatasetError
        If it cannot be imported or lacks what it has to have.
    """
    who = f"entry point {entry.name!r} ({entry.value})"
    try:
        module = entry.load()
    except (Exception, SystemExit) as error:  # an import may fail in any way
        told = f"{type(error).__name__}: {one_line(error)}"
        raise DatasetError(f"{who}: cannot be imported ({told})") from error
    protocols, load = getattr(module, "PROTOCOLS", None), getattr(module, "load", None)
    if not callable(load):
        raise DatasetError(f"{who}: has no load; define load(protocol, options) in the module")
    if not protocols or not all(isinstance(p, Protocol_) for p in protocols):
        raise DatasetError(
            f"{who}: PROTOCOLS must be one Protocol_ or more, of datasets, got {protocols!r}"
        )
    if odd := [p.label for p in protocols if p.dataset != entry.name]:
        raise DatasetError(f"{who}: protocols must be of the data set {entry.name!r}, got {odd[0]}")
    return Plugin({p.name: p for p in protocols}, partial(_no_exit, who, load))


def _no_exit(who: str, load: Loader, protocol: Protocol_, options: LoadOptions) -> Contents:
    """Load, where a call of `exit` would end the command, and with code 0 look like success."""
    try:
        return load(protocol, options)
    except SystemExit as error:
        raise DatasetError(
            f"{who}: load raised {error!r}; raise DatasetError with the reason instead"
        ) from error
