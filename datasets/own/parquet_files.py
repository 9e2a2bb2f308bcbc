"""Parquet files of the user's own: ``parquet:PATH``, one file or a folder of them.

An image is a struct with a field ``bytes``; a label an integer, a string, or a list of either, or a
list of 0/1 for every class. A row may have none: null, an empty list, or -1. Files of a folder that
are called after parts, ``train...`` and ``test...``, are the split, see `datasets.own.parts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError
from datasets.files.hub import LocalFile, file_sha256
from datasets.files.images import EncodedImages, image_size
from datasets.files.parquet import ParquetItems, class_names, opened
from datasets.labels import Labels
from datasets.own.labels import from_lists, from_values
from datasets.own.parts import Parts, split_by_name

if TYPE_CHECKING:
    import pyarrow as pa

LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "category", "scene", "tags")
"""Columns that are taken for the labels where several could be, the first that is there."""


def load_parquet(path: Path, options: LoadOptions) -> Contents:
    """Read the labels of parquet files; the images stay encoded.

    Parameters
    ----------
    path : Path
        A file, or a folder of files, whose rows are taken in the order of their names.
    options : LoadOptions
        `image_column` and `label_column` name the columns; None guesses, and the notes tell.

    Returns
    -------
    Contents

    Raises
    ------
    DatasetError
        If there is no file, its columns differ from the first's, or no column or several could be
        meant.
    """
    who = f"parquet:{path}"
    paths, parts = _files(who, path)
    with opened(paths[0]) as file:
        schema = file.schema_arrow
    image = _choose(who, "image", options.image_column, _columns(schema, _is_image), ())
    label = _choose(who, "label", options.label_column, _columns(schema, _is_label), LABEL_NAMES)
    tables = [_read_column(file, label, schema) for file in paths]
    labels, classes = _labels(f"{who} column {label!r}", tables)
    classes = _named(classes, class_names(paths[0], label))
    items = ParquetItems([LocalFile(file, file_sha256(file)) for file in paths], image)
    size = image_size(items)
    shown = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
    what = f"{labels.n_classes} classes" + (f": {shown}" if classes else "")
    return Contents(
        labels=labels,
        images=EncodedImages(items, size),
        parts=_parts(paths, parts.of, [len(table) for table in tables]),
        classes=classes,
        notes=(
            f"{who}: {len(labels):,} rows, images from column {image!r} kept at {size} px, labels "
            f"from column {label!r} ({what})",
            *parts.notes,
            *_unread(who, schema),
        ),
    )


def _files(who: str, path: Path) -> tuple[list[Path], Parts]:
    """Files that are read, in the order of their names, and the part that each of them is."""
    paths = [path]
    if path.is_dir():
        paths = [file for file in sorted(path.glob("*.parquet")) if not file.name.startswith(".")]
    if not paths or not all(file.is_file() for file in paths):
        raise DatasetError(f"{who}: no such file, or a folder without *.parquet files")
    if paths == [path]:  # whatever it is called, it is all there is
        return paths, Parts({_stem(path): ""})
    parts = split_by_name(who, "files", list(dict.fromkeys(map(_stem, paths))))
    read: dict[tuple[int, int, str], Path] = {}
    for file in paths:
        if _stem(file) in parts.of:
            status = file.stat()  # through links
            read.setdefault((status.st_dev, status.st_ino, parts.of[_stem(file)]), file)
    asking = {key[:2] for key in read if key[2] == "test"}
    for (*number, part), file in read.items():
        if part != "test" and tuple(number) in asking:
            raise DatasetError(
                f"{who}: {file.name} is also the file of the queries; no query may train or be in "
                "the database"
            )
    return list(read.values()), parts


def _unread(who: str, schema: pa.Schema) -> tuple[str, ...]:
    """Say which columns seem to name parts: they are not looked at."""
    names = [name for name in schema.names if name.lower() in ("split", "part", "subset", "fold")]
    return tuple(f"{who}: column {name!r} is not read; parts are files" for name in names)


def _columns(schema: pa.Schema, fits: Any) -> list[str]:
    return [field.name for field in schema if fits(field.type)]


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _is_label(kind: pa.DataType) -> bool:
    import pyarrow as pa

    t = pa.types
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        kind = kind.value_type
    if t.is_dictionary(kind):
        kind = kind.value_type
    return any(is_(kind) for is_ in (t.is_integer, t.is_boolean, t.is_string, t.is_large_string))


def _choose(
    who: str, what: str, named: str | None, columns: list[str], usual: Sequence[str]
) -> str:
    """Return the column that is meant, or say which could be."""
    if named is not None and named in columns:
        return named
    likely = [name for name in usual if name in columns] or columns
    if named is None and likely and (len(columns) == 1 or likely is not columns):
        return likely[0]
    form = {
        "image": "structs with a field bytes",
        "label": "integers, strings, or lists of either",
    }[what]
    asked = f"no column {named!r}" if named else f"cannot tell the {what} column"
    raise DatasetError(
        f"{who}: {asked}; {what} columns hold {form}: {', '.join(columns) or 'none does'}; "
        f"name one with --{what}-column"
    )


def _read_column(path: Path, column: str, schema: pa.Schema) -> pa.ChunkedArray:
    with opened(path) as file:
        found = file.schema_arrow
        if column not in found.names or found.field(column).type != schema.field(column).type:
            raise DatasetError(
                f"{path}: expected a column {column!r} of {schema.field(column).type}, as in the "
                "first file"
            )
        return file.read(columns=[column])[column]


def _labels(who: str, tables: Sequence[pa.ChunkedArray]) -> tuple[Labels, tuple[str, ...]]:
    """Labels of all rows; a row without a value has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = tables[0].type
    column = pa.chunked_array([chunk for table in tables for chunk in table.chunks], kind)
    n = len(column)
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if not (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        rows = np.flatnonzero(column.is_valid().to_numpy())
        return from_values(who, column.drop_null().to_numpy(), rows, n)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    values = pc.list_flatten(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if values.null_count:
        raise DatasetError(f"{who}: a list of labels holds null")
    return from_lists(who, values.to_numpy(zero_copy_only=False), lengths)


def _named(classes: tuple[str, ...], names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Put names in the place of class numbers, where the file states them."""
    known = dict(zip(map(str, range(len(names or ()))), names or (), strict=True))
    return tuple(known.get(number, number) for number in classes)


def _parts(
    paths: Sequence[Path], of: Mapping[str, str], n_rows: Sequence[int]
) -> dict[str, Tensor]:
    """Rows of each part of the split; none where all rows are one pool."""
    ends = np.cumsum(n_rows)
    rows: dict[str, list[Tensor]] = {}
    for path, end, n in zip(paths, ends.tolist(), n_rows, strict=True):
        rows.setdefault(of[_stem(path)], []).append(torch.arange(end - n, end))
    return {part: torch.cat(own) for part, own in rows.items() if part}


def _stem(path: Path) -> str:
    """Name of a file without ending and without the hub's fingerprint, which is no word."""
    return re.sub("-[0-9a-f]{16}$", "", path.stem)
