"""Find a method that is not part of this package: by file, by module or by entry point.

==========================  ========================================================================
``my_method.py:Class``      a file, run as it stands: it is the user's own code, named by the user
``package.module:Class``    a module that can be imported
``name``                    a key of METHODS, then an entry point of the group ``hashbench.methods``
==========================  ========================================================================
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeGuard, get_args

from benchmarks.grid.groups import GROUPS
from benchmarks.grid.no_exit import no_exit
from benchmarks.grid.yardsticks import YARDSTICKS
from methods import METHODS
from methods.base import HashMethod, Input, Supervision

ENTRY_POINTS = "hashbench.methods"
"""Their group in installed packages: a row's name, and the class behind it."""

KNOWN = {"consumes": get_args(Input), "supervision": get_args(Supervision)}
"""What a class may declare: how the runner feeds it."""

_ROW = "[a-z][a-z0-9_]*"
"""What tables, folders and ``--set NAME.PARAM=VALUE`` take as the name of a row."""


class OutsideError(Exception):
    """A method that cannot be had; the message is one line meant for the user."""


def find_method(text: str) -> tuple[str, type[HashMethod]]:
    """Find a class and the name of its row.

    Parameters
    ----------
    text : str
        ``FILE.py:CLASS``, ``PACKAGE.MODULE:CLASS``, or a name; a name in METHODS goes first.

    Returns
    -------
    str
        The given name, or the class's own in lower case with underscores.
    type
        A subclass of `HashMethod` that leaves nothing abstract.

    Raises
    ------
    OutsideError
        If there is no such file, module, class or name, or if the class is no method.

    Examples
    --------
    >>> find_method("methods.lsh:LSH")
    ('lsh', <class 'methods.lsh.LSH'>)
    """
    if text in METHODS:
        return text, METHODS[text]
    if ":" in text or text.endswith(".py"):
        cls = load_class(text)
        own = (name for name, known in METHODS.items() if known is cls)
        return next(own, None) or row_name(cls), cls
    offered = offers(ENTRY_POINTS)
    if text in GROUPS:
        raise OutsideError(
            f"{text!r} names a group of methods, not one"
            + (f"; name the class instead: {offered[text].value}" if text in offered else "")
        )
    if text not in offered:
        raise OutsideError(f"unknown method {text!r}; {_known(text, [*METHODS, *offered])}")
    if not re.fullmatch(_ROW, text):
        raise OutsideError(
            f"entry point {text!r}: expected a name of a-z, 0-9 and _; "
            f"name the class instead: {offered[text].value}"
        )
    return text, load_class(f"{offered[text].module}:{offered[text].attr}")


def offers(group: str) -> dict[str, EntryPoint]:
    """Entry points of installed packages by name, not loaded; the first on the path wins."""
    return {entry.name: entry for entry in reversed(list(entry_points(group=group)))}


def installed_methods() -> dict[str, str]:
    """Say of each entry point where it comes from; nothing of it is imported."""
    return {
        name: f"{entry.value}, of the package {entry.dist.name if entry.dist else 'unknown'}"
        + ("; hidden by the suite's own" if name in {*METHODS, *YARDSTICKS, *GROUPS} else "")
        for name, entry in offers(ENTRY_POINTS).items()
    }


def row_name(cls: type[HashMethod]) -> str:
    """Name of a class's row: its own in lower case, words joined by underscores.

    Raises
    ------
    OutsideError
        If that holds more than the letters a-z, digits and underscores.

    Examples
    --------
    >>> row_name(type("RotatedPCA", (), {})), row_name(type("PCAHash2", (), {}))
    ('rotated_pca', 'pca_hash2')
    """
    words = re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
    if not re.fullmatch(_ROW, words.lower()):
        raise OutsideError(
            f"class {cls.__name__}: its name becomes the row of the tables; "
            "begin it with a letter and use a-z, 0-9 and _ alone"
        )
    return words.lower()


