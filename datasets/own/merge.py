"""One row a file, however many names lead to it."""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.errors import DatasetError
from datasets.files.images import FileItems
from datasets.labels import Labels


def one_row_a_file(
    who: str, items: FileItems, labels: Labels, parts: dict[str, Tensor]
) -> tuple[FileItems, Labels, dict[str, Tensor], tuple[str, ...]]:
    """Make one row of all names of a file: links, and other ways to write its path.

    Parameters
    ----------
    who : str
        The data, for messages.
    items : FileItems
        N names.
    labels : Labels, shape (N, C)
    parts : dict of Tensor, int64
        Row numbers of each part.

    Returns
    -------
    FileItems
        The first name of each of M files.
    Labels, shape (M, C)
        Of all names of a file.
    dict of Tensor, int64
        Row numbers of the files, ascending; a file may be of several parts.
    tuple of str
        What the user should know of it.

    Raises
    ------
    DatasetError
        If a file is among the queries, and trains or is in the database too.
    """
    first = items.same_files()
    rows = first.unique()
    if len(rows) == len(items):
        return items, labels, parts, ()
    place = torch.full((len(items),), -1)
    place[rows] = torch.arange(len(rows))
    row_of = place[first]
    again = (first != torch.arange(len(items))).nonzero()[:, 0]
    row, column = labels.pairs()
    merged = Labels.from_pairs(row_of[row], column, len(rows), labels.n_classes)
    one_each = {part: row_of[own].unique() for part, own in parts.items()}
    for part in ("train", "database"):
        both = one_each.get("test", rows[:0])
        both = both[torch.isin(both, one_each.get(part, rows[:0]))]
        if len(both):
            names = [items.names[i] for i in (row_of == both[0]).nonzero()[:, 0].tolist()]
            raise DatasetError(
                f"{who}: {' and '.join(names[:2])} are one file, among the queries and in the "
                f"{part} part; no query may be there"
            )
    a, b = items.names[int(again[0])], items.names[int(first[again[0]])]
    note = (
        f"{who}: {len(again):,} names lead to files that have another, as {a} to {b}; a file is "
        "one row, of all its classes"
    )
    return items.subset(rows), merged, one_each, (note,)
