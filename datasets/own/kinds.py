"""The user's own data, by a kind and a path; how they are split.

====================  ===============================================================
``folder:PATH``       images in a folder a class, see `datasets.own.folder`
``lists:PATH``        images and their split in lists, see `datasets.own.list_files`
``parquet:PATH``      a file or a folder of files, see `datasets.own.parquet_files`
``features:PATH``     features and labels in one file, see `datasets.own.feature_file`
``vectors:PATH``      a folder of .fvecs and its like, see `datasets.own.vector_files`
``ann:PATH``          vectors and neighbours in an HDF5 file, as there
====================  ===============================================================

Parts that the data come in are their split. Other data are split by a rule: queries drawn from all
rows, all others are the database, training rows drawn inside it. Their protocol is called by the
sizes of the split (``100q-500t``) and has a digest as every other has.

A data set is called by its kind, the last part of its path and six digits of what it holds
(``folder-birds-3f2a1c``): the same data have one name wherever they lie, others never share it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.digests import tensor_digest
from datasets.errors import DatasetError, OptionError, lookup, one_line, printable
from datasets.features import Features
from datasets.files.vectors import SUFFIXES
from datasets.labels import Labels
from datasets.own.ann_file import load_ann
from datasets.own.feature_file import load_features
from datasets.own.folder import load_folder
from datasets.own.list_files import load_lists
from datasets.own.parquet_files import load_parquet
from datasets.own.vector_files import load_vectors
from datasets.protocols.protocol import Protocol_

OWN: dict[str, Callable[[Path, LoadOptions], Contents]] = {
    "folder": load_folder,
    "lists": load_lists,
    "parquet": load_parquet,
    "features": load_features,
    "vectors": load_vectors,
    "ann": load_ann,
}
COLUMNS = {"image_column": "--image-column", "label_column": "--label-column"}
SIZES = {"n_query": "--queries", "n_train": "--train"}
FREE = {"cutoff": "--cutoff", "unseen": "--unseen-classes"}
"""Beside the sizes, what only the protocol of own data leaves open."""
_OF_FILES = (".npz", ".safetensors", ".hdf5", ".h5", *SUFFIXES)
MOST_LETTERS = 40
"""Letters of a path that the name of a data set takes over."""
MOST_QUERIES, MOST_TRAIN, MOST_CUTOFF = 1000, 5000, 1000
"""Sizes that are chosen where the user gives none and there are rows enough."""


class _Sizes(NamedTuple):
    n_query: int
    n_train: int
    n_database: int


def is_own(name: str) -> bool:
    """Whether a name means the user's own data: it begins with a kind and a colon."""
    return ":" in name


def own_name(name: str) -> str:
    """Return the kind and the whole path: the same for every way to write the same place.

    Raises
    ------
    UnknownName
        If there is no such kind.
    OptionError
        If there is no path.
    """
    kind, path = _kind_and_path(name)
    return f"{kind}:{path}"


def read_own(name: str, options: LoadOptions) -> tuple[Protocol_, Contents]:
    """Read the user's own data, and make the protocol that splits them.

    Parameters
    ----------
    name : str
        ``"folder:PATH"`` and its like.
    options : LoadOptions

    Returns
    -------
    Protocol_, Contents

    Raises
    ------
    UnknownName
        If there is no such kind.
    OptionError
        If an option makes no sense here, or the rows cannot give the sizes that it asks for.
    DatasetError
        If the data cannot be read, or their labels say nothing.
    """
    kind, path = _kind_and_path(name)
    if kind != "parquet":
        _refuse(name, options, COLUMNS, "is of parquet files")
    contents = OWN[kind](path, options)
    if "train" in contents.parts:
        contents = replace(contents, parts={"database": contents.parts["train"], **contents.parts})
    everywhere = (contents.labels.class_sizes() == len(contents)).nonzero()
    if len(everywhere):
        c = int(everywhere[0, 0])
        raise DatasetError(
            f"{name}: every row has the label {contents.classes[c] if contents.classes else c!r}, "
            "so every item is relevant to every query; give two classes or more"
        )
    dataset = f"{_short_name(kind, path)}-{_content(contents)}"
    return _protocol(name, dataset, contents, options), contents


def refuse_own_options(name: str, options: LoadOptions) -> None:
    """Refuse the options of own data for a data set that has named protocols."""
    _refuse(name, options, SIZES | FREE | COLUMNS, "is of your own data")


def without_own(options: LoadOptions) -> LoadOptions:
    """Return the options that data sets with named protocols take."""
    return LoadOptions(options.data_root, options.allow_missing, options.cache, options.progress)


