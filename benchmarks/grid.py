"""Settings as data: what a cell of the grid is, how it is named, seeded and identified.

Cells are methods x bits x seeds x suites, a suite being a data set under one protocol seen through
one backbone.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal

import benchmarks.features
import benchmarks.trainer
from benchmarks.backbones import Backbone
from benchmarks.features import source_of_pixels
from datasets.base import RetrievalDataset, lookup
from methods import METHODS, HashMethod, Recipe
from results.store import SCHEMA

YARDSTICKS = ("random", "float")
"""Rows that tables show apart: random codes, and cosine ranking of the features themselves."""

DEFAULT_BACKBONE = {"digits": "pixels", "synthetic": "pixels"}
"""Backbone by data set; natural images take `NATURAL_BACKBONE`."""
NATURAL_BACKBONE = "efficientnet_lite0"

_NO_SETTINGS = ("epochs_at", "source")
"""Fields of a recipe that `epochs` replaces, or that shape no number."""

Views = Literal["bank", "fresh"]
RecipeName = Literal["paper", "common"]

COMMON = Recipe(
    epochs=30, batch_size=64, lr=1e-3, augmentation="cibhash", source="the same for every method"
)
"""What ``--recipe common`` trains every method by, to tell a loss from its recipe."""


class GridError(Exception):
    """Settings that make no grid; the message is one line meant for the user."""


@dataclass(frozen=True)
class RunKey:
    """Names of one cell, as tables and folders show them."""

    dataset: str
    protocol: str
    backbone: str
    method: str
    bits: int
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.protocol} {self.method} {self.bits} bits seed {self.seed}"


def seed_of(key: RunKey) -> int:
    """Seed of a run, hashed from its names, so that a new method never shifts an old one's.

    Settings are left out of it: an ablation starts from the weights of the run it is compared with.

    Examples
    --------
    >>> seed_of(RunKey("digits", "300-1497", "pixels", "lsh", 16, 0)) % 1000
    154
    """
    method = key.method.partition("(")[0]
    text = json.dumps([key.dataset, key.protocol, key.backbone, method, key.bits, key.seed])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


@dataclass(frozen=True)
class MethodSpec:
    """A method with its settings, or a yardstick (`cls` is None).

    Attributes
    ----------
    name : str
        Key of METHODS, or a yardstick.
    params : dict
        Every hyper-parameter of the constructor with its value.
    recipe : Recipe
        How it trains, the user's changes applied.
    changes : dict
        What the user changed, in the order given.
    """

    name: str
    cls: type[HashMethod] | None
    params: dict[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Row of the tables.

        Examples
        --------
        >>> method_spec("cibhash", {"tau": 0.5}).label
        'cibhash(tau=0.5)'
        """
        settings = ",".join(f"{name}={value}" for name, value in self.changes.items())
        return f"{self.name}({settings})" if settings else self.name

    @property
    def is_trained(self) -> bool:
        """Whether the shared trainer minimises a loss of it."""
        return self.cls is not None and self.cls.loss is not HashMethod.loss

    def settings(self, n_bits: int) -> dict[str, Any]:
        """All that shapes a number of this method at a code length, as JSON data."""
        if self.cls is None:
            return {"name": self.name}
        settings = {
            "name": self.name,
            "class": f"{self.cls.__module__}:{self.cls.__qualname__}",
            "source": source_digest(self.cls),
            "params": self.params,
        }
        if self.is_trained:
            recipe = asdict(self.recipe) | {"epochs": self.recipe.epochs_for(n_bits)}
            del recipe["epochs_at"], recipe["source"]
            settings["recipe"] = recipe
        return settings


@cache
def source_digest(cls: type[HashMethod]) -> str:
    """SHA-256 over a method's file and the shared pieces that it imports."""
    module = inspect.getmodule(cls)
    assert module is not None, "a class is defined in a module"
    shared = [
        inspect.getsource(piece)
        for _, piece in sorted(vars(module).items())
        if getattr(piece, "__module__", None) == "methods.functional"
    ]
    return hashlib.sha256("\n".join([inspect.getsource(module), *shared]).encode()).hexdigest()


@cache
def training_source() -> str:
    """SHA-256 of the training loop and of what hands it views: another loop, another number."""
    pieces = (benchmarks.trainer, benchmarks.features.ViewBank, benchmarks.features.FreshViews)
    source = "\n".join(inspect.getsource(piece) for piece in pieces)
    return hashlib.sha256(source.encode()).hexdigest()


