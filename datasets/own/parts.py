"""Names of the parts that data come in: one table for folders, files, lists and arrays.

Training rows and queries make a split. Queries are those of a part called after them, else those
of the test part, else those of the validation part; the database is a part of its own, or what
trains. Parts that take no part in the split are left out, and the notes say so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datasets.errors import DatasetError

WORDS = {
    "train": ("train", "training", "trainval"),
    "query": ("query", "queries"),
    "test": ("test", "testing", "eval", "evaluation"),
    "validation": ("val", "valid", "validation", "dev", "development"),
    "database": ("database", "db", "gallery", "retrieval"),
}
"""Kinds of parts, and the words that name them."""
_KIND = {word: kind for kind, words in WORDS.items() for word in words}
_FILLING = ("", "split", "part", "data", "image", "images", "img", "imgs", "file", "files")
"""Words that say nothing of a part: ``train_images``."""
_ASK = ("query", "test", "validation")
"""Kinds of parts that may be the queries, the first that is there."""


@dataclass(frozen=True)
class Parts:
    """What the names of parts mean.

    Attributes
    ----------
    of : mapping from str to str
        ``"train"``, ``"test"`` (the queries) or ``"database"``, of each name that is read; empty
        text where all rows are one pool.
    notes : tuple of str
        What the user should know of it.
    """

    of: dict[str, str]
    notes: tuple[str, ...] = ()


def kind_of(name: str) -> str | None:
    """Kind of part that a word of a name says, a key of `WORDS`; None if none does, or several.

    Examples
    --------
    >>> kind_of("train-00000-of-00002"), kind_of("ValidationImages"), kind_of("cat")
    ('train', 'validation', None)
    """
    kinds = {kind for word in _words(name) if (kind := _KIND.get(word)) is not None}
    if kinds == {"train", "validation"}:  # both parts in one, as in train_val
        return "train"
    return kinds.pop() if len(kinds) == 1 else None


def says_only(name: str) -> bool:
    """Whether a name says a kind of part and nothing else, but for numbers: ``"train2017"``."""
    return kind_of(name) is not None and all(word in _KIND for word in _words(name))


def split_by_name(who: str, what: str, names: Sequence[str]) -> Parts:
    """Read names of parts.

    Parameters
    ----------
    who : str
        The data, for messages.
    what : str
        What bears the names: ``"folders"``.
    names : sequence of str

    Returns
    -------
    Parts
        One pool if no name says a part, or all say the same.

    Raises
    ------
    DatasetError
        If some names say parts, but not both training rows and queries.
    """
    kinds = {name: kind_of(name) for name in names}
    known = {name: kind for name, kind in kinds.items() if kind is not None}
    if not known:
        return Parts(dict.fromkeys(names, ""))
    found = set(known.values())
    ask = next((kind for kind in _ASK if kind in found), None)
    if "train" in found and ask is not None:
        meaning = {ask: "test", "train": "train", "database": "database"}
        of = {name: meaning[kind] for name, kind in known.items() if kind in meaning}
        left = [name for name in names if name not in of]
        if not left:
            return Parts(of)
        return Parts(of, (f"{who}: {what} of no part of the split, left out: {_some(left)}",))
    if len(found) == 1 and len(known) == len(names):
        return Parts(
            dict.fromkeys(names, ""),
            (f"{who}: all {what} are of one part, {_some(names)}; its rows are split at random",),
        )
    others = [name for name in names if name not in known]
    beside = f", beside {_some(others)}" if others else ""
    raise DatasetError(
        f"{who}: {what} {_some(list(known))} are named like parts of a split{beside}, but a split "
        f"needs training rows ({WORDS['train'][0]}) and queries ({', '.join(_ASK)}, ...); name all "
        "of them after parts, or none"
    )


def _words(name: str) -> list[str]:
    """Words of a name in lower case that mean something: ``trainset`` is ``train``."""
    found = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+", name)
    words = [word.lower().removesuffix("set") for word in found]
    return [word for word in words if word not in _FILLING]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
