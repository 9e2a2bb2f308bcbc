"""The lists that ``python -m benchmarks.run --list methods|datasets|...`` prints."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.features.backbones import BACKBONES, learnt_from
from benchmarks.grid import presets
from benchmarks.grid.find_method import installed_methods
from benchmarks.grid.groups import GROUPS, group_of, members
from benchmarks.grid.method_settings import MethodSpec, method_spec
from benchmarks.grid.yardsticks import YARDSTICKS
from datasets import DATASETS
from datasets.own.kinds import OWN
from datasets.own.plugins import offers
from datasets.protocols.table import PROTOCOLS
from datasets.sources.facts import FACTS
from methods import METHODS, HashMethod
from methods.papers import bibtex


def listing(what: str) -> list[str]:
    """Lines about every choice of a kind, one of `benchmarks.grid.flags.LISTS`."""
    if what == "methods":
        return _methods()
    if what == "bibtex":
        entries = (entry for name, entry in bibtex().items() if name in METHODS | YARDSTICKS)
        return [line for entry in entries for line in entry.splitlines()]
    if what == "datasets":
        hidden = dict.fromkeys(DATASETS, "; hidden by the suite's own")
        plugins = (f"{n:<20} {e.value}{hidden.get(n, '')}" for n, e in offers().items())
        return [*map(_facts, DATASETS), *plugins, *(f"{kind}:PATH" for kind in OWN)]
    if what == "protocols":
        protocols = [p for named in PROTOCOLS.values() for p in named.values()]
        width = max(len(p.label) for p in protocols)
        return [f"{p.label:<{width}} {p.sizes}" for p in protocols]
    if what == "recipes":
        return [line for name, cls in METHODS.items() for line in _recipes(name, cls)]
    if what == "presets":
        return presets.names()
    width = max(map(len, BACKBONES))
    return [f"{name:<{width}} learnt from: {learnt_from(name)}" for name in BACKBONES]


def _methods() -> list[str]:
    """Describe every method and yardstick, and what each group holds."""
    known = {**METHODS, **YARDSTICKS}
    rows = [(name, cls.title, group_of(cls), cls.paper) for name, cls in known.items()]
    name, title, group = (max(map(len, column)) for column in list(zip(*rows, strict=True))[:3])
    lines = [f"{n:<{name}}  {t:<{title}}  {g:<{group}}  {paper}" for n, t, g, paper in rows]
    lines += [f"{n:<{name}}  {origin}" for n, origin in installed_methods().items()]
    return [*lines, *(f"--methods {group}: {' '.join(members(group))}" for group in GROUPS)]


def _facts(name: str) -> str:
    """Describe a data set: size, classes, how it is had, protocols, licence."""
    facts = FACTS[name]
    known = f"{facts.images:>9,} images, {facts.classes}, {facts.had}"
    return f"{name:<20} {known}; {', '.join(PROTOCOLS[name])}; {facts.terms}"


class ShownRecipe(NamedTuple):
    """How a method is trained: when that holds, its settings by name, and where they were read."""

    mode: str
    values: dict[str, object]
    source: str


def recipes_of(name: str, cls: type[HashMethod]) -> list[ShownRecipe]:
    """Describe how a method is trained on a frozen backbone, and how its paper trains.

    There is nothing to describe of a closed form.
    """
    shown = []
    for mode, finetune in (("frozen backbone", False), ("--finetune", True)):
        if MethodSpec(name, cls).is_trained:
            spec = method_spec(name, finetune=finetune)
            settings = spec.settings(32)
            values = settings["recipe"] | settings["params"]
            if at := dict(spec.recipe.epochs_at):
                values |= {f"epochs at {bits} bits": epochs for bits, epochs in at.items()}
            shown.append(ShownRecipe(mode, values, spec.recipe.source))
    return shown


def _recipes(name: str, cls: type[HashMethod]) -> list[str]:
    """Lines about the recipes of a method."""
    lines = []
    for mode, values, source in recipes_of(name, cls):
        lines.append(f"{name:<18} {mode}: {', '.join(f'{k}={v}' for k, v in values.items())}")
        lines.append(f"{'':<18} from: {source}")
    return lines or [f"{name:<18} closed form"]
