"""Checks of what a class declares, made before anything is trained."""

from __future__ import annotations

import inspect

from benchmarks.contract.stand_ins import ContractError, D, require
from benchmarks.grid.find_method import KNOWN
from benchmarks.grid.method_settings import GridError, method_spec
from benchmarks.grid.method_source import packages_imported
from methods.base import HashMethod, Recipe
from methods.space import corners


def paper_is_named_with_a_link(cls: type[HashMethod]) -> None:
    """Lead a reader of the tables to the source."""
    require("http" in cls.paper, f"paper is {cls.paper!r}; add a link, https://...")


def declarations_are_those_the_runner_knows(cls: type[HashMethod]) -> None:
    """Declare what decides how a method is fed."""
    for name, known in KNOWN.items():
        value = getattr(cls, name)
        require(value in known, f"{name} is {value!r}; the runner knows {', '.join(known)}")
    views = cls.n_views
    require(type(views) is int and views >= 1, f"n_views is {views!r}; give a whole number from 1")
    recipes = [cls.recipe] if cls.published is None else [cls.recipe, cls.published]
    for recipe in recipes:
        require(isinstance(recipe, Recipe), f"a recipe is {recipe!r}; give Recipe(epochs=...)")
        require(
            recipe.bank_size >= cls.n_views,
            f"a recipe keeps {recipe.bank_size} views an image and n_views is {cls.n_views}; "
            "raise bank_size",
        )


def tuned_settings_stay_within_the_limits(cls: type[HashMethod]) -> None:
    """Declare a search space that the constructor and the recipe take to its ends."""
    own = method_spec(cls.__name__, known={cls.__name__: cls}).settable
    for name, allowed in cls.space.items():
        require(
            name in own,
            f"space names {name!r}; name an argument of __init__, or a field of the recipe",
        )
        require(
            own[name] in allowed,
            f"space lets {name} be {' to '.join(map(str, allowed.ends))}, and the method's own "
            f"value is {own[name]!r}; widen it",
        )
    for values in corners(cls.space):
        try:
            method_spec(cls.__name__, values, known={cls.__name__: cls})
        except GridError as error:
            raise ContractError(f"space reaches {values}: {error}") from error


def settings_are_keywords_with_defaults(cls: type[HashMethod]) -> None:
    """Let settings be changed by ``--set``, stored in the record and shown in the row."""
    parameters = list(inspect.signature(cls).parameters.values())
    require(
        [p.name for p in parameters[:2]] == ["in_dim", "n_bits"],
        f"__init__ takes {', '.join(p.name for p in parameters) or 'nothing'}; "
        "begin with in_dim, n_bits",
    )
    for p in parameters[2:]:
        require(
            p.kind is p.KEYWORD_ONLY and isinstance(p.default, bool | int | float | str),
            f"{str(p)!r} of __init__ cannot be set; write it after a *, with a number, a text or "
            "a truth value as its default",
        )


def sizes_below_one_are_refused(cls: type[HashMethod]) -> None:
    """Ask the base class, which refuses them."""
    for name in ("in_dim", "n_bits"):
        try:
            cls(**({"in_dim": D, "n_bits": 16} | {name: 0}))
        except ValueError as error:
            require(
                f"{name} must be at least 1, got 0" in str(error),
                f"{name}=0 is refused by {str(error)!r}; call super().__init__(in_dim, n_bits) "
                "before anything else",
            )
        else:
            raise ContractError(f"{name}=0 is accepted; call super().__init__(in_dim, n_bits)")


def something_is_kept_in_parameters_or_buffers(cls: type[HashMethod]) -> None:
    """They alone are saved and moved, and say which device the method is on."""
    require(
        next(cls(D, 16).state(), None) is not None,
        "__init__ makes no parameter and no buffer; make a layer there, or use register_buffer",
    )


def no_data_set_is_imported(cls: type[HashMethod]) -> None:
    """Get inputs from fit alone: a data set has labels, and the test queries too."""
    foreign = sorted(packages_imported(cls) & {"benchmarks", "datasets", "results"})
    require(
        not foreign,
        f"the file imports {' and '.join(foreign)}; take what fit is given, and nothing else",
    )


def loss_or_fit_is_defined(cls: type[HashMethod]) -> None:
    """Define one of them: the default of `fit` trains a loss."""
    require(
        cls.fit is not HashMethod.fit or cls.loss is not HashMethod.loss,
        "the class defines neither loss nor fit; define loss to be trained, or fit",
    )