def method_spec(
    name: str,
    overrides: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    recipe: RecipeName = "paper",
) -> MethodSpec:
    """Look a method up and apply the user's settings.

    Parameters
    ----------
    name : str
        Key of METHODS, or a yardstick.
    overrides : mapping
        Hyper-parameters of the constructor or fields of the recipe, by name.
    epochs : int
        For a trained method, instead of the recipe's.
    recipe : "paper" or "common"
        The method's own recipe, or `COMMON` for a trained method.

    Raises
    ------
    UnknownName
        If there is no such method or setting; close names are suggested.
    GridError
        If a value is of another type than the default.
    """
    known: dict[str, type[HashMethod] | None] = {**METHODS, **dict.fromkeys(YARDSTICKS)}
    cls = lookup("method", name, known)
    changes = dict(overrides or {})
    if cls is None:
        for parameter in changes:
            lookup(f"setting of {name}", parameter, {})
        return MethodSpec(name, None)
    spec = MethodSpec(name, cls, _constructor_defaults(cls), cls.recipe)
    if epochs is not None and spec.is_trained:
        changes.setdefault("epochs", epochs)
    start = COMMON if recipe == "common" and spec.is_trained else cls.recipe
    schedule = {
        f.name: getattr(start, f.name) for f in fields(Recipe) if f.name not in _NO_SETTINGS
    }
    settable = spec.params | (schedule if spec.is_trained else {})
    for parameter, value in changes.items():
        default = lookup(f"setting of {name}", parameter, settable)
        changes[parameter] = _typed(f"{name}.{parameter}", value, default)
    scheduled = {k: v for k, v in changes.items() if k not in spec.params}
    if "epochs" in changes:
        scheduled["epochs_at"] = {}
    try:
        changed = replace(start, **scheduled)
    except ValueError as error:
        raise GridError(f"{name}: {error}; give another value") from error
    if spec.is_trained and changed.bank_size < cls.n_views:
        raise GridError(
            f"{name}: bank_size must be at least the {cls.n_views} views that the method takes, "
            f"got {changed.bank_size}; give a larger one"
        )
    params = spec.params | {k: v for k, v in changes.items() if k in spec.params}
    if start is COMMON:
        changes = {"recipe": "common", **changes}
    return replace(spec, params=params, recipe=changed, changes=changes)


@dataclass(frozen=True)
class Suite:
    """A data set under one protocol, seen through one backbone."""

    data: RetrievalDataset
    backbone: Backbone

    @property
    def label(self) -> str:
        """Name of the backbone and its input size; precomputed features have none."""
        return "features" if self.data.features is not None else self.backbone.label

    @property
    def digest(self) -> str:
        """SHA-256 over the data, its split, the weights and the pixels that they see."""
        parts = [self.data.digest, self.backbone.digest, self.label, source_of_pixels()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Cell:
    """One run to do."""

    key: RunKey
    suite: Suite
    method: MethodSpec
    views: Views

    @property
    def settings(self) -> dict[str, Any]:
        """All that shapes the numbers of this cell, its seed aside, as JSON data."""
        data, backbone = self.suite.data, self.suite.backbone
        return {
            "dataset": {"name": data.name, "digest": data.digest},
            "protocol": {"name": data.protocol.name, "digest": data.protocol.digest},
            "backbone": {
                "name": backbone.name,
                "input_size": backbone.input_size,
                "digest": backbone.digest,
            },
            "pixels": source_of_pixels(),
            "training": training_source() if self.method.is_trained else None,
            "method": self.method.settings(self.key.bits),
            "bits": self.key.bits,
            "views": self.views if self.method.is_trained else None,
            "schema": SCHEMA,
        }

    @property
    def digest(self) -> str:
        """SHA-256 over the settings and the seed, 64 hexadecimal digits."""
        identity = {"settings": self.settings, "seed": self.key.seed}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def expand(
    suites: Sequence[Suite],
    methods: Sequence[MethodSpec],
    bits: Sequence[int],
    n_seeds: int,
    views: Views = "bank",
) -> list[Cell]:
    """All cells of a grid, those that share features next to each other.

    The yardstick `float` has no codes and no randomness: one cell a suite, with 0 bits and seed 0.

    Raises
    ------
    GridError
        If a code length or the number of seeds is below 1.
    """
    for name, value in [*(("--bits", b) for b in bits), ("--seeds", n_seeds)]:
        if value < 1:
            raise GridError(f"{name}: must be at least 1, got {value}; give a positive number")

    def cells() -> Iterator[Cell]:
        for suite in suites:
            for spec in methods:
                fresh = {"views": "fresh"} if views == "fresh" and spec.is_trained else {}
                labelled = replace(spec, changes=spec.changes | fresh)
                sizes = [0] if spec.name == "float" else bits
                for b in sizes:
                    for seed in range(1 if spec.name == "float" else n_seeds):
                        names = (suite.data.name, suite.data.protocol.name, suite.label)
                        yield Cell(RunKey(*names, labelled.label, b, seed), suite, spec, views)

    return list(cells())


def parse_overrides(items: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``METHOD.PARAM=VALUE`` items; values are JSON, or text where they are not.

    Raises
    ------
    GridError
        If an item has another form.

    Examples
    --------
    >>> parse_overrides(["cibhash.tau=0.5", "cibhash.augmentation=wch"])
    {'cibhash': {'tau': 0.5, 'augmentation': 'wch'}}
    """
    overrides: dict[str, dict[str, Any]] = {}
    for item in items:
        target, equals, text = item.partition("=")
        method, dot, parameter = target.partition(".")
        if not (equals and dot and method and parameter):
            raise GridError(f"--set: expected METHOD.PARAM=VALUE, got {item!r}")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        overrides.setdefault(method, {})[parameter] = value
    return overrides


def _constructor_defaults(cls: type[HashMethod]) -> dict[str, Any]:
    """Keyword-only arguments of a method's constructor and their defaults."""
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _typed(name: str, value: Any, default: Any) -> Any:
    """Return `value` as the type of `default`, an int passing for a float."""
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise GridError(f"--set {name}: expected a finite number, got {value}")
    if type(value) is not type(default):
        raise GridError(
            f"--set {name}: expected {type(default).__name__} as in the default {default!r}, "
            f"got {value!r}"
        )
    return value
