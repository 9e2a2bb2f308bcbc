"""Split what a source holds by a protocol, and refuse or leave out rows that are missing."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from datasets.base import RetrievalDataset
from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, call_of
from datasets.features import Features, equal_rows
from datasets.image_source import ImageSource, MemoryImages
from datasets.progress import Progress, silent
from datasets.protocols.protocol import Protocol_
from datasets.protocols.rules import Split

_PARTS = ("train", "query", "database")


def assemble(protocol: Protocol_, contents: Contents, options: LoadOptions) -> RetrievalDataset:
    """Split the contents of a source by a protocol.

    Parameters
    ----------
    protocol : Protocol_
    contents : Contents
    options : LoadOptions
        With `allow_missing`, rows without a readable image are left out after the split, the sizes
        are those found, and the name of the protocol tells how many rows are left:
        ``1k-5k~59990``.

    Returns
    -------
    RetrievalDataset

    Raises
    ------
    DatasetError
        If images are missing, or the rows are not those of the protocol, and that is not allowed.
    """
    if contents.images is not None and not options.allow_missing:
        _refuse_absent(protocol, contents)
    split = protocol.split(contents.labels, contents.parts, allow_missing=options.allow_missing)
    if options.allow_missing:
        contents, split = _present(contents, split, options)
        protocol = _as_found(protocol, split, len(contents))
    unlabelled = int((contents.labels.counts() == 0).sum())
    notes = contents.notes
    if unlabelled and not protocol.neighbours:
        notes = (*notes, f"{unlabelled:,} of {len(contents):,} rows have no label")
    again = repeated(contents.images, contents.features, split.query, split.database, options)
    if again:
        what = "features" if contents.images is None else "images"
        notes = (
            *notes,
            f"{len(again):,} of {len(split.query):,} queries are in the database too, as {what} "
            f"of the same bytes; {call_of('datasets.doctor')} lists them",
        )
    return RetrievalDataset(
        protocol.dataset,
        protocol,
        contents.images,
        contents.features,
        contents.labels,
        **split._asdict(),
        hierarchy=contents.hierarchy,
        captions=contents.captions,
        neighbours=contents.neighbours if protocol.neighbours else None,
        classes=contents.classes,
        notes=notes,
    )


def unreadable(contents: Contents, options: LoadOptions, *, afresh: bool = False) -> dict[int, str]:
    """Rows of absent or broken images and what is wrong with them; kept in the cache.

    What was broken is looked at again by the next call, so a repaired file counts at once. Whole
    files are not unless `afresh` asks for it: one that breaks later, and keeps its size and its two
    ends, shows when it is decoded.
    """
    images = contents.images
    if images is None:
        return {}
    note = _note(images, "json", options)
    known = None if afresh else _read_note(note)
    if known is None:
        found = broken(images, options.progress)
    else:
        rows = sorted(row for row in known if row < len(images))
        again = broken(images.subset(torch.tensor(rows).long()), options.progress) if rows else {}
        found = {rows[i]: reason for i, reason in again.items()}
    if found != known:
        _write_note(note, found)
    return found


def repeated(
    images: ImageSource | None,
    features: Features | None,
    query: Tensor,
    database: Tensor,
    options: LoadOptions,
) -> dict[int, int]:
    """Find the queries whose bytes are in the database under another name.

    Parameters
    ----------
    images : ImageSource or None
    features : Features or None, shape (N, D)
        Looked at where there are no images.
    query, database : Tensor, int64, shapes (Q,) and (M,)
        Row numbers.
    options : LoadOptions
        Its cache keeps which images are the same.

    Returns
    -------
    dict from int to int
        Row of the query, and the first row of the database that is the same.
    """
    if images is None:
        return {} if features is None else equal_rows(features, query.tolist(), database)
    first = _originals(images, options)
    copies = first != torch.arange(len(first))
    several = torch.zeros(len(first), dtype=torch.bool)
    several[first[copies]] = True
    of = {int(first[row]): row for row in reversed(database[several[first[database]]].tolist())}
    asked = query[several[first[query]]].tolist()
    return {row: of[int(first[row])] for row in asked if int(first[row]) in of}


def _originals(images: ImageSource, options: LoadOptions) -> Tensor:
    """Row of the first image of the same bytes, int64 (N,); kept in the cache."""
    in_memory = isinstance(images, MemoryImages)  # compared sooner than a note is read
    note = None if in_memory else _note(images, "same.json", options)
    known = _read_note(note)
    if known is not None:
        with contextlib.suppress(ValueError, IndexError):  # a damaged note is no note
            first = torch.arange(len(images))
            for row, original in known.items():
                first[row] = int(original)
            return first
    first = images.originals()
    copies = (first != torch.arange(len(first))).nonzero()[:, 0].tolist()
    _write_note(note, {row: str(int(first[row])) for row in copies})
    return first


def broken(images: ImageSource, progress: Progress = silent) -> dict[int, str]:
    """Look at every image: rows of those that are absent or broken, and what is wrong with them."""
    found = {row: f"{images.name(row)}: missing or empty" for row in images.absent().tolist()}
    there = _without(torch.arange(len(images)), found)
    present = images.subset(there) if found else images
    if len(there):
        found |= {int(there[i]): reason for i, reason in present.problems(progress).items()}
    return dict(sorted(found.items()))


def _note(images: ImageSource, suffix: str, options: LoadOptions) -> Path | None:
    """File of the cache that keeps what was found out about images; None without a cache."""
    if options.cache is None:
        return None
    return options.cache / "checked" / f"{images.digest[:24]}.{suffix}"


def _write_note(note: Path | None, found: dict[int, str]) -> None:
    """Keep what was found out; where the cache takes nothing, it is found out again next time."""
    if note is None:
        return
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(found))
        temporary.replace(note)


def _read_note(note: Path | None) -> dict[int, str] | None:
    """Return what a note says; None where there is none that can be read."""
    if note is None:
        return None
    try:
        return {int(row): str(reason) for row, reason in json.loads(note.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return None


def _refuse_absent(protocol: Protocol_, contents: Contents) -> None:
    assert contents.images is not None
    absent = contents.images.absent()
    if len(absent):
        raise DatasetError(
            f"{protocol.label}: {len(absent):,} of {len(contents):,} images are missing, the first "
            f"is {contents.images.name(int(absent[0]))}; {call_of('datasets.doctor')} lists them, "
            "--allow-missing goes on without them"
        )


def _present(contents: Contents, split: Split, options: LoadOptions) -> tuple[Contents, Split]:
    """Leave out the rows whose images are missing or broken."""
    missing = unreadable(contents, options)
    if not missing:
        return contents, split
    rows = _without(torch.arange(len(contents)), missing)
    place = torch.full((len(contents),), -1)
    place[rows] = torch.arange(len(rows))
    return contents.subset(rows), Split(*(place[part][place[part] >= 0] for part in split))


def _without(rows: Tensor, missing: dict[int, str]) -> Tensor:
    return rows[~torch.isin(rows, torch.tensor(list(missing), dtype=torch.int64))]


def _as_found(protocol: Protocol_, split: Split, n_rows: int) -> Protocol_:
    """Give the protocol the sizes found, and another name if they are not its own."""
    sizes = {f"n_{part}": len(getattr(split, part)) for part in _PARTS}
    if all(getattr(protocol, name) == size for name, size in sizes.items()):
        return protocol
    return replace(
        protocol,
        name=f"{protocol.name}~{n_rows}",
        cutoff=max(1, min(protocol.cutoff, sizes["n_database"])),
        n_train=sizes["n_train"],
        n_query=sizes["n_query"],
        n_database=sizes["n_database"],
    )
