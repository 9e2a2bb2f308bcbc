"""Errors meant for the user: one line that names the thing, the rule and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class DatasetError(Exception):
    """A data set that cannot be used; the message is one line, meant for the user."""


class UnknownName(DatasetError):
    """A name that nothing is known by; the message suggests the closest known one."""


class OptionError(DatasetError):
    """An option that makes no sense for the data set that it was given with."""


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return the entry called `name`, or suggest the names that come closest.

    Parameters
    ----------
    kind : str
        What is looked up, for the message: ``"data set"``.
    name : str
        The name as the user gave it.
    known : Mapping[str, T]
        Every known name.

    Returns
    -------
    T
        ``known[name]``.

    Raises
    ------
    UnknownName
        If there is no such name.

    Examples
    --------
    >>> lookup("data set", "digits", {"digits": 1})
    1
    >>> lookup("data set", "cifra10", {"digits": 1, "cifar10": 2})
    Traceback (most recent call last):
        ...
    datasets.errors.UnknownName: unknown data set 'cifra10'; did you mean 'cifar10'? \
known: digits, cifar10
    """
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    raise UnknownName(f"unknown {kind} {name!r}; {hint}known: {', '.join(known)}")


def one_line(error: BaseException | str) -> str:
    """Return the message of an error on one line, at most 200 characters, never empty."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
