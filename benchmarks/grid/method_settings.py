"""A method with its hyper-parameters and recipe, and what the user changed of them."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import torch

from benchmarks.evaluation.float_ranking import Rule
from benchmarks.grid.errors import GridError as GridError
from benchmarks.grid.errors import check_range as check_range
from benchmarks.grid.errors import start_of
from benchmarks.grid.find_method import (
    OutsideError,
    class_text,
    describe,
    find_method,
    load_class,
)
from benchmarks.grid.groups import GROUPS, is_trained, members
from benchmarks.grid.method_source import source_digest
from benchmarks.grid.no_exit import no_exit
from benchmarks.grid.yardsticks import IN_EVERY_TABLE, YARDSTICKS
from benchmarks.grid.yardsticks.base import VectorYardstick, Yardstick
from benchmarks.training.embedding_views import EMBEDDING
from datasets.augment import AUGMENTATIONS
from datasets.errors import lookup, one_line
from methods import METHODS, HashMethod, Recipe
from methods.base import LengthError, Supervision
from results.store.record import MOST

_KNOWN: dict[str, type[HashMethod]] = {**METHODS, **YARDSTICKS}

_NO_SETTINGS = ("epochs_at", "params", "source")
"""Fields of a recipe that shape no number, or that others stand for: `epochs`, the parameters."""

_BUILT = 1024
"""Bits up to which a method is built to see whether it can be; beyond, it is built without memory,
which takes torch seconds to get ready for."""

RecipeName = Literal["paper", "common"]

COMMON = Recipe(
    epochs=30, batch_size=64, lr=1e-3, augmentation="cibhash", source="the same for every method"
)
"""What ``--recipe common`` trains every method by, to tell a loss from its recipe."""


@dataclass(frozen=True)
class MethodSpec:
    """A method with its settings.

    Attributes
    ----------
    name : str
        Row of the tables: a key of METHODS, a method's from outside, or a yardstick.
    params : dict
        Every hyper-parameter of the constructor with its value.
    recipe : Recipe
        How it trains, the user's changes applied.
    changes : dict
        What the user changed, in the order given.
    finetune : bool
        Whether the backbone is trained too.
    """

    name: str
    cls: type[HashMethod]
    params: dict[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    changes: dict[str, Any] = field(default_factory=dict)
    finetune: bool = False

    def __reduce__(self) -> tuple[Callable[..., MethodSpec], tuple[object, ...]]:
        """Travel with the name of the class: one from a file is read from it on the other side."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "cls"}
        return _received, (class_text(self.cls), values)

    @property
    def label(self) -> str:
        """Row of the tables.

        Examples
        --------
        >>> method_spec("cibhash", {"tau": 0.5}).label
        'cibhash(tau=0.5)'
        """
        settings = ",".join(
            name if value is True else f"{name}={value}" for name, value in self.changes.items()
        )
        return f"{self.name}({settings})" if settings else self.name

    @property
    def learns_from(self) -> Supervision:
        """What the method declares to learn from beside images."""
        return self.cls.supervision

    @property
    def kind(self) -> str:
        """What its rows count as: rows of different kinds are never ranked together."""
        if issubclass(self.cls, Yardstick):
            return "yardstick"
        return "method" if self.learns_from == "none" else self.learns_from

    @property
    def has_codes(self) -> bool:
        """Whether it makes codes; else its queries and items are vectors."""
        return not issubclass(self.cls, VectorYardstick)

    @property
    def rule(self) -> Rule:
        """By what its vectors are ranked, where it has no codes."""
        return self.cls.rule if issubclass(self.cls, VectorYardstick) else "cosine"

    def item_bytes(self, in_dim: int, n_bits: int) -> int:
        """Count the bytes that are kept of an item."""
        if issubclass(self.cls, VectorYardstick):
            return self.cls.item_bytes(in_dim, n_bits)
        return -(-n_bits // 8)

    @property
    def is_trained(self) -> bool:
        """Whether the shared trainer minimises a loss of it."""
        return is_trained(self.cls)

    @property
    def sees_noise(self) -> bool:
        """Whether its views are features under noise, and not those of augmented images."""
        return self.is_trained and self.recipe.augmentation == EMBEDDING

    @property
    def settable(self) -> dict[str, Any]:
        """All that can be set, by name, as it stands; a hyper-parameter hides a recipe's field."""
        names = [f.name for f in fields(Recipe) if f.name not in _NO_SETTINGS]
        schedule = {name: getattr(self.recipe, name) for name in names}
        return (schedule if self.is_trained else {}) | self.params

    def settings(self, n_bits: int) -> dict[str, Any]:
        """All that shapes a number of this method at a code length, as JSON data."""
        settings: dict[str, Any] = {
            "name": self.name,
            "class": self.cls.__qualname__,
            "source": source_digest(self.cls),
            "params": self.params,
        }
        if issubclass(self.cls, VectorYardstick):
            settings["size"] = self.cls.size
        if self.is_trained:
            recipe = asdict(self.recipe) | {"epochs": self.recipe.epochs_for(n_bits)}
            settings["recipe"] = {k: v for k, v in recipe.items() if k not in _NO_SETTINGS}
            settings["finetune"] = self.finetune
        return settings

    def lengths(self, bits: Sequence[int]) -> Sequence[int]:
        """Give the lengths that it has cells at; of what has none, one cell at 0."""
        one = issubclass(self.cls, VectorYardstick) and not self.cls.has_lengths
        return [0] if one else bits

    def length_fault(self, in_dim: int, n_bits: int) -> str | None:
        """Say in one line why it gives no codes of a length, None if it does.

        The constructor tells by `LengthError`; what else goes wrong in it is left to the cell.

        Parameters
        ----------
        in_dim : int
            Width D of the inputs.
        n_bits : int
        """
        try:
            with no_exit(), torch.device("cpu" if n_bits <= _BUILT else "meta"):
                self.cls(in_dim, n_bits, **self.params)
        except LengthError as error:
            return one_line(error)
        except Exception:
            return None
        return None


def _received(cls: str, values: dict[str, Any]) -> MethodSpec:
    """Rebuild a spec that was sent."""
    return MethodSpec(cls=load_class(cls), **values)


def chosen_methods(texts: Sequence[str]) -> dict[str, type[HashMethod]]:
    """Classes of what the user asked for by the names of their rows, the yardsticks last.

    The yardsticks of every table are among them.

    Parameters
    ----------
    texts : sequence of str
        Names, groups of them, ``FILE.py:CLASS`` or ``PACKAGE.MODULE:CLASS``.

    Raises
    ------
    GridError
        If there is no such method, or if two rows would have one name.

    Examples
    --------
    >>> list(chosen_methods(["itq", "methods.lsh:LSH"]))
    ['itq', 'lsh', 'random', 'float']
    """
    taken = {**_KNOWN, **dict.fromkeys(GROUPS)}
    chosen: dict[str, type[HashMethod]] = {}
    for text in texts:
        if text in GROUPS:
            chosen |= members(text)
        elif text in YARDSTICKS:
            chosen[text] = YARDSTICKS[text]
        else:
            try:
                name, cls = find_method(text)
            except OutsideError as error:
                raise GridError(f"--methods: {error}") from error
            if (taken | chosen).get(name, cls) is not cls:
                raise GridError(
                    f"--methods: {text} would be called {name!r} in tables, as another row or a "
                    "group is; rename the class"
                )
            chosen[name] = cls
    asked = [name for name in YARDSTICKS if name in chosen or name in IN_EVERY_TABLE]
    rows = {name: cls for name, cls in chosen.items() if name not in YARDSTICKS}
    return rows | {name: YARDSTICKS[name] for name in asked}


def method_spec(
    name: str,
    overrides: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    recipe: RecipeName | Mapping[str, Any] = "paper",
    finetune: bool = False,
    known: Mapping[str, type[HashMethod]] = _KNOWN,
) -> MethodSpec:
    """Look a method up and apply the user's settings.

    Parameters
    ----------
    name : str
        Key of `known`.
    overrides : mapping
        Hyper-parameters of the constructor or fields of the recipe, by name.
    epochs : int
        For a trained method, instead of the recipe's.
    recipe : "paper", "common" or mapping
        The method's own recipe, `COMMON` for a trained method, or what tuning chose; where that is
        what the method has by itself, so is its row.
    finetune : bool
        Train the backbone too; "paper" is then what the paper publishes for that.
    known : mapping
        Classes by name; METHODS and the yardsticks where left out.

    Raises
    ------
    UnknownName
        If there is no such method, setting or augmentation; close names are suggested.
    GridError
        If a value is of another type than the default, breaks a rule, or would do nothing.
    """
    cls = lookup("method", name, known)
    changes = dict(overrides or {})
    spec = MethodSpec(name, cls, _constructor_defaults(cls), cls.recipe)
    finetune = finetune and spec.is_trained
    if epochs is not None and spec.is_trained:
        changes.setdefault("epochs", epochs)
    start = (cls.published or cls.recipe) if finetune else cls.recipe
    other: Literal["common", "tuned"] | None = None
    if isinstance(recipe, Mapping):
        chosen = method_spec(name, recipe, known=known)
        start = replace(chosen.recipe, params=chosen.params)
        other = "tuned" if chosen.changes else None
    elif recipe == "common" and spec.is_trained:
        start, other = COMMON, "common"
    params = spec.params | dict(start.params)
    spec = replace(spec, params=params, recipe=start, finetune=finetune)
    settable = spec.settable
    for parameter, value in changes.items():
        default = lookup(f"setting of {name}", parameter, settable)
        if parameter == ("bank_size" if finetune else "backbone_lr"):
            where = "with" if finetune else "without"
            raise GridError(f"--set {name}.{parameter}: does nothing {where} --finetune")
        changes[parameter] = _typed(f"{name}.{parameter}", value, default)
    # What is given as it stands changes nothing; but epochs also stand for every code length.
    as_it_stands = settable | ({"epochs": None} if start.epochs_at else {})
    changes = {k: v for k, v in changes.items() if v != as_it_stands[k]}
    scheduled = {k: v for k, v in changes.items() if k not in spec.params}
    if "epochs" in changes:
        scheduled["epochs_at"] = {}
    try:
        changed = replace(start, **scheduled)
    except ValueError as error:
        raise GridError(f"{name}: {one_line(error)}; give another value") from error
    if spec.is_trained and changed.bank_size < cls.n_views:
        raise GridError(
            f"{name}: bank_size must be at least the {cls.n_views} views that the method takes, "
            f"got {changed.bank_size}; give a larger one"
        )
    if spec.is_trained:
        lookup("augmentation", changed.augmentation, {**AUGMENTATIONS, EMBEDDING: None})
    if finetune and changed.augmentation == EMBEDDING:
        raise GridError(
            f"--set {name}.augmentation: {EMBEDDING} is noise on features, and --finetune trains "
            "from images; leave out one of them"
        )
    params = spec.params | {k: v for k, v in changes.items() if k in spec.params}
    if params != spec.params:
        _check_params(name, cls, params)
    if other is not None:
        changes = {"recipe": other, **changes}
    if finetune:
        changes = {"finetune": True, **changes}
    return replace(spec, params=params, recipe=changed, changes=changes)


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
        except (ValueError, RecursionError):  # no JSON, or lists in lists without end
            value = text
        overrides.setdefault(method, {})[parameter] = value
    return overrides


def _check_params(name: str, cls: type[HashMethod], params: Mapping[str, Any]) -> None:
    """Let the constructor check what the user gave, at any width, before anything runs."""
    try:
        with no_exit():
            cls(8, 8, **params)
    except LengthError:  # the plan asks at the lengths that will run
        pass
    except ValueError as error:
        raise GridError(f"{name}: {one_line(error)}; give another value") from error
    except Exception as error:  # a layer too large for the memory, say
        told = describe(error, inspect.getfile(cls))
        raise GridError(f"{name}: {told}; give another value") from error


def _constructor_defaults(cls: type[HashMethod]) -> dict[str, Any]:
    """Keyword-only arguments of a method's constructor and their defaults."""
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _typed(name: str, value: Any, default: Any) -> Any:
    """Return `value` as the type of `default`, an int passing for a float."""
    if type(value) is int and type(default) in (int, float):
        check_range(f"--set {name}", abs(value), 0, MOST)
        return float(value) if isinstance(default, float) else value
    if isinstance(value, float) and not math.isfinite(value):
        raise GridError(f"--set {name}: expected a finite number, got {value}")
    if type(value) is not type(default):
        raise GridError(
            f"--set {name}: expected {type(default).__name__} as in the default {default!r}, "
            f"got {start_of(value)}"
        )
    return value
