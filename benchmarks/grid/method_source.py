"""The source files behind a method's class: their digest, and what they import.

A method may be several files. Its own are those that it imports from its package, or from the
folder of its file; `methods` is the exception, where papers stand alone.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from datasets.digests import code_digest, code_only, parse
from methods.base import HashMethod

_APART = ("methods.base", "methods.inputs", "methods.recipe", "methods.space", "methods.table")
"""Modules of `methods` that count as a whole, by the settings of a cell, or not at all."""


@cache
def source_digest(cls: type[HashMethod]) -> str:
    """SHA-256 over the code of a method, of all that it builds on, and of shared pieces in them.

    Comments, docstrings, imports and the place of a file take no part, see `code_only`; nor does
    the search space that a class declares, for what is chosen from it is in the settings of a cell.

    Raises
    ------
    TypeError
        If no module defines the class.
    """
    built_on = [c for c in cls.__mro__ if issubclass(c, HashMethod)]
    parts = frozenset[str]().union(*map(_parts, built_on))
    return code_digest(*sorted(parts, key=code_only))


@cache  # all methods are built on one class, many on a common second
def _parts(cls: type) -> frozenset[str]:
    """Return the sources of a class, and of the shared pieces in them."""
    own = [_without_space(source) for source in own_sources(cls)]
    return frozenset([*own, *_shared_pieces(own)])


def _without_space(source: str) -> str:
    """Take the search spaces out of a source: the lines where a class sets `space`."""
    lines = source.splitlines(keepends=True)
    classes = (node for node in ast.walk(parse(source)) if isinstance(node, ast.ClassDef))
    for node in (node for cls in classes for node in cls.body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if [target.id for target in targets if isinstance(target, ast.Name)] == ["space"]:
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = "\n"
    return "".join(lines)


def _shared_pieces(sources: Sequence[str]) -> set[str]:
    """Find the code of shared functions and constants that sources import, and of what it names."""
    found: dict[tuple[str, str], str] = {}
    waiting = [full.rpartition(".") for source in sources for full in _imported(source, None)]
    pieces = [(home, name) for home, _, name in waiting if _is_shared(home)]
    while pieces:
        home, name = piece = pieces.pop()
        value = vars(sys.modules[home]).get(name)
        if isinstance(value, int | float | str | tuple):
            found[piece] = f"{name} = {value!r}"
        if piece in found or not (inspect.isfunction(value) or inspect.isclass(value)):
            continue
        if value.__module__ != home:  # imported there from somewhere else
            pieces += [(value.__module__, name)] if _is_shared(value.__module__) else []
            continue
        found[piece] = inspect.getsource(value)
        named = _named(found[piece]) & vars(sys.modules[home]).keys()
        pieces += [(home, other) for other in named]
    return set(found.values())


@cache  # methods share pieces, and a source is parsed in a hundredth of a second
def _named(source: str) -> frozenset[str]:
    """All names that a source uses."""
    return frozenset(n.id for n in ast.walk(parse(source)) if isinstance(n, ast.Name))


def _is_shared(module: str) -> bool:
    """Whether a module holds what papers share, of which each counts where it is used."""
    return module.startswith("methods.") and module not in _APART and module in sys.modules


def own_sources(cls: type) -> list[str]:
    """Return the source of a class's module, as it ran, then of its own modules behind that.

    Raises
    ------
    TypeError
        If no module defines the class.

    Examples
    --------
    >>> from methods.lsh import LSH
    >>> [source[:8] for source in own_sources(LSH)]
    ['\"\"\"LSH: ']
    """
    module = inspect.getmodule(cls)
    if module is None or module.__spec__ is None:
        raise TypeError(f"{cls.__name__}: no module defines this class; write it in a file")
    first = module.__spec__
    found = {first.name: _source(first)}
    waiting = [first] if first.name.partition(".")[0] != "methods" else []
    while waiting:
        spec = waiting.pop()
        for name in _imported(found[spec.name], spec.parent):
            helper = _find(name)
            if helper is not None and helper.name not in found and _belongs(helper, first):
                found[helper.name] = _source(helper)
                waiting.append(helper)
    return [found.pop(first.name), *(source for _, source in sorted(found.items()))]


def packages_imported(cls: type) -> set[str]:
    """Names of the packages that a class's own files import, anywhere in them.

    Examples
    --------
    >>> from methods.lsh import LSH
    >>> sorted(packages_imported(LSH))
    ['__future__', 'methods', 'torch', 'typing']
    """
    names = (name for source in own_sources(cls) for name in _imported(source, None))
    return {name.partition(".")[0] for name in names}


def _source(spec: ModuleSpec) -> str:
    get_source = getattr(spec.loader, "get_source", None)
    source = get_source(spec.name) if get_source else None
    return source if isinstance(source, str) else Path(str(spec.origin)).read_text("utf-8")


@cache  # as above: what all methods build on is asked for once for each of them
def _imported(source: str, package: str | None) -> tuple[str, ...]:
    """Full names of what a source imports; relative ones where its package is given."""
    return tuple(_found_imports(source, package))


def _found_imports(source: str, package: str | None) -> Iterator[str]:
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            name = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(name, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _find(name: str) -> ModuleSpec | None:
    """Find a module without running it, though the packages around it may run."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a class in a module, or a module made by hand
        return None


def _belongs(spec: ModuleSpec, method: ModuleSpec) -> bool:
    """Tell whether a module is of the method's package or folder."""
    if not (spec.origin and spec.origin.endswith(".py") and method.origin):
        return False
    of_package = spec.name.partition(".")[0] == method.name.partition(".")[0]
    return of_package or Path(spec.origin).parent == Path(method.origin).parent