def _refuse(name: str, options: LoadOptions, flags: dict[str, str], why: str) -> None:
    for field, flag in flags.items():
        if getattr(options, field) is not None:
            raise OptionError(f"{name}: {flag} {why}; leave it out, or give {name} another call")


def _kind_and_path(name: str) -> tuple[str, Path]:
    kind, _, path = name.partition(":")
    lookup("kind of data", kind, OWN)
    if not path:
        raise OptionError(f"{name} needs a path, as in {kind}:PATH")
    if path != printable(path):  # it is written into records, tables and file names
        raise OptionError(
            f"{name[:80]}: the path of data must be of letters that can be shown, in UTF-8; rename "
            "it, or give a link to it"
        )
    try:
        found = Path(path).expanduser().resolve()
        found.exists()  # raises where a name is longer than any file's
    except (OSError, RuntimeError) as error:
        raise OptionError(f"{kind}:{path[:60]}: no such path ({one_line(error)})") from error
    return kind, found


def _short_name(kind: str, path: Path) -> str:
    """Kind and last part of the path, of few letters that any file name may have.

    Examples
    --------
    >>> _short_name("folder", Path("/data/My birds")), _short_name("features", Path("/a/vgg.npz"))
    ('folder-My-birds', 'features-vgg')
    """
    last = path.stem if path.suffix in _OF_FILES else path.name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.")[:MOST_LETTERS].strip("-.")
    return f"{kind}-{plain or 'data'}"


def _content(contents: Contents) -> str:
    """Six digits that tell data from others of the same name, wherever they lie."""
    inputs = contents.images.digest if contents.images is not None else ""
    tensors: list[Tensor | Labels | Features] = [
        contents.labels,
        *(contents.parts[part] for part in sorted(contents.parts)),
    ]
    if contents.features is not None:
        tensors.append(contents.features)
    return hashlib.sha256(f"{inputs} {tensor_digest(*tensors)}".encode()).hexdigest()[:6]


def _protocol(name: str, dataset: str, contents: Contents, options: LoadOptions) -> Protocol_:
    if contents.parts:
        _refuse(name, options, SIZES, "would split data that come in parts already")
        sizes, rule = _listed(name, contents), "as listed"
    else:
        sizes = _drawn(name, len(contents), options)
        rule = "pooled at random, train inside the database"
    cutoff = min(MOST_CUTOFF, sizes.n_database) if options.cutoff is None else options.cutoff
    if not 1 <= cutoff <= sizes.n_database:
        raise OptionError(
            f"{name}: --cutoff must be in 1..{sizes.n_database} (the database), got {cutoff}"
        )
    protocol = Protocol_(
        dataset,
        f"{sizes.n_query}q-{sizes.n_train}t",
        *sizes,
        rule,
        cutoff,
        "shares a label",
        "the user's own data",
    )
    return protocol if options.unseen is None else _unseen(name, protocol, contents, options.unseen)


def _unseen(name: str, protocol: Protocol_, contents: Contents, share: float) -> Protocol_:
    """Leave a share of the classes out of the training rows."""
    if not 0 < share < 1:
        raise OptionError(f"{name}: --unseen-classes must be between 0 and 1, got {share:g}")
    name = f"{protocol.name}-unseen{100 * share:g}"
    left = replace(protocol, name=name, n_drawn=protocol.n_train, unseen=share)
    rows = left.split(contents.labels, contents.parts, allow_missing=True).train
    return replace(left, n_train=len(rows))


def _listed(name: str, contents: Contents) -> _Sizes:
    """Sizes of the parts that the data come in."""
    found = {part: len(contents.parts.get(part, ())) for part in ("test", "train", "database")}
    empty = [part for part, n in found.items() if not n]
    if empty:
        raise DatasetError(
            f"{name}: the split needs queries, training rows and a database; it has no rows of "
            f"{' and '.join(empty).replace('test', 'queries')}"
        )
    return _Sizes(found["test"], found["train"], found["database"])


def _drawn(name: str, n: int, options: LoadOptions) -> _Sizes:
    """Sizes that the user asks for, or that suit `n` rows."""
    n_query, n_train = options.n_query, options.n_train
    if n_query is None:
        n_query = max(1, min(MOST_QUERIES, n // 10))
    if n_train is None:
        n_train = max(1, min(MOST_TRAIN, n - n_query))
    for flag, value in (("--queries", n_query), ("--train", n_train)):
        if value < 1:
            raise OptionError(f"{name}: {flag} must be at least 1, got {value}")
    if n_query + n_train > n:
        raise OptionError(
            f"{name}: {n:,} rows cannot give {n_query:,} queries and {n_train:,} training rows "
            "beside them; give --queries and --train that add up to no more"
        )
    return _Sizes(n_query, n_train, n - n_query)
