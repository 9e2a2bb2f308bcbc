"""Codes from elsewhere: read from a file, checked against a protocol's split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.counters.choice import MAX_BITS
from benchmarks.evaluation.packing import PackedBits
from datasets.base import RetrievalDataset
from datasets.errors import DatasetError, UnknownName, lookup, one_line

Array = NDArray[Any]
SubmittedCodes = dict[str, PackedBits]

WHOLE = ("codes", "rows")
PARTS = ("query_codes", "query_rows", "database_codes", "database_rows")
BESIDE = ("query_ap", "query_scores")
"""Arrays of a record that say nothing of the codes, so that a record's file can be scored."""


class SubmissionError(DatasetError):
    """A file of codes that cannot be scored; the message is one line meant for the user."""


def read_codes(path: Path, data: RetrievalDataset, packed: int | None = None) -> SubmittedCodes:
    """Read the codes of a data set's queries and database.

    ``.npy`` holds one matrix, a row for each row of the data set. ``.npz`` and ``.safetensors``
    hold such a matrix called ``codes``, or ``query_codes`` and ``database_codes``, each with its
    row numbers (``rows``, ``query_rows``, ``database_rows``) or, without them, in the order of the
    data set or of the split.

    Parameters
    ----------
    path : Path
    data : RetrievalDataset
    packed : int, optional
        Code length in bits, if rows are packed as `numpy.packbits` packs them.

    Returns
    -------
    dict of PackedBits
        ``"query"`` (Q, K) and ``"database"`` (M, K), in the order of the split.

    Raises
    ------
    SubmissionError
        If the file cannot be read or holds other arrays, its rows are not those of the split, or
        its codes are not binary or too long.
    """
    arrays = _read(path)
    _check_names(path, arrays)
    parts = ("query", "database")
    if "codes" in arrays:
        whole = _binary(arrays["codes"], f"{path}: codes", packed)
        if len(whole) != len(data.labels):
            raise SubmissionError(
                f"{path}: codes needs a row for each of the {len(data.labels)} rows of "
                f"{data.name}, got {len(whole)}; give query_codes and database_codes for a part"
            )
        expected = np.arange(len(whole))
        whole = _ordered(
            whole, arrays.get("rows"), expected, f"{path}: rows", f"rows of {data.name}"
        )
        return {part: whole[getattr(data, part).numpy()] for part in parts}
    if missing := [f"{part}_codes" for part in parts if f"{part}_codes" not in arrays]:
        raise SubmissionError(
            f"{path}: expected codes, or query_codes and database_codes; {missing[0]} is missing, "
            f"found {', '.join(sorted(arrays)) or 'nothing'}"
        )
    codes = {part: _part(path, part, arrays, data, packed) for part in parts}
    widths = [codes[part].shape[1] for part in parts]
    if widths[0] != widths[1]:
        raise SubmissionError(
            f"{path}: query and database must have equally many bits, got {widths[0]} and "
            f"{widths[1]}"
        )
    return codes


def _part(
    path: Path, part: str, arrays: Mapping[str, Array], data: RetrievalDataset, packed: int | None
) -> PackedBits:
    codes = _binary(arrays[f"{part}_codes"], f"{path}: {part}_codes", packed)
    expected = getattr(data, part).numpy()
    if len(codes) != len(expected):
        raise SubmissionError(
            f"{path}: {data.protocol.label} has {len(expected)} {part} rows, got codes for "
            f"{len(codes)}; encode the rows of the protocol"
        )
    rows, whose = arrays.get(f"{part}_rows"), f"{part} rows of {data.protocol.label}"
    return _ordered(codes, rows, expected, f"{path}: {part}_rows", whose)


def _check_names(path: Path, arrays: Mapping[str, Array]) -> None:
    for name in arrays:
        try:
            lookup("array", name, dict.fromkeys((*WHOLE, *PARTS, *BESIDE)))
        except UnknownName as error:
            raise SubmissionError(f"{path}: {error}") from error
    whole, parts = ([name for name in names if name in arrays] for names in (WHOLE, PARTS))
    if whole and parts:
        raise SubmissionError(
            f"{path}: expected codes, or query_codes and database_codes, got {whole[0]} beside "
            f"{parts[0]}; give one of the two forms"
        )


def _ordered(
    codes: PackedBits,
    rows: Array | None,
    expected: NDArray[np.int64],
    who: str,
    whose: str,
) -> PackedBits:
    """Put codes into the order of the expected rows, by their row numbers if they have any."""
    if rows is None:
        return codes
    if rows.shape != expected.shape or not np.array_equal(np.sort(rows), np.sort(expected)):
        odd = np.setdiff1d(rows, expected)
        what = f"row {odd[0]} is not among them" if len(odd) else "some are missing or repeated"
        raise SubmissionError(
            f"{who} must be the {whose}, {what}; take them from the protocol's split"
        )
    place = np.argsort(rows)[np.searchsorted(np.sort(rows), expected)]
    return codes[place]


def _binary(values: Array, who: str, packed: int | None) -> PackedBits:
    if values.ndim != 2 or 0 in values.shape:
        raise SubmissionError(f"{who} must be a matrix, a row an item, got shape {values.shape}")
    n_bits = values.shape[1] if packed is None else packed
    if n_bits > MAX_BITS:
        raise SubmissionError(f"{who} must have at most {MAX_BITS} bits, got {n_bits}")
    if packed is not None and (values.dtype != np.uint8 or values.shape[1] != -(-packed // 8)):
        raise SubmissionError(
            f"{who}: {packed} packed bits are uint8 of width {-(-packed // 8)}, got "
            f"{values.dtype} of width {values.shape[1]}"
        )
    try:
        if packed is None:
            return PackedBits.of(values, who)
        codes = PackedBits(values, packed)
        codes.check_ends(who)
    except ValueError as error:
        raise SubmissionError(f"{error}") from error
    return codes


def _read(path: Path) -> dict[str, Array]:
    try:
        if path.suffix == ".npy":
            return {"codes": np.load(path, allow_pickle=False)}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return dict(load_file(path))
    except Exception as error:  # the readers raise what they like on a damaged file
        raise SubmissionError(f"{path}: cannot be read ({one_line(error)})") from error
    raise SubmissionError(f"{path}: expected a .npy, .npz or .safetensors file")