def load_class(text: str) -> type[HashMethod]:
    """Import a class by file or module; one in a file is read anew when the file has changed.

    Parameters
    ----------
    text : str
        ``FILE.py:CLASS`` or ``PACKAGE.MODULE:CLASS``.

    Raises
    ------
    OutsideError
        As of `find_method`.
    """
    target, colon, name = text.rpartition(":")
    if not (colon and target and name):
        raise OutsideError(
            f"{text!r}: expected FILE.py:CLASS or PACKAGE.MODULE:CLASS; add the name of the class"
        )
    module = _from_file(Path(target)) if target.endswith(".py") else _from_package(target)
    cls: object = getattr(module, name, None)
    if cls is None:
        methods = {key: value for key, value in vars(module).items() if _is_method(value)}
        own = [key for key, value in methods.items() if value.__module__ == module.__name__]
        raise OutsideError(f"{target} has no class {name!r}; {_known(name, own or methods)}")
    if not _is_method(cls):
        raise OutsideError(
            f"{text}: {name} is no subclass of HashMethod; write class {name}(HashMethod), "
            "with HashMethod from methods.base"
        )
    for declared, known in KNOWN.items():
        if (value := getattr(cls, declared)) not in known:
            raise OutsideError(
                f"{text}: {declared} is {value!r}; set it to {' or '.join(map(repr, known))} in "
                "the class"
            )
    if inspect.isabstract(cls):
        missing = " and ".join(sorted(cls.__abstractmethods__))
        raise OutsideError(f"{text}: {name} does not define {missing}; define it in the class")
    if not isinstance(getattr(cls, "paper", None), str):
        raise OutsideError(
            f"{text}: {name} names no paper; set paper = 'Authors, venue, year, link' in the class"
        )
    return cls


def class_text(cls: type[HashMethod]) -> str:
    """Return the text by which `load_class` finds a class again.

    Examples
    --------
    >>> from methods.lsh import LSH
    >>> class_text(LSH)
    'methods.lsh:LSH'
    """
    from_file = "@" in cls.__module__
    return f"{inspect.getfile(cls) if from_file else cls.__module__}:{cls.__qualname__}"


def describe(error: BaseException, file: str) -> str:
    """Say an error in one line, with the last line of a file that it went through.

    Examples
    --------
    >>> describe(ValueError("no luck"), "my_method.py")
    'ValueError: no luck'
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    message = " ".join(str(error).split())
    message = message if len(message) <= 200 else f"{message[:197]}..."
    place = f" ({Path(file).name}, line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}{': ' if message else ''}{message}{place}"


class _AsRead(SourceFileLoader):
    """Runs the source as it was read: what is digested is what runs.

    No compiled copy is used or left: those are told apart by whole seconds and length alone.
    """

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_data(self, path: str) -> bytes:
        return self._source

    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError("no compiled copy")


def _from_file(path: Path) -> ModuleType:
    """Run a file as a module whose name carries the digest of its source, or find it run."""
    try:
        source = path.read_bytes()
    except OSError as error:
        nearby = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, nearby, n=1)
        hint = f"did you mean {path.with_name(close[0])}?" if close else "check the path"
        raise OutsideError(f"{path}: {error.strerror}; {hint}") from error
    name = f"{path.stem}@{hashlib.sha256(source).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    file = str(path.resolve())
    spec = importlib.util.spec_from_file_location(name, file, loader=_AsRead(name, file, source))
    assert spec is not None, "a spec is found by its loader"
    assert spec.loader is not None, "it was given"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with no_exit():
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        alone = isinstance(error, ModuleNotFoundError) and path.with_name(f"{error.name}.py")
        hint = (
            "; for a method in several files give PACKAGE.MODULE:CLASS"
            if alone and alone.is_file()
            else ""
        )
        raise OutsideError(f"{path} cannot be run: {describe(error, file)}{hint}") from error
    return module


def _from_package(name: str) -> ModuleType:
    try:
        with no_exit():
            return importlib.import_module(name)
    except Exception as error:
        hint = ""
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            hint = "; install its package, or run from the folder that holds it"
        raise OutsideError(f"{name} cannot be imported: {describe(error, name)}{hint}") from error


def _is_method(value: object) -> TypeGuard[type[HashMethod]]:
    return inspect.isclass(value) and issubclass(value, HashMethod)


def _known(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known names, and list all."""
    names = list(known)
    folded = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), folded, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(folded[c]) for c in close)}? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"
