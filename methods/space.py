"""A search space: which settings of a method may be tuned, and between which values, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

Value = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """All numbers from one to another; whole ones where both ends are whole.

    Attributes
    ----------
    low, high : int or float
        Both belong to it.
    source : str
        Where the range comes from.
    log : bool
        Whether equal ratios are equally likely, instead of equal differences.

    Raises
    ------
    ValueError
        If the ends are not in order, of two types, or not above 0 where ratios count.
    """

    low: int | float
    high: int | float
    source: str
    log: bool = True

    def __post_init__(self) -> None:
        if type(self.low) is not type(self.high):
            raise ValueError(f"Range: both ends must be of one type, got {self.low}, {self.high}")
        if not self.low < self.high:
            raise ValueError(f"Range: low must be below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"Range: low must be above 0, got {self.low}; or give log=False")

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values at which a limit would be broken."""
        return self.low, self.high

    def __contains__(self, value: Value) -> bool:
        """Whether a value may be chosen."""
        return type(value) in (int, type(self.low)) and self.low <= float(value) <= self.high


@dataclass(frozen=True)
class Choice:
    """A few values.

    Attributes
    ----------
    values : tuple
        All of one type, at least two.
    source : str
        Where they come from.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """

    values: tuple[Value, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ValueError(f"Choice: expected two values or more, got {self.values}")

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values at which a limit would be broken: all."""
        return self.values

    def __contains__(self, value: Value) -> bool:
        """Whether a value may be chosen."""
        return value in self.values


Space = Mapping[str, Range | Choice]
"""What may be tuned, by the names of the constructor's hyper-parameters and the recipe's fields."""


def search_space(**settings: Range | Choice) -> Space:
    """Write a space as keywords.

    Examples
    --------
    >>> space = search_space(lr=RATES, n_layers=Choice((1, 2), "paper, section 4"))
    >>> list(space), 0.5 in space["lr"], 2 in space["n_layers"]
    (['lr', 'n_layers'], False, True)
    """
    return MappingProxyType(settings)


def corners(space: Space) -> Iterator[dict[str, Value]]:
    """Yield the settings at the ends of a space, each end with each of the others.

    Examples
    --------
    >>> list(corners(search_space(lr=RATES, s=NEAREST)))[1]
    {'lr': 0.0001, 's': 30}
    """
    for values in product(*(allowed.ends for allowed in space.values())):
        yield dict(zip(space, values, strict=True))


RATES = Range(1e-4, 1e-2, "our own: ten times below and above 1e-3, the usual rate of a head")
"""Learning rates of a head on frozen features."""
ANCHORS = Range(100, 1000, "our own: around the 300 of the demo of AGH's authors")
"""Anchors of a graph."""
NEAREST = Range(2, 30, "AGH's code: from 2 to a tenth of the anchors, of 300 here")
"""Nearest anchors of an item that it is joined to."""
